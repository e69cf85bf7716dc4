//! What every actor of a run shares: its clock, its record, the word that it shall end, and what the nemesis must know of
//! the others: who holds what, who leads, and how a worker is stopped.

mod answers;
mod clock;
mod gate;
mod holders;
mod leadership;
mod ledger;
mod live;
mod recorder;
mod stop;
mod tally;

pub use answers::Answers;
pub use clock::RunClock;
pub use gate::{Gate, Gates, WorkerId};
pub use holders::{Belief, Changes, Holders};
pub use leadership::Leadership;
pub use ledger::Ledger;
pub use recorder::{Entry, Recorder, value_of};
pub use stop::{Stop, Stopper, stop_signal};
pub use tally::{Found, Tally};
