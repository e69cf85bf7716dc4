//! The clocks of one server.

use std::sync::Arc;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::{Member, State};
use crate::clock::{ClockError, ClockHook, MonotonicReading, Skew};
use crate::cluster::clock_layers::ClockLayers;
use crate::cluster::{Clocks, ClusterError, Layer};

/// What of a server's clocks a fault may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMove {
    /// The wall clock is this far off, and drifts so, from now on.
    Wall(Skew),
    /// The monotonic clocks run faster by so many millionths, from now on.
    MonotonicRate(i64),
}

/// Hooks a process whose clocks are to be off by these layers.
pub(super) fn hook(pid: Pid, clock: &ClockLayers) -> Result<ClockHook, ClockError> {
    let hook = ClockHook::inject(pid, clock.wall_at(now_ns()))?;
    if clock.monotonic_ppm() != 0 {
        hook.set_monotonic_rate(clock.monotonic_ppm())?;
    }
    Ok(hook)
}

/// The machine's monotonic clock, which no fault moves.
fn now_ns() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every kernel that can run this program has this clock");
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}

impl Member {
    pub(in crate::cluster) fn resting_offset_ms(&self) -> i64 {
        self.resting_offset_ms
    }

    /// How far its wall clock is to be off now, and how fast it is to drift.
    pub(in crate::cluster) fn intended_clock(&self) -> Skew {
        self.state().clock.wall_at(now_ns())
    }

    /// The same of its monotonic clock.
    pub(in crate::cluster) fn intended_monotonic(&self) -> Skew {
        self.hook_in(&self.state()).map(|hook| hook.monotonic()).unwrap_or_default()
    }

    /// A fault's part in its clocks is this from now on.
    pub(in crate::cluster) fn move_clock(&self, layer: Layer, to: ClockMove) -> Result<(), ClusterError> {
        self.change_clock(|clock| match to {
            ClockMove::Wall(skew) => clock.put_wall(layer, skew, now_ns()),
            ClockMove::MonotonicRate(rate_ppm) => clock.put_monotonic(layer, rate_ppm),
        })
    }

    /// Takes a fault's part in its clocks back.
    pub(in crate::cluster) fn free_clock(&self, layer: Layer) -> Result<(), ClusterError> {
        self.change_clock(|clock| clock.take(layer))
    }

    /// Puts its wall clock right, whatever has moved it.
    pub(in crate::cluster) fn reset_clock(&self) -> Result<(), ClusterError> {
        self.change_clock(|clock| clock.reset(now_ns()))
    }

    /// How far its monotonic clock was off when it last looked at it; `None` if it has not since that was moved.
    pub(in crate::cluster) fn monotonic_reading(&self) -> Result<Option<MonotonicReading>, ClusterError> {
        let hook = self.hook_in(&self.state());
        let reading = hook.map(|hook| hook.last_monotonic_reading()).transpose();
        reading.map(Option::flatten).map_err(|source| ClusterError::Clock { node: self.node, source })
    }

    fn change_clock(&self, change: impl FnOnce(&mut ClockLayers)) -> Result<(), ClusterError> {
        let mut state = self.state();
        if self.clocks == Clocks::Untouched {
            return Err(ClusterError::ClockUntouched(self.node));
        }
        change(&mut state.clock);
        // A process that does not run gets its clock when it starts.
        let Some(hook) = self.hook_in(&state) else { return Ok(()) };
        let (wall, monotonic_ppm) = (state.clock.wall_at(now_ns()), state.clock.monotonic_ppm());
        let moved = hook.set_wall(wall).and_then(|()| match hook.monotonic().rate_ppm == monotonic_ppm {
            true => Ok(()),
            false => hook.set_monotonic_rate(monotonic_ppm),
        });
        match moved {
            // It has died, and the next one is hooked anew.
            Err(ClockError::Gone { .. }) => Ok(()),
            moved => moved.map_err(|source| ClusterError::Clock { node: self.node, source }),
        }
    }

    fn hook_in(&self, state: &State) -> Option<Arc<ClockHook>> {
        state.running.as_ref().and_then(|running| running.hook.clone())
    }
}
