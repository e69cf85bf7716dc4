//! What every actor of a run shares: its clock, its record, and the word that it shall end.

mod clock;
mod live;
mod recorder;
mod stop;

pub use clock::RunClock;
pub use recorder::{Entry, Recorder, Tally, value_of};
pub use stop::{Stop, Stopper, stop_signal};
