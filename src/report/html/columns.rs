//! Numbers, packed: what a script in the page unpacks again.
//!
//! A million operations as JSON would be a page of a hundred megabytes. So each quantity is a column of its own, in which
//! a number is told by its difference from the one before, as many bytes long as it needs. What is alike is then alike
//! to the byte, and compresses to next to nothing.

use std::collections::HashMap;
use std::hash::Hash;

/// A column of numbers: seven bits a byte, the low ones first; the eighth bit says that more follow.
#[derive(Debug, Default)]
pub(super) struct Column {
    bytes: Vec<u8>,
    last: u64,
}

impl Column {
    /// A number as it is.
    pub(super) fn push(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    /// The difference from one number to another, either way.
    pub(super) fn push_difference(&mut self, from: u64, to: u64) {
        // Half the range is out of reach then; nothing that far off could be shown.
        self.push(zigzag(to.wrapping_sub(from) as i64));
    }

    /// The difference from the number that was pushed so before.
    pub(super) fn push_next(&mut self, number: u64) {
        self.push_difference(self.last, number);
        self.last = number;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Small numbers of either sign as small numbers without one: 0, -1, 1, -2, … become 0, 1, 2, 3, …
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// Things that are spoken of again and again, each told once and then called by its place.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: HashMap<T, u64>,
    pub(super) all: Vec<T>,
    at_most: usize,
}

impl<T: Clone + Eq + Hash> Table<T> {
    pub(super) fn of_at_most(at_most: usize) -> Self {
        Self { places: HashMap::new(), all: Vec::new(), at_most }
    }

    /// Its place, which it is given if it has none; `None` where there is no room for more.
    pub(super) fn place<Q>(&mut self, thing: &Q) -> Option<u64>
    where
        Q: Hash + Eq + ToOwned<Owned = T> + ?Sized,
        T: std::borrow::Borrow<Q>,
    {
        if let Some(place) = self.places.get(thing) {
            return Some(*place);
        }
        if self.all.len() >= self.at_most {
            return None;
        }
        let place = self.all.len() as u64;
        self.places.insert(thing.to_owned(), place);
        self.all.push(thing.to_owned());
        Some(place)
    }
}

/// Names that end in a number, such as `p3.41`: what stands before it is told once, the number by its difference.
#[derive(Debug)]
pub(super) struct Names {
    stems: Table<String>,
    last: HashMap<u64, u64>,
}

/// What is told of a name: its stem by its place, counted from [`Self::FIRST`], and its number.
#[derive(Debug, Default)]
pub(super) struct NameColumns {
    pub(super) stem: Column,
    pub(super) number: Column,
}

impl NameColumns {
    const NONE: u64 = 0;
    const NOBODY: u64 = 1;
    const NO_ROOM: u64 = 2;
    const FIRST: u64 = 3;
}

impl Names {
    pub(super) fn of_at_most(stems: usize) -> Self {
        Self { stems: Table::of_at_most(stems), last: HashMap::new() }
    }

    pub(super) fn stems(&self) -> &[String] {
        &self.stems.all
    }

    /// Tells that there is no name here.
    pub(super) fn push_none(columns: &mut NameColumns) {
        columns.stem.push(NameColumns::NONE);
        columns.number.push(0);
    }

    /// Tells that nobody was named.
    pub(super) fn push_nobody(columns: &mut NameColumns) {
        columns.stem.push(NameColumns::NOBODY);
        columns.number.push(0);
    }

    pub(super) fn push(&mut self, columns: &mut NameColumns, name: &str) {
        let (stem, number) = split(name);
        let Some(place) = self.stems.place(stem) else {
            columns.stem.push(NameColumns::NO_ROOM);
            columns.number.push(0);
            return;
        };
        columns.stem.push(place + NameColumns::FIRST);
        match number {
            None => columns.number.push(0),
            Some(number) => {
                let last = self.last.insert(place, number).unwrap_or(0);
                columns.number.push(zigzag(number as i64 - last as i64) + 1);
            }
        }
    }
}

/// A name without the number at its end, and that number, if it can be told as one: written without zeros in front.
fn split(name: &str) -> (&str, Option<u64>) {
    const DIGITS_MAX: usize = 15;
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &name[stem.len()..];
    let is_plain = digits.len() <= DIGITS_MAX && (digits == "0" || !digits.starts_with('0'));
    match digits.parse() {
        Ok(number) if is_plain => (stem, Some(number)),
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_take_a_byte_and_great_ones_ten() {
        let mut column = Column::default();
        for number in [0, 127, 128, u64::MAX] {
            column.push(number);
        }
        assert_eq!(column.bytes().len(), 1 + 1 + 2 + 10);
        assert_eq!(column.bytes()[..4], [0, 127, 0x80, 1]);
    }

    #[test]
    fn differences_go_either_way() {
        let mut column = Column::default();
        for number in [5, 7, 4, u64::MAX, 0] {
            column.push_next(number);
        }
        // +5, +2, -3, -5 (all the way round), +1
        assert_eq!(column.bytes(), [10, 4, 5, 9, 2]);
    }

    #[test]
    fn names_are_split_where_they_can_be_put_together_again() {
        assert_eq!(split("p3.41"), ("p3.", Some(41)));
        assert_eq!(split("p3.041"), ("p3.041", None));
        assert_eq!(split("p0"), ("p", Some(0)));
        assert_eq!(split("12345678901234567890"), ("12345678901234567890", None));
        assert_eq!(split(""), ("", None));
        assert_eq!(split("鍵7"), ("鍵", Some(7)));
    }

    #[test]
    fn a_full_table_takes_nothing_new() {
        let mut table: Table<String> = Table::of_at_most(1);
        assert_eq!(table.place("a"), Some(0));
        assert_eq!(table.place("b"), None);
        assert_eq!(table.place("a"), Some(0));
    }
}
