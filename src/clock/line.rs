//! The arithmetic of one clock.

use super::{ClockError, Skew};

/// Rates are fixed-point numbers with 32 bits behind the point, so that the hook needs one multiplication and one
/// shift. The rounding is worth less than 8 ms a year.
const ONE: i128 = 1 << 32;
const MILLION: i128 = 1_000_000;

const LARGEST_OFFSET_NS: u64 = 50 * 365 * 86_400 * 1_000_000_000;

/// The rates that a clock can be given: from standing still to ten times its pace.
pub const RATES_PPM: std::ops::RangeInclusive<i64> = -1_000_000..=9_000_000;

/// The line that a clock of the process follows: what it shows more than the kernel's clock, for each reading of that.
///
/// The hook computes the same in assembly; the tests hold the two together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Line {
    /// The difference at the reference.
    pub(super) offset_ns: i64,
    /// The reading of the kernel's clock from which on the rate counts.
    pub(super) reference_ns: i64,
    /// What a nanosecond of the kernel's clock adds to the difference, times 2^32.
    pub(super) rate_q32: i64,
}

impl Line {
    /// The line that has this skew where the kernel's clock shows `reference_ns`.
    pub(super) fn through(reference_ns: i64, skew: Skew) -> Line {
        let rate_q32 = divide_rounded(i128::from(skew.rate_ppm) * ONE, MILLION);
        Line { offset_ns: skew.offset_ns, reference_ns, rate_q32 }
    }

    /// The skew where the kernel's clock shows `real_ns`.
    pub(super) fn skew_at(self, real_ns: i64) -> Skew {
        let elapsed_ns = i128::from(real_ns) - i128::from(self.reference_ns);
        let drift_ns = (elapsed_ns * i128::from(self.rate_q32)) >> 32;
        Skew {
            offset_ns: self.offset_ns.wrapping_add(drift_ns as i64),
            rate_ppm: divide_rounded(i128::from(self.rate_q32) * MILLION, ONE),
        }
    }
}

/// The quotient of two numbers that fits into 64 bits, rounded to the nearest.
fn divide_rounded(dividend: i128, divisor: i128) -> i64 {
    (dividend + divisor / 2).div_euclid(divisor) as i64
}

/// Refuses what would make the hook's arithmetic overflow or a clock run backwards.
pub(super) fn check(skew: Skew) -> Result<Skew, ClockError> {
    if skew.offset_ns.unsigned_abs() > LARGEST_OFFSET_NS {
        return Err(ClockError::OutOfRange { what: "the offset in ns", value: skew.offset_ns.into() });
    }
    if !RATES_PPM.contains(&skew.rate_ppm) {
        return Err(ClockError::OutOfRange { what: "the rate in ppm", value: skew.rate_ppm.into() });
    }
    Ok(skew)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any time from 1970 to 2100.
    fn instant() -> impl Strategy<Value = i64> {
        0..4_102_444_800_000_000_000i64
    }

    fn skew() -> impl Strategy<Value = Skew> {
        let largest = LARGEST_OFFSET_NS as i64;
        (-largest..=largest, RATES_PPM).prop_map(|(offset_ns, rate_ppm)| Skew { offset_ns, rate_ppm })
    }

    proptest! {
        #[test]
        fn the_rate_survives_its_encoding(reference in instant(), skew in skew()) {
            prop_assert_eq!(Line::through(reference, skew).skew_at(reference), skew);
        }

        #[test]
        fn the_clock_follows_its_rate(reference in instant(), elapsed in -1_000_000_000_000i64..100_000_000_000_000, skew in skew()) {
            let shown = Line::through(reference, skew).skew_at(reference + elapsed).offset_ns;
            let exact = i128::from(skew.offset_ns) + i128::from(elapsed) * i128::from(skew.rate_ppm) / MILLION;
            let rounding = i128::from(elapsed.unsigned_abs()) / (2 * ONE) + 2;
            prop_assert!((i128::from(shown) - exact).abs() <= rounding, "shown {} exact {}", shown, exact);
        }

        #[test]
        fn a_change_of_rate_keeps_the_clock_continuous(
            start in instant(),
            skew in skew(),
            changes in prop::collection::vec((0..1_000_000_000_000i64, RATES_PPM), 1..20),
        ) {
            let mut now = start;
            let mut line = Line::through(start, skew);
            for (after, rate_ppm) in changes {
                now += after;
                let before = line.skew_at(now);
                line = Line::through(now, Skew { rate_ppm, ..before });
                prop_assert_eq!(line.skew_at(now), Skew { offset_ns: before.offset_ns, rate_ppm });
            }
        }
    }

    #[test]
    fn impossible_skews_are_refused() {
        let refused = |offset_ns, rate_ppm| check(Skew { offset_ns, rate_ppm }).is_err();
        assert!(!refused(0, -1_000_000) && !refused(0, 9_000_000) && !refused(-(LARGEST_OFFSET_NS as i64), 0));
        assert!(refused(0, -1_000_001) && refused(0, 9_000_001), "a rate beyond its limits");
        assert!(refused(i64::MIN, 0) && refused(LARGEST_OFFSET_NS as i64 + 1, 0), "an offset beyond its limits");
    }
}
