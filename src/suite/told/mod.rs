//! What came of a suite, told to people and programs.

mod html;
mod json;
mod junit;
mod markdown;
mod table;
mod versions;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use table::table;

use super::{Found, Row};

/// What was found, with its margins: `premature-expiry 8.83 s, double-acquisition 8.81 s`.
fn found(found: &[Found]) -> String {
    let one = |found: &Found| {
        let times = if found.count > 1 { format!("{} × ", found.count) } else { String::new() };
        // That no order explains the answers has no margin.
        let margin = if found.margin_ns > 0 { format!(" {}", margin(found.margin_ns)) } else { String::new() };
        format!("{times}{}{margin}", found.kind.name())
    };
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "it is rounded for people")]
fn margin(ns: u64) -> String {
    if ns >= 1_000_000_000 { format!("{:.2} s", ns as f64 / 1e9) } else { format!("{:.0} ms", ns as f64 / 1e6) }
}

/// The verdict of a run, or that there is none.
fn verdict(row: &Row) -> String {
    row.result.verdict.map_or_else(|| "none".to_owned(), |verdict| verdict.to_string())
}

/// The command that makes the run again.
fn command(row: &Row) -> String {
    format!("leasehold {}", row.cell.arguments().join(" "))
}

/// Text that means nothing to Markdown or HTML.
fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => plain.push_str("&lt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => {
                plain.push('\\');
                plain.push(c);
            }
            '\n' | '\r' => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Kind;

    #[test]
    fn what_was_found_is_told_with_its_margin_where_it_has_one() {
        let of = |kind, count, margin_ns| Found { kind, count, margin_ns };
        let early = of(Kind::PrematureExpiry, 2, 8_830_000_000);
        assert_eq!(found(&[early, of(Kind::Nonlinearizable, 1, 0)]), "2 × premature-expiry 8.83 s, nonlinearizable");
    }
}
