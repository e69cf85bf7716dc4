//! What the tests of locks share.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod drawn;
pub mod oracle;
pub mod replay;

use leasehold_checkers::linear::Budget;

pub fn unbounded() -> Budget<'static> {
    Budget { out_of_time: &|| false, memory_bytes: usize::MAX / 8 }
}
