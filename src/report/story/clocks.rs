//! What the probes measured of the servers' clocks.

use leasehold_checkers::history::vocabulary::{ClockValue, f};
use leasehold_checkers::history::{Event, EventType, Process, RunTime};

/// One measurement of one node's wall clock.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct ClockReading<'a> {
    /// When it was read.
    pub at: RunTime,
    /// The node.
    pub node: &'a str,
    /// By how much it is ahead of the harness, in ns.
    pub offset_ns: i64,
}

pub(super) fn of(events: &[Event]) -> Vec<ClockReading<'_>> {
    events
        .iter()
        .filter(|event| event.process == Process::Probe && event.kind == EventType::Ok && event.f == f::CLOCK)
        .filter_map(|event| {
            let value: ClockValue = event.value.read().ok()?;
            Some(ClockReading { at: event.time, node: event.node.as_deref()?, offset_ns: value.offset_ns })
        })
        .collect()
}
