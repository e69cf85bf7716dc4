//! What each kind of answer says about a lock, as it is read from events.

use std::time::Duration;

use leasehold_checkers::formats::{Options, Record};
use leasehold_checkers::history::{Event, RunTime};
use leasehold_checkers::linear::Fails;
use leasehold_checkers::linear::locks::{
    BadHistory, Deed, LeaseTerms, LockAction, LockCall, LockHistory, LockModel, Owner, histories,
};

const LEASE: LockModel = LockModel::Lease(LeaseTerms {
    ttl: None,
    rate_error_ppm: 0,
    slack: Duration::ZERO,
    lock_delay: Duration::ZERO,
    release_certifies: false,
});

/// The events of these maps; each is stamped with its place.
fn events(ops: &[&str]) -> Vec<Event> {
    let text: String =
        (0..).zip(ops).map(|(place, op): (u64, _)| format!("{{:time {} {op}}}\n", place * 1_000_000)).collect();
    Record::from_reader(text.as_bytes(), &Options::default()).expect("a history").events
}

fn read(ops: &[&str], model: LockModel, fails: Fails) -> LockHistory {
    let mut locks = histories(&events(ops), &model, fails).expect("each answer has its question");
    assert_eq!(locks.len(), 1);
    locks.remove(0)
}

fn deeds(ops: &[&str]) -> Vec<Deed> {
    read(ops, LEASE, Fails::Ignore).calls.into_iter().map(|call| call.action.deed).collect()
}

fn ms(time: u64) -> RunTime {
    RunTime(time * 1_000_000)
}

const ASKS: &str = ":process 1 :type :invoke :f :acquire :key \"a\" :value {:owner \"x\" :ttl_ms 10}";
const GETS: &str = ":process 1 :type :ok :f :acquire :key \"a\" :value {:token 7}";
const RENEWS: &str = ":process 1 :type :invoke :f :renew :key \"a\" :value {:owner \"x\"}";
const RENEWED: &str = ":process 1 :type :ok :f :renew :key \"a\" :value {:ttl_ms 10}";
const RELEASES: &str = ":process 1 :type :invoke :f :release :key \"a\" :value {:owner \"x\"}";
const RELEASED: &str = ":process 1 :type :ok :f :release :key \"a\"";

#[test]
fn a_grant_its_renewal_and_its_release() {
    let history = read(&[ASKS, GETS, RENEWS, RENEWED, RELEASES, RELEASED], LEASE, Fails::Ignore);
    let call = |op: usize, called, deed| LockCall {
        op,
        process: 1,
        called: ms(called),
        returned: Some(ms(called + 1)),
        action: LockAction { owner: Owner(0), deed },
    };
    let expected = LockHistory {
        key: "a".to_owned(),
        calls: vec![
            call(0, 0, Deed::Acquired { token: Some(7), expires: ms(10) }),
            call(1, 2, Deed::Renewed { expires: ms(12) }),
            call(2, 4, Deed::Released),
        ],
        owners: vec!["x".to_owned()],
    };
    assert_eq!(history, expected);
}

#[test]
fn of_several_ttls_the_shortest_counts() {
    let told = RENEWED.replace("10", "4");
    let expected =
        vec![Deed::Acquired { token: Some(7), expires: ms(4) }, Deed::Renewed { expires: ms(6) }, Deed::Released];
    assert_eq!(deeds(&[ASKS, GETS, RENEWS, &told, RELEASES, RELEASED]), expected);
}

#[test]
fn a_renewal_beside_the_acquisition_or_the_release_shows_nothing() {
    let by_another = |op: &str| op.replace(":process 1", ":process 2");
    let (renews, renewed) = (by_another(RENEWS), by_another(RENEWED));
    let acquired = Deed::Acquired { token: Some(7), expires: ms(10) };
    assert_eq!(deeds(&[ASKS, &renews, GETS, &renewed]), vec![acquired]);
    assert_eq!(deeds(&[ASKS, GETS, &renews, RELEASES, &renewed, RELEASED]), vec![acquired, Deed::Released]);
}

#[test]
fn an_answer_that_never_came() {
    for lost in ["", ":process 1 :type :info :f :acquire :key \"a\""] {
        let ops: Vec<&str> = [ASKS, lost].into_iter().filter(|op| !op.is_empty()).collect();
        let history = read(&ops, LEASE, Fails::Ignore);
        assert_eq!(history.calls[0].returned, None);
        assert_eq!(history.calls[0].action.deed, Deed::Acquired { token: None, expires: ms(10) });
    }
    let lost_renewal = ":process 1 :type :info :f :renew :key \"a\"";
    assert_eq!(deeds(&[ASKS, GETS, RENEWS, lost_renewal]).len(), 1);
}

#[test]
fn failures_tell_something_only_with_the_right_code() {
    let refused = |error: &str| {
        let fail = format!(":process 1 :type :fail :f :acquire :key \"a\" :value {{:holder \"y\"}} {error}");
        read(&[ASKS, &fail], LEASE, Fails::Ignore).calls.into_iter().map(|call| call.action.deed).collect::<Vec<_>>()
    };
    assert_eq!(refused(":error :held"), vec![Deed::Refused { holder: Some(Owner(1)) }]);
    assert_eq!(refused(":error :already-held"), Vec::new());
    assert_eq!(refused(""), Vec::new());
    let fail = ":process 1 :type :fail :f :acquire :key \"a\"";
    assert_eq!(read(&[ASKS, fail], LEASE, Fails::Observe).calls[0].action.deed, Deed::Refused { holder: None });
    for (error, expected) in [(":not-held", Some(Deed::NotHeld)), (":expired", Some(Deed::NotHeld)), (":timeout", None)]
    {
        let fail = format!(":process 1 :type :fail :f :release :key \"a\" :error {error}");
        assert_eq!(deeds(&[RELEASES, &fail]), expected.into_iter().collect::<Vec<_>>(), "{error}");
    }
}

#[test]
fn only_linearizable_reads_count() {
    let asks =
        |linearizable| format!(":process 1 :type :invoke :f :read :key \"a\" :value {{:linearizable {linearizable}}}");
    let shows = ":process 1 :type :ok :f :read :key \"a\" :value {:owner \"y\"}";
    assert_eq!(deeds(&[&asks(true), shows]).len(), 1);
    assert_eq!(deeds(&[&asks(false), shows]), Vec::new());
}

#[test]
fn jepsen_names_and_no_owner() {
    let history = read(
        &[":process 3 :type :invoke :f :lock", ":process 3 :type :ok :f :lock", ":process 3 :type :invoke :f :unlock"],
        LockModel::OwnerMutex,
        Fails::Ignore,
    );
    assert_eq!(history.owners, ["process 3"]);
    assert_eq!(history.key, "");
    assert!(matches!(history.calls[0].action.deed, Deed::Acquired { token: None, .. }));
    assert_eq!((history.calls[1].action.deed, history.calls[1].returned), (Deed::Released, None));
}

#[test]
fn each_lock_has_its_own_history() {
    let other = ASKS.replace("\"a\"", "\"b\"").replace(":process 1", ":process 2");
    let locks = histories(&events(&[ASKS, &other, GETS]), &LEASE, Fails::Ignore).expect("a history");
    assert_eq!(
        locks.iter().map(|lock| (lock.key.as_str(), lock.calls[0].op)).collect::<Vec<_>>(),
        [("a", 0), ("b", 1)]
    );
}

#[test]
fn an_answer_without_a_question_is_no_history() {
    let bad = histories(&events(&[GETS]), &LEASE, Fails::Ignore);
    assert_eq!(bad, Err(BadHistory::NothingUnderWay { event: 0, process: 1, f: "acquire".to_owned() }));
    let bad = histories(&events(&[ASKS, RELEASED]), &LEASE, Fails::Ignore);
    assert!(matches!(bad, Err(BadHistory::NothingUnderWay { event: 1, .. })), "{bad:?}");
    let mut backwards = events(&[ASKS, GETS]);
    backwards[0].time = ms(5);
    let bad = histories(&backwards, &LEASE, Fails::Ignore);
    assert_eq!(bad, Err(BadHistory::TimeRunsBackwards { event: 1, process: 1 }));
}
