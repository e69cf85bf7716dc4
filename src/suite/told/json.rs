//! For programs.

use serde_json::{Value, json};

use crate::suite::{Outcome, Report};

/// One object with all runs.
#[must_use]
pub fn json(report: &Report) -> Value {
    let cells: Vec<Value> = report
        .rows
        .iter()
        .map(|row| {
            let mut cell = serde_json::to_value(&row.result).unwrap_or_default();
            cell["expect"] = row.cell.expect.to_string().into();
            cell["outcome"] = row.outcome.word().to_lowercase().into();
            if let Outcome::Unexpected(why) = &row.outcome {
                cell["unexpected"] = why.as_str().into();
            }
            cell["command"] = super::command(row).into();
            cell
        })
        .collect();
    let missing: Vec<&str> = report.missing.iter().map(|cell| &*cell.id).collect();
    let wavering: Vec<String> = report.wavering().iter().map(ToString::to_string).collect();
    json!({
        "suite": report.name,
        "tally": report.tally(),
        "worst": report.worst().word().to_lowercase(),
        "cells": cells,
        "not_covered": missing,
        "wavering": wavering,
    })
}
