//! For a browser: the list of the runs, each leading to its report.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::index::{self, Expected};
use crate::suite::{Outcome, Report, Row};

/// The page of a suite whose runs lie in this folder.
///
/// # Errors
/// If the folder cannot be read.
pub fn html(report: &Report, folder: &Path) -> io::Result<String> {
    let expected = |row: &Row| {
        let expected = Expected {
            expectation: row.cell.expect.to_string(),
            outcome: row.outcome.word().to_owned(),
            is_good: row.outcome <= Outcome::Known,
        };
        (format!("cells/{}", row.cell.id), expected)
    };
    let expected: BTreeMap<String, Expected> = report.rows.iter().map(expected).collect();
    let title = format!("{}: {}", report.name, report.tally());
    Ok(index::page(&title, &index::below(folder)?, &expected, false))
}
