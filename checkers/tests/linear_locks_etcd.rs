//! Knossos' `mutex/bad/etcd.edn`: broken for a mutex that knows no TTL, and explained by leases that ran out.
//!
//! The history is not part of the project: the test looks for it where the public histories were fetched to.

use std::path::Path;
use std::time::Duration;

use leasehold_checkers::formats::{Options, Record};
use leasehold_checkers::history::Event;
use leasehold_checkers::linear::locks::{LeaseTerms, LockModel, Procedure, decide, histories, procedure};
use leasehold_checkers::linear::{Budget, Decision, Fails};

/// The events of the history, which lies beside the checkout and is no part of the project.
fn events() -> Option<Vec<Event>> {
    let parents = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let file =
        parents.map(|parent| parent.join("shared/histories/knossos/mutex/bad/etcd.edn")).find(|file| file.is_file())?;
    let record = Record::read(file, &Options::default()).expect("it can be read");
    Some(record.events)
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
