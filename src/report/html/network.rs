//! What became of the packets of each link, in numbers.

use leasehold_checkers::history::vocabulary::LinkValue;

use crate::report::story::{Link, Story};
use crate::report::words::thousands;

/// A table with the columns that say anything.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) heads: Vec<&'static str>,
    pub(super) rows: Vec<LinkRow>,
}

/// A directed link.
#[derive(Debug)]
pub(super) struct LinkRow {
    pub(super) name: String,
    pub(super) cells: Vec<String>,
    /// Whether packets of it were not delivered as they were sent.
    pub(super) damaged: bool,
}

type Count = fn(&LinkValue) -> u64;

const ALWAYS: usize = 3;
const COLUMNS: [(&str, Count); 9] = [
    ("sent", |link| link.sent),
    ("delivered", |link| link.delivered),
    ("dropped", |link| link.dropped),
    ("lost", |link| link.lost),
    ("held back", |link| link.delayed),
    ("doubled", |link| link.duplicated),
    ("out of order", |link| link.reordered),
    ("changed", |link| link.corrupted),
    ("no room", |link| link.refused),
];

/// The table, where anything was counted.
pub(super) fn of(story: &Story<'_>) -> Option<Network> {
    if story.links.is_empty() {
        return None;
    }
    let says = |count: Count| story.links.iter().any(|link| count(&link.total) > 0);
    let columns = COLUMNS.iter().enumerate().filter(|(place, (_, count))| *place < ALWAYS || says(*count));
    let columns: Vec<(&'static str, Count)> = columns.map(|(_, column)| *column).collect();
    let row = |link: &Link| LinkRow {
        name: link.name.clone(),
        cells: columns
            .iter()
            .map(|(_, count)| thousands(usize::try_from(count(&link.total)).unwrap_or(usize::MAX)))
            .collect(),
        damaged: link.damaged() > 0,
    };
    Some(Network {
        heads: columns.iter().map(|(head, _)| *head).collect(),
        rows: story.links.iter().map(row).collect(),
    })
}
