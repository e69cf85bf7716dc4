//! Any text as a scenario: it makes one, or an error that names a place in the text.

#![no_main]

use leasehold::scenario::{Scenario, ScenarioError};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match Scenario::parse("it", "it.toml", text) {
        Ok(scenario) => drop(scenario.without_faults()),
        Err(ScenarioError::Wrong { place, message }) => {
            assert!((1..=text.split('\n').count()).contains(&place.line), "{place}: {message}");
            let longest = text.split('\n').map(|line| line.chars().count()).max().unwrap_or(0);
            assert!((1..=longest + 1).contains(&place.column), "{place}: {message}");
            assert!(!message.is_empty());
        }
        Err(other) => panic!("{other}"),
    }
});
