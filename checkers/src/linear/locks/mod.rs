//! Locks: whether some order of the requests explains all answers.
//!
//! A lock's history is decided by the first of these that its shape allows, each exact, with its proof in its own file:
//!
//! | model | fast procedure | where it does not apply |
//! |---|---|---|
//! | `mutex`, `semaphore:N` | `permits`: latest possible moment, earliest deadline | refusals and reads of a semaphore of two or more |
//! | `owner-mutex`, `reentrant-mutex:N`, `fenced-mutex` | `sections`: holds determine the `order` | reads that show nobody; an owner that goes on after an unknown outcome, or asks twice at once |
//! | `lease-lock` | `leases`: cores and floaters | as above; a lock-delay; refusals that name nobody beside a grant whose answer came after its end |
//!
//! Answers that name the holder are bounds of its holds, where it is certain which of them was seen: `sightings`.
//!
//! What is left goes to the general `search`, which has a budget.
//!
//! On request, [`linearize`] spells out an order (`schedule`, from the instants of the proofs), and [`expired`] the leases that have to
//! have run out for it (`expiries`). What has no order gets a `witness`.

mod action;
mod calls;
mod decide;
mod expiries;
mod leases;
mod linearize;
mod order;
mod permits;
mod schedule;
mod search;
mod sections;
mod sightings;
mod state;
mod witness;
mod words;

pub use action::{Deed, LeaseTerms, LockAction, LockCall, LockModel, Owner, UnknownModel};
pub use calls::{BadHistory, LockHistory, histories};
pub use decide::{Procedure, decide, decide_by_search, procedure};
pub use expiries::Expired;
pub use linearize::{expired, linearize};
