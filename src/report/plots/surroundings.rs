//! What went on around the operations: a strip for each kind of fault, and one for the leaders.

use super::font;
use super::palette::{self, GRID, QUIET, SMALL, TAG, TEXT};
use super::picture::{Anchor, Area, Shape};
use super::scale::stack;
use super::sheet::Sheet;
use crate::report::story::{Effect, Fault, Reign};
use crate::report::words;

const STRIP: i32 = 24;

impl<'a> Sheet<'a> {
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
        for fault in self.story.injected().filter(|fault| self.time.sees(fault.from.0, fault.until.0)) {
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
        let ink = palette::package_of(self.story, package);
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
