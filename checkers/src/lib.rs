//! Checkers for the histories of distributed locks and leases.
//!
//! A history is the record of what clients asked a lock service and what it answered, all on one clock. Each checker
//! is a pure function from a history to a verdict: no I/O (but for the readers), no clock, no randomness, so the same
//! history gives the same bytes each time.
//!
//! A correct service is never accused: what cannot be proven is `unknown`, or an anomaly of grade `possible`, which
//! does not make a verdict `invalid`. Each checker states its assumptions in its own documentation.

pub mod contract;
pub mod history;
pub mod verdict;
