//! Drawing a picture's shapes on any backend.

use plotters::coord::Shift;
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::prelude::{DrawingArea, DrawingAreaErrorKind, DrawingBackend, RGBAColor};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoTextStyle as _, ShapeStyle, WHITE};

use super::font;
use super::picture::{Anchor, Area, Ink, Label, Picture, Shape};

type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// By how much of its size a text has to be lowered to stand centred on its point. The backends disagree: SVG centres
/// the small letters, the bitmap centres a box that leaves room for accents.
pub(super) const SVG_LOWERED: f64 = 0.03;
pub(super) const BITMAP_LOWERED: f64 = 0.2;

/// Draws the whole picture.
pub(super) fn draw<DB: DrawingBackend>(picture: &Picture, lowered: f64, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
    area.fill(&WHITE)?;
    for shape in picture.shapes() {
        match shape {
            Shape::Block(at, ink) => area.draw(&Rectangle::new(corners(*at), colour(*ink).filled()))?,
            Shape::Outline(at, ink) => area.draw(&Rectangle::new(corners(*at), colour(*ink).stroke_width(1)))?,
            Shape::Path(points, ink, width) => path(points, *ink, *width, area)?,
            Shape::Polygon(points, ink) => area.draw(&Polygon::new(points.clone(), colour(*ink).filled()))?,
            Shape::Dot(at, radius, ink) => area.draw(&Circle::new(*at, *radius, colour(*ink).filled()))?,
            Shape::Text(label) => write(label, lowered, area)?,
        }
    }
    area.present()
}

/// Draws a path piece by piece: upright and level pieces as rectangles, for as lines the bitmap would blur them.
fn path<DB: DrawingBackend>(points: &[(i32, i32)], ink: Ink, width: u32, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
    let width_px = width as i32;
    for piece in points.windows(2) {
        let (from, to) = (piece[0], piece[1]);
        if from.0 == to.0 || from.1 == to.1 {
            let (left, top) = (from.0.min(to.0) - width_px / 2, from.1.min(to.1) - width_px / 2);
            // A rectangle ends before its right and bottom edge.
            let (right, bottom) = (left + (from.0 - to.0).abs() + width_px, top + (from.1 - to.1).abs() + width_px);
            area.draw(&Rectangle::new([(left, top), (right, bottom)], colour(ink).filled()))?;
        } else {
            area.draw(&PathElement::new(piece.to_vec(), stroke(ink, width)))?;
        }
    }
    Ok(())
}

fn write<DB: DrawingBackend>(label: &Label, lowered: f64, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
    let horizontal = match label.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let ink = colour(label.ink);
    let style = (font::FAMILY, label.kind.size, font::style(label.kind))
        .into_text_style(area)
        .color(&ink)
        .pos(Pos::new(horizontal, VPos::Center));
    area.draw_text(&label.text, &style, (label.x, label.y + (label.kind.size * lowered).round() as i32))
}

fn corners(area: Area) -> [(i32, i32); 2] {
    [(area.left, area.top), (area.right, area.bottom)]
}

fn stroke(ink: Ink, width: u32) -> ShapeStyle {
    colour(ink).stroke_width(width)
}

fn colour(ink: Ink) -> RGBAColor {
    RGBAColor(ink.red, ink.green, ink.blue, ink.alpha)
}
