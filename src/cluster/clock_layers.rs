//! What several faults make of one clock together.

use std::collections::BTreeMap;

use super::Layer;
use crate::clock::{RATES_PPM, Skew};

const MILLION: i128 = 1_000_000;

/// The layers of one node's clocks: where they rest, and what each fault adds.
///
/// Instants are those of the machine's monotonic clock, in nanoseconds, so that a drift goes on while the node's process is
/// down, and a new process comes up with all that has been gained by then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClockLayers {
    /// By how much the wall clock is off when no fault moves it.
    resting_ns: i64,
    wall: BTreeMap<Layer, Part>,
    /// A monotonic clock has no time that it could be put back to, so of these only the rates are layers.
    monotonic_ppm: BTreeMap<Layer, i64>,
}

/// What one fault adds to a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    skew: Skew,
    /// When its offset was that of the skew.
    since_ns: i64,
}

impl Part {
    fn offset_at(&self, now_ns: i64) -> i128 {
        let elapsed_ns = i128::from(now_ns) - i128::from(self.since_ns);
        i128::from(self.skew.offset_ns) + elapsed_ns * i128::from(self.skew.rate_ppm) / MILLION
    }
}

impl ClockLayers {
    pub(super) fn resting_at(resting_ns: i64) -> Self {
        Self { resting_ns, ..Self::default() }
    }

    /// A fault's part in the wall clock is this from now on, whatever it was before.
    pub(super) fn put_wall(&mut self, layer: Layer, skew: Skew, now_ns: i64) {
        self.wall.insert(layer, Part { skew, since_ns: now_ns });
    }

    /// A fault's part in the rate of the monotonic clocks.
    pub(super) fn put_monotonic(&mut self, layer: Layer, rate_ppm: i64) {
        self.monotonic_ppm.insert(layer, rate_ppm);
    }

    /// Takes back what this fault has added, and nothing else.
    pub(super) fn take(&mut self, layer: Layer) {
        self.wall.remove(&layer);
        self.monotonic_ppm.remove(&layer);
    }

    /// The wall clock is put right: nothing is left of what any fault has added so far, nor of where it rested. A clock that
    /// drifts goes on drifting from there.
    pub(super) fn reset(&mut self, now_ns: i64) {
        self.resting_ns = 0;
        for part in self.wall.values_mut() {
            *part = Part { skew: Skew { offset_ns: 0, ..part.skew }, since_ns: now_ns };
        }
    }

    /// How far off the wall clock is, and how fast it drifts: the sum of all parts. No clock runs backwards, or faster than
    /// the hook allows: beyond that the rate of the sum is cut, and the offset put right at the next change.
    pub(super) fn wall_at(&self, now_ns: i64) -> Skew {
        let offset_ns =
            self.wall.values().map(|part| part.offset_at(now_ns)).sum::<i128>() + i128::from(self.resting_ns);
        let rates = self.wall.values().map(|part| part.skew.rate_ppm);
        Skew {
            offset_ns: i64::try_from(offset_ns).unwrap_or(if offset_ns < 0 { i64::MIN } else { i64::MAX }),
            rate_ppm: sum_of_rates(rates),
        }
    }

    pub(super) fn monotonic_ppm(&self) -> i64 {
        sum_of_rates(self.monotonic_ppm.values().copied())
    }
}

fn sum_of_rates(rates: impl Iterator<Item = i64>) -> i64 {
    rates.fold(0, i64::saturating_add).clamp(*RATES_PPM.start(), *RATES_PPM.end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn by(offset_ns: i64, rate_ppm: i64) -> Skew {
        Skew { offset_ns, rate_ppm }
    }

    /// What a fault of one of a few layers does, and after how long.
    #[derive(Clone, Debug)]
    enum Step {
        Wall(usize, Skew),
        Monotonic(usize, i64),
        Heal(usize),
    }

    fn step() -> impl Strategy<Value = (i64, Step)> {
        let what = prop_oneof![
            (0..4usize, -10 * SECOND..10 * SECOND, -500_000..500_000i64)
                .prop_map(|(layer, offset_ns, rate_ppm)| Step::Wall(layer, by(offset_ns, rate_ppm))),
            (0..4usize, -500_000..500_000i64).prop_map(|(layer, rate_ppm)| Step::Monotonic(layer, rate_ppm)),
            (0..4usize).prop_map(Step::Heal),
        ];
        (0..5 * SECOND, what)
    }

    proptest! {
        #[test]
        fn any_order_of_faults_ends_at_rest(
            resting_ns in -SECOND..SECOND,
            steps in prop::collection::vec(step(), 0..30),
            order in Just([0usize, 1, 2, 3]).prop_shuffle(),
        ) {
            let layers: Vec<Layer> = (0..4).map(|_| Layer::new()).collect();
            let mut clock = ClockLayers::resting_at(resting_ns);
            let mut now = 0;
            for (after, step) in steps {
                now += after;
                match step {
                    Step::Wall(layer, skew) => clock.put_wall(layers[layer], skew, now),
                    Step::Monotonic(layer, rate_ppm) => clock.put_monotonic(layers[layer], rate_ppm),
                    Step::Heal(layer) => clock.take(layers[layer]),
                }
            }
            for layer in order {
                clock.take(layers[layer]);
            }
            prop_assert_eq!(clock, ClockLayers::resting_at(resting_ns));
        }

        #[test]
        fn a_healed_fault_takes_its_own_part_back_and_no_other(
            mine in (-SECOND..SECOND, -400_000..400_000i64),
            others in prop::collection::vec((-SECOND..SECOND, -100_000..100_000i64), 0..4),
            length in 0..100 * SECOND,
        ) {
            let mut clock = ClockLayers::default();
            for (offset_ns, rate_ppm) in others {
                clock.put_wall(Layer::new(), by(offset_ns, rate_ppm), 0);
            }
            let without = clock.clone();
            let layer = Layer::new();
            clock.put_wall(layer, by(mine.0, mine.1), SECOND);
            let (with, rest) = (clock.wall_at(SECOND + length), without.wall_at(SECOND + length));
            let own = i128::from(mine.0) + i128::from(length) * i128::from(mine.1) / MILLION;
            prop_assert_eq!(i128::from(with.offset_ns - rest.offset_ns), own);
            prop_assert_eq!(with.rate_ppm - rest.rate_ppm, mine.1);
            clock.take(layer);
            prop_assert_eq!(clock, without);
        }
    }

    #[test]
    fn a_drift_goes_on_while_nobody_looks() {
        let mut clock = ClockLayers::resting_at(SECOND);
        clock.put_wall(Layer::new(), by(0, 100_000), 0);
        assert_eq!(clock.wall_at(10 * SECOND), by(2 * SECOND, 100_000));
    }

    #[test]
    fn a_clock_that_is_put_right_keeps_its_pace() {
        let mut clock = ClockLayers::resting_at(-SECOND);
        let (bump, drift) = (Layer::new(), Layer::new());
        clock.put_wall(bump, by(9 * SECOND, 0), 0);
        clock.put_wall(drift, by(0, 100_000), 0);
        clock.reset(10 * SECOND);
        assert_eq!(clock.wall_at(10 * SECOND), by(0, 100_000));
        assert_eq!(clock.wall_at(20 * SECOND), by(SECOND, 100_000));
        clock.take(bump);
        assert_eq!(clock.wall_at(20 * SECOND), by(SECOND, 100_000), "of the bump nothing was left");
        clock.take(drift);
        assert_eq!(clock.wall_at(20 * SECOND), by(0, 0), "nor of where it rested");
    }

    #[test]
    fn no_sum_of_rates_runs_backwards() {
        let mut clock = ClockLayers::default();
        for _ in 0..3 {
            clock.put_wall(Layer::new(), by(0, -600_000), 0);
            clock.put_monotonic(Layer::new(), -600_000);
        }
        assert_eq!(clock.wall_at(SECOND), by(-1_800_000_000, -1_000_000));
        assert_eq!(clock.monotonic_ppm(), -1_000_000);
    }
}
