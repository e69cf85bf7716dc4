//! The report, written for made-up runs and looked at.

mod synthetic;

use std::path::Path;

use leasehold::report;

/// Writes every story's report to the folder named by `LEASEHOLD_LOOK`, to be looked at.
#[test]
#[ignore = "writes pictures for people to look at"]
fn look() {
    let folder = std::env::var("LEASEHOLD_LOOK").expect("LEASEHOLD_LOOK names a folder");
    let stories = [
        ("early", synthetic::early_expiry()),
        ("calm", synthetic::calm()),
        ("storm", synthetic::stormy()),
        ("nothing", synthetic::nothing_granted()),
        ("many", synthetic::many_keys()),
    ];
    for (name, history) in stories {
        let judgement = leasehold_checkers::check(&history);
        let folder = Path::new(&folder).join(name);
        let started = std::time::Instant::now();
        let written = report::write_all(&history, &judgement, &folder).expect("everything can be written");
        println!("{}", report::console(&history, &judgement, &folder, true, 100));
        println!("{name}: {} files in {:?}", written.len(), started.elapsed());
    }
}
