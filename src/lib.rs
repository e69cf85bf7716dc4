//! Leasehold tells people whether their distributed lock holds.
//!
//! A run is one straight flow, and the modules stand in its order:
//!
//! ```text
//! scenario -> servers in a sandbox -> engine [workload + nemesis + probes] -> results (history on disk)
//!          -> checkers -> verdict -> report -> exit code
//! ```
//!
//! The operations and scenarios live in `leasehold-workloads`, everything that judges a history in
//! `leasehold-checkers`. This crate is the part that touches the world.

pub mod attach;
mod causes;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod cluster;
mod digest;
pub mod disk;
pub mod engine;
pub mod fuzz;
pub mod index;
pub mod nemesis;
mod node;
pub mod packets;
pub mod report;
pub mod results;
pub mod run;
pub mod sandbox;
pub mod scenario;
pub mod servers;
pub mod suite;

pub use node::NodeId;
