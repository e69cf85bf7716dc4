//! `leasehold faults`.

use super::terminal::say;
use super::{Exit, Failure};
use crate::nemesis::PACKAGES;
use crate::scenario::TARGET_WORDS;

pub(super) fn faults() -> Result<Exit, Failure> {
    let mut text = String::new();
    for package in PACKAGES {
        text.push_str(&format!(
            "{}\n  does:     {}\n  settings: {}\n  proof:    {}\n\n",
            package.name, package.does, package.settings, package.proof
        ));
    }
    let targets = TARGET_WORDS.join(", ");
    text.push_str(&format!(
        "all packages: at_ms (the beginning), jitter_ms (put off by up to this), every_ms and times (to repeat it)\n\
         targets: {targets}, or a node like n1; the default is leader\n\
         `leasehold doctor` tells whether this machine can move clocks; all else works wherever runs do.\n",
    ));
    say(&text)?;
    Ok(Exit::Valid)
}
