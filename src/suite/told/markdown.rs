//! For a pull request.

use super::versions::versions;
use super::{command, escaped, found, verdict};
use crate::suite::{Outcome, Report, Row};

/// What needs a look first, with the command that shows it again; then all runs in a table.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n\n{}\n\n**{}**\n", escaped(&report.name), escaped(&report.summary), report.tally());
    let needs_a_look: Vec<&Row> = report.rows.iter().filter(|row| row.outcome > Outcome::Known).collect();
    if !needs_a_look.is_empty() {
        text.push_str("\n## To look at\n");
        for row in needs_a_look {
            let what = match &row.outcome {
                Outcome::Unexpected(why) => why.clone(),
                other => other.word().to_owned(),
            };
            text.push_str(&format!("\n### {}\n\n{}. ", escaped(&row.cell.id), escaped(&what)));
            text.push_str(&escaped(&row.result.why.replace('\n', " ")));
            text.push_str(&format!("\n\n```sh\n{}\n```\n", command(row)));
        }
    }
    let wavering = report.wavering();
    if !wavering.is_empty() {
        text.push_str("\n## Now this, now that\n\n");
        for group in wavering {
            text.push_str(&format!("- {}\n", escaped(&group.to_string())));
        }
    }
    if !report.missing.is_empty() {
        text.push_str("\n## Not covered\n\n");
        for cell in &report.missing {
            text.push_str(&format!("- {}\n", escaped(&cell.id)));
        }
    }
    let by_version = versions(report);
    if !by_version.is_empty() {
        text.push_str(&format!("\n## By version\n{by_version}"));
    }
    text.push_str("\n## All runs\n\n| run | verdict | found | |\n|---|---|---|---|\n");
    for row in &report.rows {
        let (verdict, found) = (verdict(row), found(&row.result.found));
        text.push_str(&format!("| {} | {verdict} | {found} | {} |\n", escaped(&row.cell.id), row.outcome.word()));
    }
    text
}
