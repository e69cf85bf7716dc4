//! `leasehold doctor`.

use super::terminal::say;
use super::{Exit, Failure};
use crate::clock;
use crate::sandbox::probe;

pub(super) fn doctor() -> Result<Exit, Failure> {
    let mut probes = probe::probes();
    probes.push(probe::Probe {
        name: "clock hook",
        needed_for: "the fault `clock`",
        outcome: clock::supported().map(|()| "works".to_owned()).map_err(|error| chain(&error)),
        remedy: None,
    });
    let mut text = String::new();
    for probe in &probes {
        let (mark, what) = match &probe.outcome {
            Ok(what) => ("ok  ", what),
            Err(cause) => ("FAIL", cause),
        };
        text.push_str(&format!("{mark} {:28} {what}\n", probe.name));
        if probe.outcome.is_err() {
            text.push_str(&format!("     needed for {}\n", probe.needed_for));
            if let Some(remedy) = &probe.remedy {
                text.push_str(&format!("     to mend it: {remedy}\n"));
            }
        }
    }
    say(&text)?;
    Ok(Exit::Valid)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
