//! A field within a plot, with a name and a vertical scale of its own.

use super::palette::{GRID, HEAD, LANE, QUIET, SMALL, TEXT};
use super::picture::{Anchor, Area, Shape};
use super::scale::{number, round_step, round_values};
use super::sheet::{MARGIN, Sheet, WIDTH};
use crate::report::words;

/// A field and its vertical scale.
pub(super) struct Panel {
    top: i32,
    bottom: i32,
    scale: Scale,
}

/// Marks at the highest value need some room above it.
const HEADROOM: i32 = 8;

/// From values to their share of the height.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// Even, between two values.
    Linear(f64, f64),
    /// By powers of ten, between two positive values.
    Log(f64, f64),
}

impl Scale {
    /// An even scale that holds all the values and zero.
    pub(super) fn around_zero(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((0f64, 0f64), |(low, high), value| (low.min(value), high.max(value)));
        let step = round_step((high - low).max(1e-9) / 4.0);
        Self::Linear((low / step).floor() * step, (high / step).ceil() * step)
    }

    /// A scale of whole powers of ten that holds all the values. They must be positive.
    pub(super) fn decades(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), v| (low.min(v), high.max(v)));
        let low = 10f64.powf(low.min(high).log10().floor());
        let high = 10f64.powf(high.log10().ceil());
        Self::Log(low, high.max(low * 10.0))
    }

    /// 0 at the bottom, 1 at the top.
    fn share(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear(low, high) => (value - low) / (high - low).max(f64::MIN_POSITIVE),
            Self::Log(low, high) => (value.max(low) / low).log10() / (high / low).log10(),
        };
        share.clamp(0.0, 1.0)
    }

    /// The values of the ticks, and the step between them where it is even.
    fn ticks(self) -> (Vec<f64>, Option<f64>) {
        match self {
            Self::Linear(low, high) => {
                let step = round_step((high - low) / 4.0);
                (round_values(low, high, step), Some(step))
            }
            Self::Log(low, high) => {
                let decades = (high / low).log10().round().clamp(1.0, 12.0) as i32;
                let every = if decades > 5 { 2 } else { 1 };
                ((0..=decades).step_by(every).map(|power| low * 10f64.powi(power)).collect(), None)
            }
        }
    }
}

impl Panel {
    /// Opens a field of this height on the sheet.
    pub(super) fn open(sheet: &mut Sheet<'_>, name: &str, height: i32, scale: Scale, unit: &Unit) -> Self {
        let panel = Self { top: sheet.y + 6, bottom: sheet.y + height, scale };
        sheet.picture.ground(panel.area(sheet), LANE);
        let name = words::one_line(name, 24);
        sheet.picture.fitted(&name, (MARGIN, panel.top + 10), 118, HEAD, TEXT);
        let (ticks, step) = scale.ticks();
        for tick in ticks {
            let y = panel.y(tick);
            sheet.picture.behind(Shape::Path(vec![(sheet.left(), y), (sheet.right(), y)], GRID, 1));
            let text = unit.of(tick, step);
            sheet.picture.text(text, (sheet.left() - 8, y), Anchor::End, SMALL, QUIET);
        }
        sheet.y = panel.bottom + 18;
        debug_assert!(sheet.right() < WIDTH);
        panel
    }

    /// Where the field is.
    pub(super) fn area(&self, sheet: &Sheet<'_>) -> Area {
        Area { left: sheet.left(), top: self.top, right: sheet.right(), bottom: self.bottom }
    }

    /// The row of a value.
    pub(super) fn y(&self, value: f64) -> i32 {
        self.bottom - (self.scale.share(value) * f64::from(self.bottom - self.top - HEADROOM)).round() as i32
    }
}

/// How the ticks of a scale are written.
pub(super) enum Unit {
    /// Milliseconds and seconds, of values in ms.
    Latency,
    /// A number and a unit behind it.
    Named(&'static str),
}

impl Unit {
    fn of(&self, value: f64, step: Option<f64>) -> String {
        match self {
            Self::Latency if value >= 999.0 => format!("{:.0} s", value / 1e3),
            Self::Latency if value >= 0.999 => format!("{value:.0} ms"),
            Self::Latency => format!("{:.0} µs", (value * 1e3).max(1.0)),
            Self::Named(unit) => format!("{} {unit}", number(value, step.unwrap_or(1.0))).trim_end().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_what_they_were_made_for() {
        let Scale::Linear(low, high) = Scale::around_zero([-3.0, 8.5].into_iter()) else { panic!("linear") };
        assert!(low <= -3.0 && high >= 8.5);
        let Scale::Log(low, high) = Scale::decades([0.4, 2300.0].into_iter()) else { panic!("log") };
        assert!((low - 0.1).abs() < 1e-9 && (high - 10_000.0).abs() < 1e-6);
    }

    #[test]
    fn no_value_at_all_is_a_scale_too() {
        assert!(Scale::around_zero(std::iter::empty()).share(0.0).is_finite());
        assert!(Scale::decades(std::iter::empty()).share(5.0).is_finite());
        assert!(Scale::decades(std::iter::once(1.0)).share(1.0).abs() < 1e-9);
    }
}
