//! The adapter for Consul against real servers, on loopback addresses of their own, and against servers that only pretend.
//!
//! They need the servers: a machine that cannot get them cannot pass.

#[path = "../common/recipes.rs"]
mod recipes;
#[path = "../common/servers.rs"]
mod servers;

mod answers;
mod cluster;
mod contract;
mod failures;
mod operations;
mod pretenders;
mod silence;
