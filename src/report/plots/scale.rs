//! From times and numbers to pixels, and where the ticks stand.

/// A linear scale from times in ns to columns of pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeScale {
    pub from_ns: u64,
    pub to_ns: u64,
    pub left: i32,
    pub right: i32,
}

impl TimeScale {
    /// The column of a time; times outside stand at the edge.
    pub(super) fn x(&self, ns: u64) -> i32 {
        let length = self.to_ns.saturating_sub(self.from_ns).max(1) as f64;
        let part = ns.saturating_sub(self.from_ns) as f64 / length;
        self.left + (part.min(1.0) * f64::from(self.right - self.left)).round() as i32
    }

    /// Whether any of this time lies in the window.
    pub(super) fn sees(&self, from_ns: u64, to_ns: u64) -> bool {
        from_ns <= self.to_ns && to_ns >= self.from_ns
    }

    /// Ticks at round seconds: the column and the text.
    pub(super) fn ticks(&self, at_most: usize) -> Vec<(i32, String)> {
        let from = self.from_ns as f64 / 1e9;
        let to = self.to_ns as f64 / 1e9;
        let step = round_step((to - from) / at_most.max(1) as f64);
        round_values(from, to, step)
            .into_iter()
            .map(|value| (self.x((value * 1e9).round() as u64), number(value, step)))
            .collect()
    }
}

/// The smallest of 1, 2, 5, 10, 20, 50 … (and their parts) that is not below `rough`.
pub(in crate::report) fn round_step(rough: f64) -> f64 {
    if !rough.is_finite() || rough <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough * 0.999).unwrap_or(power)
}

/// The multiples of `step` from `from` to `to`.
pub(super) fn round_values(from: f64, to: f64, step: f64) -> Vec<f64> {
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last.min(first.saturating_add(100))).map(|index| index as f64 * step).collect()
}

/// A number with as many decimals as its step needs.
pub(super) fn number(value: f64, step: f64) -> String {
    let decimals = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') { "0".to_owned() } else { text }
}

/// Puts intervals that overlap on rows of their own: for each interval its row. They come in the order of their
/// beginnings. Where more than `rows` are needed, an interval goes to the row that is free the soonest.
pub(super) fn stack<T: Copy + Ord>(intervals: &[(T, T)], rows: usize) -> Vec<usize> {
    let mut free_from: Vec<T> = Vec::new();
    intervals
        .iter()
        .map(|(from, to)| {
            let free = free_from.iter().position(|free| free <= from);
            let row = match free {
                None if free_from.len() < rows.max(1) => {
                    free_from.push(*to);
                    return free_from.len() - 1;
                }
                None => soonest(&free_from),
                Some(row) => row,
            };
            free_from[row] = (*to).max(free_from[row]);
            row
        })
        .collect()
}

fn soonest<T: Ord>(free_from: &[T]) -> usize {
    free_from.iter().enumerate().min_by_key(|(_, free)| *free).map_or(0, |(row, _)| row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert!((round_step(3.0) - 5.0).abs() < 1e-9);
        assert!((round_step(0.11) - 0.2).abs() < 1e-9);
        assert_eq!(number(0.4, 0.2), "0.4");
        assert_eq!(number(-0.0, 0.2), "0");
        assert_eq!(round_values(0.0, 10.0, 5.0).len(), 3);
    }

    #[test]
    fn overlapping_bars_stand_on_rows_of_their_own() {
        assert_eq!(stack(&[(0, 10), (5, 20), (10, 12), (11, 30)], 8), [0, 1, 0, 2]);
        assert_eq!(stack(&[(0, 10), (1, 20), (2, 12)], 2), [0, 1, 0]);
    }

    #[test]
    fn a_window_of_no_length_has_a_scale() {
        let scale = TimeScale { from_ns: 5, to_ns: 5, left: 0, right: 100 };
        assert_eq!(scale.x(5), 0);
        assert!(scale.ticks(10).len() <= 101);
    }
}
