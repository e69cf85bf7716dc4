//! A picture as a list of shapes.
//!
//! Plots are laid out here without any notion of a file format, then drawn by [`super::render`] once as SVG and once
//! as PNG. A list can also be looked at by tests: no two labels may overlap.

use super::font;

/// A colour with its opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ink {
    pub red: u8,
    pub green: u8,
    pub blue: u8,
    pub alpha: f64,
}

impl Ink {
    pub(super) const fn new(rgb: u32) -> Self {
        Self { red: (rgb >> 16) as u8, green: (rgb >> 8) as u8, blue: rgb as u8, alpha: 1.0 }
    }

    pub(super) const fn faint(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// As pages write it, without its opacity.
    pub(super) fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }

    /// Whether white text reads better on it than black.
    pub(super) fn is_dark(self) -> bool {
        let light = 0.299 * f64::from(self.red) + 0.587 * f64::from(self.green) + 0.114 * f64::from(self.blue);
        light < 140.0
    }
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Area {
    pub(super) fn width(self) -> i32 {
        self.right - self.left
    }
}

/// On which side of its point a text stands. It is always centred on its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// It begins there.
    Start,
    /// It is centred there.
    Middle,
    /// It ends there.
    End,
}

/// The size and weight of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Type {
    pub size: f64,
    pub bold: bool,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    pub text: String,
    pub x: i32,
    pub y: i32,
    pub anchor: Anchor,
    pub kind: Type,
    pub ink: Ink,
}

/// Something drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// A filled rectangle.
    Block(Area, Ink),
    /// The outline of a rectangle.
    Outline(Area, Ink),
    /// A line through points, of a width in pixels.
    Path(Vec<(i32, i32)>, Ink, u32),
    /// A filled polygon.
    Polygon(Vec<(i32, i32)>, Ink),
    /// A filled circle and its radius.
    Dot((i32, i32), i32, Ink),
    /// Text.
    Text(Label),
}

/// A list of shapes, those further back first.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// The width in pixels.
    pub width: i32,
    /// The height in pixels.
    pub height: i32,
    /// The row below the title and the line that says which run it was.
    head: i32,
    /// How many of the shapes in front belong to those.
    head_shapes: usize,
    ground: Vec<Shape>,
    back: Vec<Shape>,
    front: Vec<Shape>,
}

impl Picture {
    pub(super) fn new(width: i32) -> Self {
        let (ground, back, front) = (Vec::new(), Vec::new(), Vec::new());
        Self { width, height: 0, head: 0, head_shapes: 0, ground, back, front }
    }

    /// Says that what was drawn so far, above this row, is the title.
    pub(super) fn end_head(&mut self, row: i32) {
        self.head = row;
        self.head_shapes = self.front.len();
    }

    /// The same without its title, for a page that has a heading of its own, and the row at which it begins.
    pub(super) fn without_head(mut self) -> (Self, i32) {
        self.front.drain(..self.head_shapes);
        self.head_shapes = 0;
        let top = std::mem::take(&mut self.head);
        (self, top)
    }

    /// All shapes in the order in which they are to be drawn.
    pub(super) fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.ground.iter().chain(&self.back).chain(&self.front)
    }

    /// Draws a ground, behind all else.
    pub(super) fn ground(&mut self, area: Area, ink: Ink) {
        self.ground.push(Shape::Block(area, ink));
    }

    /// Draws behind everything that stands in front.
    pub(super) fn behind(&mut self, shape: Shape) {
        self.back.push(shape);
    }

    /// Lets everything behind that reaches further down end at this row.
    pub(super) fn end_at(&mut self, row: i32) {
        for shape in &mut self.back {
            match shape {
                Shape::Block(area, _) => area.bottom = area.bottom.min(row),
                Shape::Path(points, _, _) => points.iter_mut().for_each(|point| point.1 = point.1.min(row)),
                _ => {}
            }
        }
    }

    pub(super) fn block(&mut self, area: Area, ink: Ink) {
        self.front.push(Shape::Block(area, ink));
    }

    pub(super) fn outline(&mut self, area: Area, ink: Ink) {
        self.front.push(Shape::Outline(area, ink));
    }

    pub(super) fn line(&mut self, from: (i32, i32), to: (i32, i32), ink: Ink, width: u32) {
        self.front.push(Shape::Path(vec![from, to], ink, width));
    }

    pub(super) fn path(&mut self, points: Vec<(i32, i32)>, ink: Ink, width: u32) {
        self.front.push(Shape::Path(points, ink, width));
    }

    pub(super) fn polygon(&mut self, points: Vec<(i32, i32)>, ink: Ink) {
        self.front.push(Shape::Polygon(points, ink));
    }

    pub(super) fn dot(&mut self, at: (i32, i32), radius: i32, ink: Ink) {
        self.front.push(Shape::Dot(at, radius, ink));
    }

    pub(super) fn text(&mut self, text: impl Into<String>, (x, y): (i32, i32), anchor: Anchor, kind: Type, ink: Ink) {
        let text = text.into();
        if !text.is_empty() {
            self.front.push(Shape::Text(Label { text, x, y, anchor, kind, ink }));
        }
    }

    /// Writes as much of a text as the room allows, from the left. Nothing at all where that would tell nothing.
    pub(super) fn fitted(&mut self, text: &str, at: (i32, i32), room: i32, kind: Type, ink: Ink) {
        if let Some(text) = font::fit(text, kind, room) {
            self.text(text, at, Anchor::Start, kind, ink);
        }
    }
}
