//! What several tests share.

#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod ensemble;
pub mod long_run;
pub mod random;
pub mod script;
pub mod simulated;
