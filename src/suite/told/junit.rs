//! For continuous integration.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{command, found, verdict};
use crate::suite::{Expectation, Outcome, Report, Row};

/// JUnit's XML: a test suite for each scenario with its servers, a case for each seed. What has no judgement is an error, and
/// what was not covered is skipped; neither is a success.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut junit = Junit::new(&report.name);
    let mut suites: Vec<TestSuite> = Vec::new();
    let mut add = |group: &str, case: TestCase| match suites.iter_mut().find(|suite| suite.name.as_str() == group) {
        Some(suite) => {
            suite.add_test_case(case);
        }
        None => {
            let mut suite = TestSuite::new(group);
            suite.add_test_case(case);
            suites.push(suite);
        }
    };
    for row in &report.rows {
        add(row.cell.group(), case(row));
    }
    for cell in &report.missing {
        let mut status = TestCaseStatus::skipped();
        status.set_message("not covered: the suite was cut short");
        add(cell.group(), TestCase::new(&*cell.id, status));
    }
    junit.add_test_suites(suites);
    // Writing into memory cannot fail.
    junit.to_string().unwrap_or_default()
}

fn case(row: &Row) -> TestCase {
    let status = match &row.outcome {
        Outcome::Expected | Outcome::Known => TestCaseStatus::success(),
        Outcome::Unexpected(why) => failed(NonSuccessKind::Failure, row, why),
        Outcome::Undecided => failed(NonSuccessKind::Error, row, "no judgement is possible"),
        Outcome::Failed => failed(NonSuccessKind::Error, row, "it did not run"),
    };
    let mut case = TestCase::new(&*row.cell.id, status);
    case.set_time(Duration::from_millis(row.result.took_ms));
    let mut out = format!("verdict: {}\n{}\nagain: {}\n", verdict(row), found(&row.result.found), command(row));
    if let (Outcome::Known, Expectation::Known { reason, link, .. }) = (&row.outcome, &row.cell.expect) {
        out.push_str(&format!("known: {reason} {}\n", link.as_deref().unwrap_or_default()));
    }
    case.set_system_out(out);
    case
}

fn failed(kind: NonSuccessKind, row: &Row, why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(why);
    status.set_type(row.outcome.word().to_lowercase());
    status.set_description(&*row.result.why);
    status
}
