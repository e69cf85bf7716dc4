//! What Leasehold's clients do: the operations, the service that they ask, the scripts that choose the next operation,
//! and the named scenarios.
//!
//! Nothing here touches the world. A [`script::Script`] is a state machine that says what one worker does next; the
//! engine of the `leasehold` program runs it against a [`service::LockService`].

pub mod op;
pub mod service;
