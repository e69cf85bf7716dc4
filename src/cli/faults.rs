//! `leasehold faults`.

use super::terminal::say;
use super::{Exit, Failure};
use crate::nemesis::{Aims, CLIENT_WORDS, CONDITION_FORMS, Course, PACKAGES, Package, TARGET_WORDS};

pub(super) fn faults() -> Result<Exit, Failure> {
    let mut text = String::new();
    for package in PACKAGES {
        text.push_str(&described(package));
    }
    let (nodes, clients) = (TARGET_WORDS.join(", "), CLIENT_WORDS.join(", "));
    let conditions = CONDITION_FORMS.map(|form| format!("\"{form}\"")).join(", ");
    text.push_str(&format!(
        "all packages: at_ms (the beginning), jitter_ms (put off by up to this), every_ms and times (to repeat it);\n  \
           within_ms and times (at random); when and times, cooldown_ms (on a condition); phase (one after another)\n\
         targets that are nodes: {nodes}, one like n1, or a data centre like dc:east; the default is leader\n\
         targets that are clients: {clients}; `holder:KEY` and `holder-node:KEY` are about one lock\n\
         conditions: {conditions}\n\
         `leasehold doctor` tells which of them are possible on this machine.\n",
    ));
    say(&text)?;
    Ok(Exit::Valid)
}

fn described(package: &Package) -> String {
    let mut text = format!("{}\n  does:     {}\n", package.name, package.does);
    for setting in package.settings {
        text.push_str(&format!("  {}: {}\n", setting.name, setting.says));
    }
    let target = match package.aims {
        Aims::AtTarget => Some("target (nodes)"),
        Aims::AtTargetOrClient => Some("target (nodes or a client)"),
        Aims::AtLeader => None,
    };
    let lasts = (package.course == Course::Lasts).then_some("lasts_ms");
    let common: Vec<&str> = target.into_iter().chain(lasts).collect();
    if !common.is_empty() {
        text.push_str(&format!("  and:      {}\n", common.join(", ")));
    }
    text.push_str(&format!("  proof:    {}\n\n", package.proof));
    text
}
