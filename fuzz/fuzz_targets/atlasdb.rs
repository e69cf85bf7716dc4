//! Any bytes as AtlasDB's JSON.

#![no_main]

#[path = "../src/contract.rs"]
mod contract;

use leasehold_checkers::formats::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| contract::reads_or_says_why_not(Some(Format::AtlasDb), bytes));
