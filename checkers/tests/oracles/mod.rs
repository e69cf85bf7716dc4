//! What the comparisons with the oracles of the interval checkers share.

#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../support/random.rs"]
pub mod random;
pub mod service;
pub mod story;
pub mod tell;

use random::Random;
use story::Story;

/// How many random histories each comparison looks at: `LEASEHOLD_ORACLE_CASES`, or a number that takes seconds.
pub fn cases() -> u64 {
    std::env::var("LEASEHOLD_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100_000)
}

/// Looks at so many stories, each from a seed of its own, and shows the smallest part of one that is wrong.
#[track_caller]
pub fn for_all(salt: u64, count: u64, tell: impl Fn(&mut Random) -> Story, wrong: impl Fn(&Story) -> Option<String>) {
    for seed in 0..count {
        let story = tell(&mut Random(salt ^ seed.wrapping_mul(0x5851_f42d_4c95_7f2d)));
        if wrong(&story).is_some() {
            let least = story.shrunk(|part| wrong(part).is_some());
            panic!("seed {seed}: {}\n{}", wrong(&least).unwrap_or_default(), least.lines());
        }
    }
}
