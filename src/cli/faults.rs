//! `leasehold faults`.

use super::terminal::say;
use super::{Exit, Failure};
use crate::nemesis::{Aims, Course, PACKAGES, Package, TARGET_WORDS};

pub(super) fn faults() -> Result<Exit, Failure> {
    let mut text = String::new();
    for package in PACKAGES {
        text.push_str(&described(package));
    }
    let targets = TARGET_WORDS.join(", ");
    text.push_str(&format!(
        "all packages: at_ms (the beginning), jitter_ms (put off by up to this), every_ms and times (to repeat it)\n\
         targets: {targets}, or a node like n1; the default is leader\n\
         `leasehold doctor` tells whether this machine can move clocks and hold up disks; all else works wherever runs do.\n",
    ));
    say(&text)?;
    Ok(Exit::Valid)
}

fn described(package: &Package) -> String {
    let mut text = format!("{}\n  does:     {}\n", package.name, package.does);
    for setting in package.settings {
        text.push_str(&format!("  {}: {}\n", setting.name, setting.says));
    }
    let common: Vec<&str> = [(package.aims == Aims::AtTarget, "target"), (package.course == Course::Lasts, "lasts_ms")]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect();
    if !common.is_empty() {
        text.push_str(&format!("  and:      {}\n", common.join(", ")));
    }
    text.push_str(&format!("  proof:    {}\n\n", package.proof));
    text
}
