//! What the probes measured of the servers' clocks.

use leasehold_checkers::history::vocabulary::{ClockValue, f};
use leasehold_checkers::history::{Event, EventType, Process, RunTime, Word};

/// One measurement of one clock.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct ClockReading {
    /// When it was read.
    pub at: RunTime,
    /// The node, and which of its clocks, where it is not the wall clock.
    pub clock: Word,
    /// Whether it is the monotonic clock.
    pub is_monotonic: bool,
    /// By how much it is ahead of the harness, in ns.
    pub offset_ns: i64,
}

pub(super) fn of(events: &[Event]) -> Vec<ClockReading> {
    events
        .iter()
        .filter(|event| event.process == Process::Probe && event.kind == EventType::Ok)
        .filter_map(|event| {
            let node = event.node.as_ref()?;
            let clock = match event.f.as_str() {
                f::CLOCK => node.clone(),
                f::MONOTONIC_CLOCK => format!("{node} monotonic").into(),
                _ => return None,
            };
            let value: ClockValue = event.value.read().ok()?;
            Some(ClockReading {
                at: event.time,
                clock,
                is_monotonic: event.f == f::MONOTONIC_CLOCK,
                offset_ns: value.offset_ns,
            })
        })
        .collect()
}
