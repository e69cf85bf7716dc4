//! Rows of characters against time.

/// What a character is drawn as, in the terminal's own words for colours.
pub(super) type Style = &'static str;

pub(super) const PLAIN: Style = "";
pub(super) const QUIET: Style = "2";
pub(super) const BROKEN: Style = "31";
pub(super) const LOUD: Style = "1;31";
pub(super) const FAULT: Style = "33";
/// Red is kept for broken promises.
const CLIENTS: [Style; 5] = ["36", "32", "34", "35", "94"];

/// The colour of a client.
pub(super) fn client(process: u64) -> Style {
    CLIENTS[(process % CLIENTS.len() as u64) as usize]
}

/// From times to columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) columns: usize,
}

impl Scale {
    /// The column of a time; times outside stand at the edge.
    pub(super) fn column(self, ns: u64) -> usize {
        let length = self.to_ns.saturating_sub(self.from_ns).max(1) as f64;
        let part = ns.saturating_sub(self.from_ns) as f64 / length;
        ((part * self.columns as f64) as usize).min(self.columns.saturating_sub(1))
    }

    /// The columns of a stretch of time. What a record says to end before it began is an instant.
    fn columns_of(self, from_ns: u64, to_ns: u64) -> (usize, usize) {
        let left = self.column(from_ns);
        (left, self.column(to_ns).max(left))
    }

    pub(super) fn sees(self, from_ns: u64, to_ns: u64) -> bool {
        from_ns <= self.to_ns && to_ns >= self.from_ns
    }
}

/// A row: its name, and a character with its style for each column.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) name_style: Style,
    scale: Scale,
    cells: Vec<(char, Style)>,
}

impl Row {
    pub(super) fn new(name: impl Into<String>, name_style: Style, scale: Scale) -> Self {
        Self { name: name.into(), name_style, scale, cells: vec![(' ', PLAIN); scale.columns] }
    }

    /// Fills a stretch of time, which is at least one character wide.
    pub(super) fn fill(&mut self, (from_ns, to_ns): (u64, u64), letter: char, style: Style) {
        if self.scale.sees(from_ns, to_ns) {
            let (left, right) = self.scale.columns_of(from_ns, to_ns);
            self.cells[left..=right].fill((letter, style));
        }
    }

    /// Puts a mark at an instant, where that is in sight.
    pub(super) fn mark(&mut self, at_ns: u64, letter: char, style: Style) {
        if self.scale.sees(at_ns, at_ns) {
            let column = self.scale.column(at_ns);
            self.cells[column] = (letter, style);
        }
    }

    /// Puts a character into a column.
    pub(super) fn put(&mut self, column: usize, letter: char, style: Style) {
        if let Some(cell) = self.cells.get_mut(column) {
            *cell = (letter, style);
        }
    }

    /// Writes within a stretch of time where that is wide enough, else beside it where nothing stands.
    pub(super) fn label(&mut self, (from_ns, to_ns): (u64, u64), text: &str, style: Style) {
        let length = text.chars().count();
        let (left, right) = self.scale.columns_of(from_ns, to_ns);
        let after = right + 2;
        if right - left >= length + 2 {
            self.write(left + 1, &format!(" {text} "), style);
        } else if self.is_blank(after, length) {
            self.write(after, text, style);
        } else if let Some(before) = left.checked_sub(length + 1)
            && self.is_blank(before, length)
        {
            self.write(before, text, style);
        }
    }

    fn is_blank(&self, column: usize, length: usize) -> bool {
        self.cells.get(column..column + length).is_some_and(|cells| cells.iter().all(|(letter, _)| *letter == ' '))
    }

    /// Writes from a column on; what does not fit is left out.
    pub(super) fn write(&mut self, column: usize, text: &str, style: Style) {
        for (offset, letter) in text.chars().enumerate() {
            self.put(column + offset, letter, style);
        }
    }

    /// The row in pieces of one style each, without the blanks at its end.
    pub(super) fn pieces(&self) -> Vec<(String, Style)> {
        let end = self.cells.iter().rposition(|(letter, _)| *letter != ' ').map_or(0, |last| last + 1);
        let mut pieces: Vec<(String, Style)> = Vec::new();
        for (letter, style) in &self.cells[..end] {
            match pieces.last_mut() {
                Some((piece, known)) if known == style => piece.push(*letter),
                _ => pieces.push((letter.to_string(), style)),
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { from_ns: 100, to_ns: 200, columns: 20 };

    fn shown(row: &Row) -> String {
        row.pieces().into_iter().map(|(piece, _)| piece).collect()
    }

    #[test]
    fn what_is_in_sight_is_drawn_and_the_rest_is_not() {
        let mut row = Row::new("n", PLAIN, SCALE);
        row.fill((0, 50), 'x', PLAIN);
        row.mark(99, '!', PLAIN);
        row.fill((120, 139), '#', PLAIN);
        row.fill((190, 900), '=', PLAIN);
        assert_eq!(shown(&row), "    ####          ==");
    }

    #[test]
    fn a_label_stands_within_or_beside_and_covers_nothing() {
        let mut row = Row::new("n", PLAIN, SCALE);
        row.fill((100, 145), '#', PLAIN);
        row.label((100, 145), "in", QUIET);
        assert_eq!(shown(&row), "# in #####");
        row.fill((160, 164), '#', PLAIN);
        row.label((160, 164), "by", QUIET);
        row.label((160, 164), "no", QUIET);
        assert_eq!(shown(&row), "# in #####  # by");
    }
}
