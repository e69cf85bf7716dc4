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
        format!("{times}{} {}", found.kind.name(), margin(found.margin_ns))
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
