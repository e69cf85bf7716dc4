//! The built-in font, and how much room its letters take.

use std::sync::OnceLock;

use plotters::style::{FontFamily, FontStyle, IntoFont as _, register_font};

use super::picture::Type;
use crate::report::ReportError;

/// The only family that is used. An SVG that names it is shown in the reader's own sans-serif.
pub(super) const FAMILY: FontFamily<'static> = FontFamily::SansSerif;

/// Makes the font known to the drawing library; nothing can be measured or drawn before.
pub(super) fn register() -> Result<(), ReportError> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        let regular = register_font(FAMILY.as_str(), FontStyle::Normal, dejavu::sans::regular());
        let bold = register_font(FAMILY.as_str(), FontStyle::Bold, dejavu::sans::bold());
        regular.is_ok() && bold.is_ok()
    });
    if *registered { Ok(()) } else { Err(ReportError::Font) }
}

/// The style's name as the drawing library wants it.
pub(super) fn style(kind: Type) -> FontStyle {
    if kind.bold { FontStyle::Bold } else { FontStyle::Normal }
}

/// How many pixels a text takes.
pub(super) fn width(text: &str, kind: Type) -> i32 {
    let font = (FAMILY, kind.size, style(kind)).into_font();
    font.box_size(text).map_or_else(|_| guess(text, kind), |(width, _)| width as i32)
}

/// DejaVu's letters are some six tenths as wide as the line is high.
fn guess(text: &str, kind: Type) -> i32 {
    (text.chars().count() as f64 * kind.size * 0.6) as i32
}

/// The text, or as much of its beginning as fits with an ellipsis; `None` where fewer than three letters would.
pub(super) fn fit(text: &str, kind: Type, room: i32) -> Option<String> {
    if width(text, kind) <= room {
        return Some(text.to_owned());
    }
    let letters: Vec<char> = text.chars().collect();
    let shortened = |kept: usize| -> String { letters.iter().take(kept).chain(&['…']).collect() };
    let mut fits = 0;
    let mut too_many = letters.len();
    while fits + 1 < too_many {
        let middle = usize::midpoint(fits, too_many);
        if width(&shortened(middle), kind) <= room {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    (fits >= 3).then(|| shortened(fits))
}
