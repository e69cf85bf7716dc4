//! `leasehold faults`.

use super::terminal::say;
use super::{Exit, Failure};
use crate::nemesis::PACKAGES;

pub(super) fn faults() -> Result<Exit, Failure> {
    let mut text = String::new();
    for package in PACKAGES {
        text.push_str(&format!(
            "{}\n  does:     {}\n  settings: {}\n  proof:    {}\n\n",
            package.name, package.does, package.settings, package.proof
        ));
    }
    text.push_str(
        "targets: leader, follower, one, minority, majority, all, or a node like n1; the default is leader\n\
         `leasehold doctor` tells which of them this machine can inject.\n",
    );
    say(&text)?;
    Ok(Exit::Valid)
}
