//! Many runs at a time: scenarios on several servers, with several seeds, each with what is expected of it.
//!
//! ```text
//! SUITE.toml -> Plan (cells) -> Runner (a process for each cell) -> SuiteFolder (a line for each result) -> Report
//! ```
//!
//! A cell is one run. It depends on no other, so a suite can be cut short and taken up again, or be shared among machines
//! ([`Shard`]) and put together afterwards ([`merge`]).

mod cell;
mod diff;
mod error;
mod file;
mod folder;
mod instead;
mod merge;
mod outcome;
mod plan;
mod report;
mod runner;
mod told;
mod twins;

pub use cell::{Cell, Expectation, Kind};
pub use diff::{Change, Difference, diff};
pub use error::SuiteError;
pub use folder::SuiteFolder;
pub use instead::Instead;
pub use merge::{Merged, merge};
pub use outcome::{CellResult, Found, Latency, Outcome};
pub use plan::{Plan, Shard};
pub use report::{Report, Row};
pub use runner::{Ended, Runner};
pub use told::{html, json, junit, markdown, table};
