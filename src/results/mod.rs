//! The run folder: where a run's record and everything drawn from it lie.
//!
//! ```text
//! results/<scenario>/<UTC>-<seed>/
//!     run.json         what was asked for, by which program, and how it ended
//!     scenario.toml    the scenario's text
//!     history.jsonl    the record, written as it happens
//!     verdict.json     what the checkers say of it
//!     report.html      the story, to be read and forwarded
//!     summary.md       the same, for a chat
//!     junit.xml        the same, for continuous integration
//!     plots/           pictures
//!     logs/<node>/     what the servers printed
//! results/latest -> the newest run
//! ```

mod folder;
mod run_file;

pub use folder::{ResultsError, RunFolder, write_atomically};
pub use run_file::{Ending, RunFile};
