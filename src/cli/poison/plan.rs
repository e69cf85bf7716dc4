//! The scenario of a case: a baseline, the packet, a time to watch, and cures for what stopped.

use super::Cure;
use crate::packets::Case;
use crate::servers::ServerSpec;

/// How long everything is well before the packet comes.
const BASELINE_S: u64 = 5;
/// A latent packet shows nothing before the leader dies. That comes so long after it.
const LATENT_S: u64 = 8;
/// A client that gets no answer for so long is taken to be locked out.
const SILENCE_S: u64 = 5;
/// How long a leader that is killed as a cure stays dead: elections take less.
const DEAD_S: u64 = 6;
/// How long it is looked what a cure has done, its own length included.
const CONVALESCENCE_S: u64 = 16;

/// At the end nothing is written for so long: more than the checkers' patience with replicas that differ, after the recovery from the last
/// cure.
const SETTLE_S: u64 = 30;

/// What is to be done.
pub(super) struct Plan<'a> {
    pub(super) case: &'a Case,
    pub(super) servers: &'a ServerSpec,
    pub(super) to: &'a str,
    pub(super) watch_s: u64,
    pub(super) cure: Cure,
    pub(super) heap_mib: u32,
}

impl Plan<'_> {
    /// The scenario, as it is stored with the run.
    pub(super) fn text(&self) -> String {
        let Self { case, servers, to, watch_s, cure, heap_mib } = self;
        let (service, particular) = service(servers, *heap_mib);
        let mut text = format!(
            r#"summary = "Poison: {summary}"
service = "{service}"
servers = "{servers}"
seconds = {seconds}

{particular}
[workload]
kind = "canary"
ttl_ms = 4_000
renew_ms = 1_000
every_ms = 400
hold_ms = 600
settle_ms = {settle_ms}

[[nemesis]]
package = "packet"
case = "{name}"
target = "{to}"
at_ms = {at_ms}
"#,
            summary = case.summary,
            name = case.name,
            seconds = self.until_settled() + SETTLE_S,
            settle_ms = self.until_settled() * 1_000,
            at_ms = BASELINE_S * 1_000,
        );
        if case.latent {
            // Until the end of the watch it stays dead: what is asked is whether the others elect a leader.
            text.push_str(&kill("leader", &format!("at_ms = {}", (BASELINE_S + LATENT_S) * 1_000), *watch_s));
        }
        let mut at_s = BASELINE_S + self.until_cure();
        if *cure == Cure::LeaderKill {
            text.push_str(&kill("leader", &on_silence(at_s), DEAD_S));
            at_s += CONVALESCENCE_S;
        }
        if *cure != Cure::None {
            text.push_str(&kill("all", &on_silence(at_s), 1));
        }
        text
    }

    /// From the packet to the first cure.
    fn until_cure(&self) -> u64 {
        // To start the dead leader again is a cure by itself.
        self.watch_s + if self.case.latent { LATENT_S + CONVALESCENCE_S } else { 0 }
    }

    fn until_settled(&self) -> u64 {
        BASELINE_S + self.until_cure() + self.cures() * CONVALESCENCE_S
    }

    fn cures(&self) -> u64 {
        match self.cure {
            Cure::LeaderKill => 2,
            Cure::Restart => 1,
            Cure::None => 0,
        }
    }
}

/// The service that these servers are asked as, and the table of what is particular to it.
pub(super) fn service(servers: &ServerSpec, heap_mib: u32) -> (&str, String) {
    match servers.service.as_str() {
        "etcd" => ("etcd-v3", String::new()),
        "zookeeper" => {
            ("zookeeper", format!("[zookeeper]\ntick_ms = 500\nsync_limit_ticks = 4\nheap_mib = {heap_mib}\n"))
        }
        other => (other, String::new()),
    }
}

fn on_silence(from_s: u64) -> String {
    format!("when = \"silence of {} ms\"\nat_ms = {}", SILENCE_S * 1_000, from_s * 1_000)
}

fn kill(target: &str, begins: &str, lasts_s: u64) -> String {
    format!("\n[[nemesis]]\npackage = \"kill\"\ntarget = \"{target}\"\n{begins}\nlasts_ms = {}\n", lasts_s * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets;
    use crate::scenario::Scenario;

    #[test]
    fn every_case_makes_a_scenario_whatever_the_cure() {
        for name in packets::names() {
            let case = Case::named(name).expect("it comes along");
            let servers: ServerSpec = format!("{}@1.2.3", case.service.name()).parse().expect("a server");
            for (cure, faults) in [(Cure::LeaderKill, 3), (Cure::Restart, 2), (Cure::None, 1)] {
                let plan = Plan { case: &case, servers: &servers, to: "leader", watch_s: 20, cure, heap_mib: 256 };
                let scenario = Scenario::parse(name, name, &plan.text()).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(scenario.faults.len(), faults + usize::from(case.latent), "{name}");
                let end = scenario.duration.as_secs();
                assert_eq!(end, 55 + if case.latent { 24 } else { 0 } + plan.cures() * 16, "{name}");
            }
        }
    }
}
