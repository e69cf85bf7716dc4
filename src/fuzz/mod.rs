//! Malformed messages without an end, against a cluster of our own, until something stops.
//!
//! Mutants are sent in batches over many connections at once. After each batch every server is asked for a write and a read. Where one
//! of them does not serve for longer than any election takes, or its process has ended, the batch is sent again to a cluster without
//! any past, and taken apart until nothing of it can be left out. So is a batch after which servers go on to hold different data. What is found once is not sent again, and the search goes on.
//!
//! What is found stays in the results of the run.

mod campaign;
mod finding;
mod known;
mod minimise;
mod replicas;
mod signature;
mod subject;

pub use campaign::{Campaign, Kept, Tally};
pub use finding::{Finding, Sent};
pub use replicas::Compared;
pub use signature::Signature;
pub use subject::Subject;

use crate::cluster::ClusterError;

/// The search cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FuzzError {
    /// The cluster did not do what was asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A cluster without any past does not serve.
    #[error("a cluster that was sent nothing does not serve: {0}")]
    NotServing(String),
    /// There is no such finding or mutant.
    #[error("cannot read {what}")]
    Read {
        /// What.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A log of mutants has none of this number.
    #[error("{file} has no mutant of the number {number}")]
    NoMutant {
        /// The log.
        file: String,
        /// The number.
        number: u64,
    },
    /// A finding or a mutant could not be written down.
    #[error("cannot write {what}")]
    Write {
        /// What.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
}
