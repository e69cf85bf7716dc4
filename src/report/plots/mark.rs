//! Small marks, as they stand in plots and in their legends.

use super::picture::{Area, Ink, Picture};

/// The width of a mark in the legend.
pub(super) const WIDTH: i32 = 30;

/// A mark as it stands in a legend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    /// A bar with the ticks of renewals.
    Bar(Ink),
    /// A hollow bar.
    Hollow(Ink),
    /// A small diamond.
    Diamond(Ink),
    /// A cross.
    Cross(Ink),
    /// A dot.
    Dot(Ink),
    /// A line.
    Line(Ink),
}

impl Mark {
    pub(super) fn draw(self, picture: &mut Picture, x: i32, y: i32) {
        let area = Area { left: x, top: y - 8, right: x + WIDTH, bottom: y + 8 };
        let centre = (x + WIDTH / 2, y);
        match self {
            Self::Bar(ink) => picture.block(area, ink),
            Self::Hollow(ink) => hollow(picture, area, ink),
            Self::Diamond(ink) => diamond(picture, centre, 7, ink),
            Self::Cross(ink) => cross(picture, centre, 6, ink),
            Self::Dot(ink) => picture.dot(centre, 5, ink),
            Self::Line(ink) => picture.line((area.left, y), (area.right, y), ink, 3),
        }
    }
}

/// A hollow bar: what was promised and is gone.
pub(super) fn hollow(picture: &mut Picture, area: Area, ink: Ink) {
    picture.block(area, ink.faint(0.12));
    picture.outline(area, ink);
}

/// A small filled diamond.
pub(super) fn diamond(picture: &mut Picture, (x, y): (i32, i32), radius: i32, ink: Ink) {
    picture.polygon(vec![(x - radius, y), (x, y - radius), (x + radius, y), (x, y + radius)], ink);
}

/// A cross.
pub(super) fn cross(picture: &mut Picture, (x, y): (i32, i32), radius: i32, ink: Ink) {
    picture.line((x - radius, y - radius), (x + radius, y + radius), ink, 2);
    picture.line((x - radius, y + radius), (x + radius, y - radius), ink, 2);
}
