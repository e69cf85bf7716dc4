//! What all plots have in common: a title, a legend, the faults and the leaders on top, and the time axis below.

use leasehold_checkers::verdict::Verdict;

use super::font;
use super::palette::{self, BODY, BROKEN, FINE, GRID, QUIET, SMALL, STRONG, TAG, TEXT, TITLE, UNSURE};
use super::picture::{Anchor, Area, Ink, Picture, Shape};
use super::scale::{TimeScale, stack};
use crate::report::story::{Effect, Fault, Reign, Story};
use crate::report::words;

/// Wide enough for a screen, and still readable when a page shrinks it to 900.
pub(super) const WIDTH: i32 = 1280;
pub(super) const MARGIN: i32 = 24;
const GUTTER: i32 = 200;
const STRIP: i32 = 24;

/// A plot in the making, from top to bottom.
pub(super) struct Sheet<'a> {
    pub(super) story: &'a Story<'a>,
    pub(super) picture: Picture,
    pub(super) time: TimeScale,
    /// The next free row of pixels.
    pub(super) y: i32,
    bands_from: i32,
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
        let line = format!(
            "{}, {}, {}, {}, seed {}",
            words::one_line(&header.scenario, 40),
            words::one_line(&header.servers, 40),
            words::one_line(&header.service, 24),
            words::counted(usize::from(header.nodes), "server", "servers"),
            header.seed,
        );
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
            let width = MARK + 8 + font::width(text, SMALL) + 26;
            if x > MARGIN && x + width - 26 > WIDTH - MARGIN {
                x = MARGIN;
                self.y += 26;
            }
            mark.draw(&mut self.picture, x, self.y);
            self.picture.text(text, (x + MARK + 8, self.y), Anchor::Start, SMALL, QUIET);
            x += width;
        }
        self.y += 30;
    }

    /// Draws a strip for each kind of fault and one for the leaders. Their bands and lines go down to the axis.
    pub(super) fn surroundings(&mut self) {
        self.bands_from = self.y;
        for (package, faults) in self.faults_by_package() {
            self.fault_strips(package, &faults);
        }
        self.leader_strip();
        self.y += 8;
    }

    /// The kinds of fault in the window, in the order in which they first struck.
    fn faults_by_package(&self) -> Vec<(&'a str, Vec<&'a Fault>)> {
        const PACKAGES_MAX: usize = 6;
        let mut packages: Vec<(&str, Vec<&Fault>)> = Vec::new();
        for fault in self.story.faults.iter().filter(|fault| self.time.sees(fault.from.0, fault.until.0)) {
            match packages.iter().position(|(package, _)| *package == fault.package) {
                Some(known) => packages[known].1.push(fault),
                None if packages.len() < PACKAGES_MAX => packages.push((&fault.package, vec![fault])),
                None => {}
            }
        }
        packages
    }

    fn fault_strips(&mut self, package: &str, faults: &[&Fault]) {
        const ROWS_MAX: usize = 3;
        let ink = self.package_ink(package);
        let bars: Vec<(i32, i32)> = faults.iter().map(|fault| self.bar(fault.from.0, fault.until.0)).collect();
        let rows = stack(&bars, ROWS_MAX);
        self.gutter(&words::one_line(package, 24), self.y + STRIP / 2, TAG, ink);
        let mut written_until = [self.left(); ROWS_MAX];
        for (index, (fault, (left, right))) in faults.iter().zip(&bars).enumerate() {
            let row = rows[index];
            let y = self.y + STRIP * row as i32 + STRIP / 2;
            let area = Area { left: *left, top: y - 10, right: *right, bottom: y + 10 };
            self.picture.block(area, ink.faint(0.28));
            self.picture.block(Area { right: left + 2, ..area }, ink);
            self.picture.behind(Shape::Block(Area { top: y + 10, bottom: i32::MAX, ..area }, ink.faint(0.10)));
            let next = (index + 1..bars.len()).find(|later| rows[*later] == row);
            let until = next.map_or(self.right(), |later| bars[later].0);
            self.beside_bar(&strip_text(fault), (*left, y), (written_until[row], until));
            written_until[row] = (left + 7 + font::width(&strip_text(fault), SMALL)).clamp(*right, until.max(*right));
        }
        self.y += STRIP * rows.iter().max().map_or(1, |row| *row as i32 + 1) + 2;
    }

    /// Writes a bar's text from its beginning on, or before it where there is more room.
    fn beside_bar(&mut self, text: &str, (left, y): (i32, i32), (free_from, free_until): (i32, i32)) {
        let width = font::width(text, SMALL);
        let fits_after = left + 7 + width <= free_until - 4;
        let fits_before = free_from + 10 + width <= left - 7;
        if fits_before && !fits_after {
            self.picture.text(text, (left - 7, y), Anchor::End, SMALL, TEXT);
        } else {
            self.picture.fitted(text, (left + 7, y), free_until - left - 11, SMALL, TEXT);
        }
    }

    fn leader_strip(&mut self) {
        let reigns = &self.story.reigns;
        if reigns.is_empty() {
            return;
        }
        let y = self.y + STRIP / 2;
        self.gutter("leader", y, TAG, QUIET);
        let mut last_line = self.left();
        for (index, reign) in reigns.iter().enumerate() {
            let until = reigns.get(index + 1).map_or(self.story.end, |next| next.since);
            if !self.time.sees(reign.since.0, until.0) {
                continue;
            }
            let (left, right) = self.bar(reign.since.0, until.0);
            let shade = if index % 2 == 0 { 0.55 } else { 1.0 };
            self.picture.block(Area { left, top: y - 10, right, bottom: y + 10 }, GRID.faint(shade));
            self.picture.fitted(&reign_text(reign), (left + 7, y), right - left - 10, SMALL, TEXT);
            if left > last_line && reign.since.0 >= self.time.from_ns {
                last_line = left;
                let line = vec![(left, y - 10), (left, i32::MAX)];
                self.picture.behind(Shape::Path(line, QUIET.faint(0.6), 1));
                self.picture.block(Area { left, top: y - 10, right: left + 2, bottom: y + 10 }, QUIET);
            }
        }
        self.y += STRIP + 2;
    }

    /// The columns of a time, at least wide enough to be seen.
    pub(super) fn bar(&self, from_ns: u64, to_ns: u64) -> (i32, i32) {
        let left = self.time.x(from_ns).min(self.right() - 3);
        (left, self.time.x(to_ns).max(left + 3))
    }

    fn package_ink(&self, package: &str) -> Ink {
        let place = self.story.faults.iter().position(|fault| fault.package == package).unwrap_or(0);
        palette::package(package, place)
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

fn strip_text(fault: &Fault) -> String {
    let what = fault.what_and_where();
    match fault.effect {
        Effect::Missed => format!("{what} (had no effect)"),
        _ if !fault.healed => format!("{what} (never healed)"),
        _ => what,
    }
}

fn reign_text(reign: &Reign) -> String {
    format!("{}, term {}", reign.name(), reign.term)
}

/// The width of a mark in the legend.
const MARK: i32 = 30;

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
    fn draw(self, picture: &mut Picture, x: i32, y: i32) {
        let area = Area { left: x, top: y - 8, right: x + MARK, bottom: y + 8 };
        let centre = (x + MARK / 2, y);
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
