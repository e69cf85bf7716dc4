//! Knossos' `mutex/bad/etcd.edn`: broken for a mutex that knows no TTL, and explained by leases that ran out.
//!
//! The history is not part of the project: the test looks for it where the public histories were fetched to.

use std::path::Path;
use std::time::Duration;

use leasehold_checkers::history::{ErrorInfo, Event, EventType, Process, RunTime};
use leasehold_checkers::linear::Fails;
use leasehold_checkers::linear::locks::{LeaseTerms, LockModel, Procedure, decide, histories, procedure};
use leasehold_checkers::linear::{Budget, Decision};
use serde_json::Value;

/// Just enough EDN for this file: one map a line.
fn event(line: &str) -> Option<Event> {
    let after = |name: &str| line.split_once(&format!(":{name} ")).map(|(_, rest)| rest);
    let word =
        |name: &str| after(name).map(|rest| rest.split([',', '}']).next().unwrap_or_default().trim_start_matches(':'));
    let kind = match word("type")? {
        "invoke" => EventType::Invoke,
        "ok" => EventType::Ok,
        "fail" => EventType::Fail,
        _ => EventType::Info,
    };
    let process = word("process")?.parse().map_or(Process::Nemesis, Process::Client);
    let error = after("error").map(|rest| match rest.strip_prefix("[:not-found") {
        Some(text) => {
            ErrorInfo { code: "not-found".to_owned(), text: text.split('"').nth(1).unwrap_or_default().to_owned() }
        }
        None => ErrorInfo { code: word("error").unwrap_or_default().to_owned(), text: String::new() },
    });
    Some(Event {
        time: RunTime(word("time")?.parse().ok()?),
        process,
        kind,
        f: word("f")?.to_owned(),
        key: None,
        value: Value::Null,
        node: None,
        error,
    })
}

fn events() -> Option<Vec<Event>> {
    let histories = std::env::var_os("LEASEHOLD_HISTORIES").unwrap_or_else(|| "/work/shared/histories".into());
    let text = std::fs::read_to_string(Path::new(&histories).join("knossos/mutex/bad/etcd.edn")).ok()?;
    Some(text.lines().filter_map(event).collect())
}

fn decision(model: &LockModel) -> Option<(Decision, Procedure)> {
    let locks = histories(&events()?, model, Fails::Ignore).expect("each answer has its question");
    let budget = Budget { out_of_time: &|| false, memory_bytes: 1 << 30 };
    Some((decide(model, &locks[0], &budget), procedure(model, &locks[0])))
}

#[test]
fn it_is_broken_for_a_mutex_that_knows_no_ttl() {
    let Some((decision, procedure)) = decision(&LockModel::Mutex) else { return };
    let Decision::Broken(witness) = decision else { panic!("{decision:?}") };
    assert_eq!(procedure, Procedure::Permits);
    println!("{witness:#?}");
}

#[test]
fn leases_that_ran_out_explain_it() {
    let certifying = LeaseTerms { ttl: Some(Duration::from_secs(2)), release_certifies: true, ..LeaseTerms::default() };
    for terms in [certifying, LeaseTerms { ttl: None, ..certifying }, LeaseTerms::default()] {
        let Some((decision, procedure)) = decision(&LockModel::Lease(terms)) else { return };
        assert_eq!((decision, procedure), (Decision::Linearizable, Procedure::Leases), "{terms:?}");
    }
}

#[test]
fn a_lease_of_a_minute_could_not_have_run_out() {
    let terms = LeaseTerms { ttl: Some(Duration::from_secs(60)), ..LeaseTerms::default() };
    let Some((decision, _)) = decision(&LockModel::Lease(terms)) else { return };
    let Decision::Broken(witness) = decision else { panic!("{decision:?}") };
    println!("{witness:#?}");
}
