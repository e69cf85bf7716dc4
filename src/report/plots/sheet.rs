//! What all plots have in common: a title, a legend, the faults and the leaders on top, and the time axis below.

use leasehold_checkers::verdict::Verdict;

use super::font;
use super::mark::{self, Mark};
use super::palette::{BODY, BROKEN, FINE, GRID, QUIET, SMALL, STRONG, TEXT, TITLE, UNSURE};
use super::picture::{Anchor, Ink, Picture, Shape};
use super::scale::TimeScale;
use crate::report::story::Story;
use crate::report::words;

/// Wide enough for a screen, and still readable when a page shrinks it to 900.
pub(super) const WIDTH: i32 = 1280;
pub(super) const MARGIN: i32 = 24;
const GUTTER: i32 = 200;

/// A plot in the making, from top to bottom.
pub(super) struct Sheet<'a> {
    pub(super) story: &'a Story<'a>,
    pub(super) picture: Picture,
    pub(super) time: TimeScale,
    /// The next free row of pixels.
    pub(super) y: i32,
    /// Where the bands of faults and the lines of leader changes begin.
    pub(super) bands_from: i32,
}

impl<'a> Sheet<'a> {
    /// Begins with the title and one line that says which run it was.
    pub(super) fn new(story: &'a Story<'a>, title: &str, (from_ns, to_ns): (u64, u64)) -> Self {
        let mut sheet = Self {
            story,
            picture: Picture::new(WIDTH),
            time: TimeScale { from_ns, to_ns, left: GUTTER, right: WIDTH - MARGIN },
            y: 34,
            bands_from: 0,
        };
        let room = WIDTH - 2 * MARGIN;
        sheet.picture.fitted(title, (MARGIN, sheet.y), room, TITLE, TEXT);
        sheet.y += 34;
        sheet.run_line();
        sheet.picture.end_head(sheet.y - 20);
        sheet
    }

    /// The left edge of what is drawn against time.
    pub(super) fn left(&self) -> i32 {
        self.time.left
    }

    /// The right edge of what is drawn against time.
    pub(super) fn right(&self) -> i32 {
        self.time.right
    }

    /// Keeps what is drawn against time out of so many columns at the right. Nothing may be drawn against it before.
    pub(super) fn make_room(&mut self, columns: i32) {
        self.time.right -= columns;
    }

    fn run_line(&mut self) {
        let header = &self.story.history.header;
        let verdict = self.story.judgement.verdict;
        let ink = match verdict {
            Verdict::Valid => FINE,
            Verdict::Unknown => UNSURE,
            Verdict::Invalid => BROKEN,
        };
        let word = verdict.to_string().to_uppercase();
        self.picture.text(word.as_str(), (MARGIN, self.y), Anchor::Start, STRONG, ink);
        let x = MARGIN + font::width(&word, STRONG) + 14;
        let line = match self.story.is_foreign() {
            true => format!("{}, {}", words::one_line(&header.scenario, 60), words::one_line(&header.workload, 40)),
            false => format!(
                "{}, {}, {}, {}, seed {}",
                words::one_line(&header.scenario, 40),
                words::one_line(&header.servers, 40),
                words::one_line(&header.service, 24),
                words::counted(usize::from(header.nodes), "server", "servers"),
                header.seed,
            ),
        };
        self.picture.fitted(&line, (x, self.y), WIDTH - MARGIN - x, BODY, QUIET);
        self.y += 30;
    }

    /// A line of running text below the title.
    pub(super) fn sentence(&mut self, text: &str) {
        let mut lines = words::wrap(&words::one_line(text, 480), 112);
        if lines.len() > 3 {
            lines.truncate(3);
            if let Some(last) = lines.last_mut() {
                last.push('…');
            }
        }
        for line in lines {
            self.picture.fitted(&line, (MARGIN, self.y), WIDTH - 2 * MARGIN, BODY, TEXT);
            self.y += 26;
        }
        self.y += 4;
    }

    /// Says what each mark means, in as many lines as it takes.
    pub(super) fn legend(&mut self, entries: &[(Mark, impl AsRef<str>)]) {
        let mut x = MARGIN;
        for (mark, text) in entries {
            let text = text.as_ref();
            let width = mark::WIDTH + 8 + font::width(text, SMALL) + 26;
            if x > MARGIN && x + width - 26 > WIDTH - MARGIN {
                x = MARGIN;
                self.y += 26;
            }
            mark.draw(&mut self.picture, x, self.y);
            self.picture.text(text, (x + mark::WIDTH + 8, self.y), Anchor::Start, SMALL, QUIET);
            x += width;
        }
        self.y += 30;
    }

    /// The columns of a time, at least wide enough to be seen.
    pub(super) fn bar(&self, from_ns: u64, to_ns: u64) -> (i32, i32) {
        let left = self.time.x(from_ns).min(self.right() - 3);
        (left, self.time.x(to_ns).max(left + 3))
    }

    /// A name at the left of what it names.
    pub(super) fn gutter(&mut self, name: &str, y: i32, kind: super::picture::Type, ink: Ink) {
        let room = GUTTER - MARGIN - 12;
        if let Some(name) = font::fit(name, kind, room) {
            self.picture.text(name, (GUTTER - 12, y), Anchor::End, kind, ink);
        }
    }

    /// A quiet line of text, for what was left out and the like.
    pub(super) fn note(&mut self, text: &str) {
        let room = WIDTH - GUTTER - MARGIN;
        self.picture.fitted(text, (GUTTER, self.y + 12), room, SMALL, QUIET);
        self.y += 28;
    }

    /// Marks where the run ended in a window that reaches further, beside the axis's caption of this half width.
    fn mark_end(&mut self, bottom: i32, caption: i32) {
        let middle = i32::midpoint(self.left(), self.right());
        let x = self.time.x(self.story.end.0);
        self.picture.behind(Shape::Path(vec![(x, self.bands_from), (x, i32::MAX)], TEXT, 1));
        let text = "the run ended here";
        let half = font::width(text, SMALL) / 2;
        let beside = if x > middle { x.max(middle + caption + half) } else { x.min(middle - caption - half) };
        let centre = beside.clamp(self.left() + half, self.right() - half);
        self.picture.text(text, (centre, bottom + 42), Anchor::Middle, SMALL, TEXT);
        self.picture.line((x, bottom), (x, bottom + 32), TEXT, 1);
    }

    /// Draws the time axis below everything, and lets bands and lines end there.
    pub(super) fn finish(mut self) -> Picture {
        let bottom = self.y + 4;
        for (x, text) in self.time.ticks(12) {
            let grid = vec![(x, self.bands_from), (x, bottom)];
            self.picture.behind(Shape::Path(grid, GRID, 1));
            self.picture.line((x, bottom), (x, bottom + 6), QUIET, 1);
            self.picture.text(text, (x, bottom + 18), Anchor::Middle, SMALL, QUIET);
        }
        self.picture.line((self.left(), bottom), (self.right(), bottom), QUIET, 1);
        let middle = i32::midpoint(self.left(), self.right());
        let caption = "seconds since the start of the run";
        self.picture.text(caption, (middle, bottom + 42), Anchor::Middle, SMALL, QUIET);
        if self.time.to_ns > self.story.end.0 {
            self.mark_end(bottom, font::width(caption, SMALL) / 2 + 24);
        }
        self.picture.end_at(bottom);
        self.picture.height = bottom + 62;
        self.picture
    }
}
