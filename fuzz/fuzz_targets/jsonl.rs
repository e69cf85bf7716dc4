//! Any bytes as a history of ours, read by both readers and judged; and as whatever they seem to be.

#![no_main]

#[path = "../src/contract.rs"]
mod contract;

use leasehold_checkers::formats::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    contract::reads_or_says_why_not(Some(Format::Leasehold), bytes);
    contract::reads_or_says_why_not(None, bytes);
    contract::judges_or_says_why_not(bytes);
});
