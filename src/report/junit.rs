//! `junit.xml`: the run for continuous integration.

use std::time::Duration;

use leasehold_checkers::verdict::{Anomaly, CheckerResult, Grade, Verdict};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::story::Story;
use super::words::{counted, one_line};
use super::{command, phrases};

/// More anomalies of a kind than these are counted.
const TOLD_MAX: usize = 20;

/// A suite for the run, and a case for each checker. Where a promise was broken that is a failure; where a checker could not judge it
/// is an error, for unknown is no success.
pub(super) fn of(story: &Story<'_>) -> String {
    let header = &story.history.header;
    let scenario = one_line(&header.scenario, 60);
    let mut suite = TestSuite::new(&*scenario);
    suite.set_time(Duration::from_nanos(story.end.0));
    let facts = [
        ("verdict", story.judgement.verdict.to_string()),
        ("service", one_line(&header.service, 40)),
        ("servers", one_line(&header.servers, 60)),
        ("nodes", header.nodes.to_string()),
        ("seed", header.seed.to_string()),
        ("started", one_line(&header.start, 40)),
    ];
    let cut_short = phrases::cut_short(story).into_iter().map(|line| Property::new("cut-short", line));
    suite.add_properties(cut_short);
    suite.add_properties(facts.map(|(name, value)| Property::new(name, value)));
    for (name, result) in &story.judgement.checkers {
        suite.add_test_case(case(story, &one_line(name, 60), result, &scenario));
    }
    suite.set_system_out(format!("{}\nagain: {}\n", phrases::outcome(story), command::reproduce(header)));
    let mut report = Report::new(&*scenario);
    report.add_test_suite(suite);
    // Writing into memory cannot fail.
    report.to_string().unwrap_or_default()
}

fn case(story: &Story<'_>, name: &str, result: &CheckerResult, scenario: &str) -> TestCase {
    let non_success = |kind, word: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(one_line(&result.reason, 400));
        status.set_type(word);
        status.set_description(found(story, name));
        status
    };
    let status = match result.verdict {
        Verdict::Valid => TestCaseStatus::success(),
        Verdict::Invalid => non_success(NonSuccessKind::Failure, "invalid"),
        Verdict::Unknown => non_success(NonSuccessKind::Error, "unknown"),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(scenario);
    if result.verdict == Verdict::Valid {
        case.set_system_out(one_line(&result.reason, 400));
    }
    case
}

/// What the checker of this name found, a line each.
fn found(story: &Story<'_>, checker: &str) -> String {
    let of_checker = |anomaly: &&Anomaly| anomaly.kind.name() == checker && anomaly.grade == Grade::Proven;
    let all = story.judgement.anomalies.iter().filter(of_checker);
    let mut lines: Vec<String> =
        all.clone().take(TOLD_MAX).map(|anomaly| one_line(&anomaly.explanation, 600)).collect();
    let left_out = all.count().saturating_sub(TOLD_MAX);
    if left_out > 0 {
        lines.push(format!("and {}", counted(left_out, "more", "more")));
    }
    lines.join("\n")
}
