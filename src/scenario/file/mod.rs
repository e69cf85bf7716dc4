//! The TOML shape of a scenario, and its checks.

mod fault;
mod settings;
mod topology;
mod workload;

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::error::ScenarioError;
use super::{Scenario, Service};
use crate::clients::ClientSettings;
use crate::servers::{NotASpec, ServerSettings};
use fault::Scope;
use settings::{ConsulTable, EtcdTable, ZooKeeperTable};
use topology::TopologyTable;
use workload::WorkloadTable;

const DEFAULT_NODES: u8 = 3;
const MAX_NODES: u8 = 9;
const MAX_SECONDS: u64 = 24 * 3600;
const MAX_WORKERS: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    summary: String,
    service: Service,
    servers: Spanned<String>,
    nodes: Option<Spanned<u8>>,
    seconds: Spanned<u64>,
    #[serde(default)]
    clock_offsets_ms: Vec<i64>,
    #[serde(default)]
    beliefs_must_exclude: bool,
    #[serde(rename = "etcd-v3")]
    etcd: Option<Spanned<EtcdTable>>,
    consul: Option<Spanned<ConsulTable>>,
    zookeeper: Option<Spanned<ZooKeeperTable>>,
    topology: Option<Spanned<TopologyTable>>,
    workload: Spanned<WorkloadTable>,
}

/// The text under scrutiny, for errors that name a place in it.
struct Source<'a> {
    origin: &'a str,
    text: &'a str,
}

/// What is asked, and of whom.
#[derive(Clone, Copy)]
struct Asked {
    service: Service,
    settings: ServerSettings,
    nodes: u8,
}

impl Source<'_> {
    fn wrong(&self, span: Range<usize>, message: impl Into<String>) -> ScenarioError {
        ScenarioError::at(self.origin, self.text, span, message)
    }

    fn refused(&self, error: &toml::de::Error) -> ScenarioError {
        ScenarioError::from_toml(self.origin, self.text, error)
    }

    /// The setting of this name, which must be there.
    fn need<T: Clone>(&self, table: &Range<usize>, name: &str, value: &Option<Spanned<T>>) -> Result<T, ScenarioError> {
        value
            .as_ref()
            .map(|spanned| spanned.get_ref().clone())
            .ok_or_else(|| self.wrong(table.clone(), format!("`{name}` is missing here")))
    }

    /// A span of time in milliseconds that must be there and not be zero.
    fn millis(
        &self,
        table: &Range<usize>,
        name: &str,
        value: &Option<Spanned<u64>>,
    ) -> Result<Duration, ScenarioError> {
        let millis = self.need(table, name, value)?;
        match (millis, value) {
            (0, Some(spanned)) => Err(self.wrong(spanned.span(), format!("`{name}` must be more than 0"))),
            _ => Ok(Duration::from_millis(millis)),
        }
    }

    /// A TTL that the servers grant as it is.
    fn ttl(&self, span: Range<usize>, name: &str, millis: u64, asked: Asked) -> Result<Duration, ScenarioError> {
        let ttl = Duration::from_millis(millis);
        match asked.service.grants(ttl, asked.settings) {
            Ok(()) => Ok(ttl),
            Err(granted) => Err(self.wrong(span, format!("`{name}` must be {granted}"))),
        }
    }

    fn share(&self, name: &str, value: &Option<Spanned<f64>>) -> Result<f64, ScenarioError> {
        match value {
            None => Ok(0.0),
            Some(share) if (0.0..=1.0).contains(share.get_ref()) => Ok(*share.get_ref()),
            Some(share) => Err(self.wrong(share.span(), format!("`{name}` is a share, from 0 to 1"))),
        }
    }

    fn count(&self, table: &Range<usize>, name: &str, value: &Option<Spanned<usize>>) -> Result<usize, ScenarioError> {
        let count = self.need(table, name, value)?;
        match value {
            Some(spanned) if !(1..=MAX_WORKERS).contains(&count) => {
                Err(self.wrong(spanned.span(), format!("`{name}` must be from 1 to {MAX_WORKERS}")))
            }
            _ => Ok(count),
        }
    }

    fn reject<T>(&self, owner: &str, name: &str, value: &Option<Spanned<T>>) -> Result<(), ScenarioError> {
        match value {
            None => Ok(()),
            Some(spanned) => Err(self.wrong(spanned.span(), format!("`{name}` is no setting of {owner}"))),
        }
    }
}

pub(super) fn parse(name: &str, origin: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let source = Source { origin, text };
    let mut table = DeTable::parse(text).map_err(|error| source.refused(&error))?;
    // Each package of faults has settings of its own, so they are read apart.
    let nemesis = table.get_mut().remove("nemesis");
    let file = File::deserialize(Deserializer::from(table)).map_err(|error| source.refused(&error))?;
    let seconds = *file.seconds.get_ref();
    if !(1..=MAX_SECONDS).contains(&seconds) {
        return Err(source.wrong(file.seconds.span(), format!("`seconds` must be from 1 to {MAX_SECONDS}")));
    }
    let nodes = match &file.nodes {
        None => DEFAULT_NODES,
        Some(nodes) if (1..=MAX_NODES).contains(nodes.get_ref()) => *nodes.get_ref(),
        Some(nodes) => return Err(source.wrong(nodes.span(), format!("`nodes` must be from 1 to {MAX_NODES}"))),
    };
    let topology = topology::topology(&source, file.topology.as_ref(), nodes)?;
    let settings = settings::of_servers(&source, file.service, file.zookeeper.as_ref())?;
    let lease_ids = settings::of_etcd(&source, file.service, file.etcd.as_ref())?;
    let consul = settings::of_consul(&source, file.service, file.consul.as_ref())?;
    let workload = workload::workload(&source, &file.workload, Asked { service: file.service, settings, nodes })?;
    let scope = Scope { nodes, topology: &topology, keys: workload.locks(), software: file.service.software() };
    let faults = fault::plans(&source, nemesis, &scope)?;
    Ok(Scenario {
        name: name.to_owned(),
        summary: file.summary,
        service: file.service,
        servers: file
            .servers
            .get_ref()
            .parse()
            .map_err(|error: NotASpec| source.wrong(file.servers.span(), error.to_string()))?,
        settings,
        clients: ClientSettings { lease_ids, consul },
        library_lock: settings::by_library(file.zookeeper.as_ref()),
        nodes,
        duration: Duration::from_secs(seconds),
        clock_offsets_ms: file.clock_offsets_ms,
        workload,
        faults,
        topology,
        beliefs_must_exclude: file.beliefs_must_exclude,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::consul;
    use crate::clients::etcd_v3::LeaseIds;
    use crate::nemesis::{Begins, Condition, Place, Target};

    const GOOD: &str = r#"
summary = "s"
service = "etcd-v3"
servers = "etcd@3.5.30"
seconds = 10

[workload]
kind = "lease"
workers = 2
ttl_ms = 3000
renew_ms = 1000
hold_ms = 1000
poll_ms = 100

[[nemesis]]
package = "clock"
offset_ms = 5
at_ms = 1
lasts_ms = 2
"#;

    fn error_of(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from));
        parse("x", "x.toml", &GOOD.replacen(from, to, 1)).expect_err("it is wrong").to_string()
    }

    #[test]
    fn the_text_before_it_is_bent_is_good() {
        let scenario = parse("x", "x.toml", GOOD).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.nodes, 3);
        assert_eq!(scenario.faults[0].target, Target::Leader);
    }

    #[test]
    fn a_misspelt_setting_is_named_with_its_place_and_the_nearest_word() {
        let error = error_of("offset_ms", "ofset_ms");
        assert!(error.starts_with("x.toml:17:1: `ofset_ms` is no setting of the package `clock`"), "{error}");
        assert!(error.ends_with("did you mean `offset_ms`?"), "{error}");
    }

    #[test]
    fn a_misspelt_value_is_named_with_its_place_and_the_nearest_word() {
        let error = error_of("\"clock\"", "\"clok\"");
        assert!(error.starts_with("x.toml:16:11: unknown package `clok`"), "{error}");
        assert!(error.ends_with("did you mean `clock`?"), "{error}");
        let error = error_of("at_ms = 1", "at_ms = 1\ntarget = \"leeder\"");
        assert!(error.starts_with("x.toml:19:10: unknown target `leeder`"), "{error}");
        assert!(error.ends_with("did you mean `leader`?"), "{error}");
    }

    #[test]
    fn settings_of_another_workload_or_package_are_refused() {
        assert!(error_of("poll_ms", "keys = 2\npoll_ms").contains("`keys` is no setting of lease"));
        assert!(
            error_of("at_ms", "shape = \"isolate\"\nat_ms").contains("`shape` is no setting of the package `clock`")
        );
    }

    #[test]
    fn places_that_do_not_exist_are_refused() {
        let dcs = "[topology]\ndcs = { east = ['n1', 'n2'], west = ['n3'] }\n[workload]";
        let good = GOOD.replace("[workload]", dcs).replace("at_ms = 1", "at_ms = 1\ntarget = 'dc:west'");
        let scenario = parse("x", "x.toml", &good).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.faults[0].target, Target::Dc("west".to_owned()));
        assert!(error_of("at_ms = 1", "at_ms = 1\ntarget = 'dc:west'").contains("there is no data centre `west`"));
        let partition = "package = 'partition'\nshape = 'isolate'\nfrom = 'n4'";
        assert!(error_of("package = \"clock\"\noffset_ms = 5", partition).contains("there is no node n4"));
    }

    #[test]
    fn what_is_particular_to_a_service_stands_in_a_table_of_its_name() {
        let consul = |table: &str| {
            let text = GOOD.replacen("etcd-v3", "consul", 1).replacen("etcd@3.5.30", "consul@1.8.7", 1);
            parse("x", "x.toml", &text.replacen("[workload]", &format!("{table}\n[workload]"), 1))
        };
        let asked = |table: &str| consul(table).unwrap_or_else(|error| panic!("{error}")).clients.consul;
        assert_eq!(asked(""), consul::Settings::default());
        let settings = asked("[consul]\nlock_delay_ms = 500\nbehavior = 'delete'\nchecks = 'serf-health'");
        assert_eq!((settings.lock_delay.as_millis(), settings.behavior), (500, consul::Behavior::Delete));
        let error = consul("[consul]\nlock_delay_ms = 60_001").expect_err("too long").to_string();
        assert!(error.contains("`lock_delay_ms` must be from 0 to 60000"), "{error}");
        assert_eq!(asked("[consul]\nsession_node = 'client'").session_node, consul::SessionNode::Client);
        let error = consul("[consul]\nchecks = 'serf-health'\nsession_node = 'client'").expect_err("no such check");
        assert!(error.to_string().contains("has no `serfHealth` check"), "{error}");
        let error = consul("[zookeeper]\ntick_ms = 500").expect_err("of another").to_string();
        assert!(error.contains("`[zookeeper]` has no place here: the service is `consul`"), "{error}");

        let etcd = |table: &str| parse("x", "x.toml", &GOOD.replacen("[workload]", &format!("{table}\n[workload]"), 1));
        let ids = |table: &str| etcd(table).unwrap_or_else(|error| panic!("{error}")).clients.lease_ids;
        assert_eq!((ids(""), ids("[etcd-v3]\nlease_ids = 'negative'")), (LeaseIds::Positive, LeaseIds::Negative));
        let error = etcd("[consul]\nlock_delay_ms = 0").expect_err("of another").to_string();
        assert!(error.contains("`[consul]` has no place here: the service is `etcd-v3`"), "{error}");

        let zookeeper = |table: &str, ttl: &str| {
            let text = GOOD.replacen("etcd-v3", "zookeeper", 1).replacen("etcd@3.5.30", "zookeeper@3.8.0", 1);
            let text = text.replacen("ttl_ms = 3000", ttl, 1);
            parse("x", "x.toml", &text.replacen("[workload]", &format!("{table}\n[workload]"), 1))
        };
        let scenario =
            zookeeper("[zookeeper]\ntick_ms = 2_000", "ttl_ms = 4_500").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((scenario.settings.tick_ms, scenario.library_lock), (Some(2_000), false));
        let library = zookeeper("[zookeeper]\nlock = 'library'", "ttl_ms = 3_000").expect("one of two");
        assert!(library.library_lock);
        let error = zookeeper("[zookeeper]\ntick_ms = 2_000", "ttl_ms = 3_000").expect_err("too short").to_string();
        assert!(error.contains("`ttl_ms` must be from 4000 to 40000"), "{error}");
    }

    #[test]
    fn what_is_missing_or_out_of_range_is_said() {
        assert!(error_of("offset_ms = 5\n", "").contains("`offset_ms` is missing here"));
        assert!(error_of("seconds = 10", "seconds = 0").contains("`seconds` must be from 1"));
        assert!(error_of("ttl_ms = 3000", "ttl_ms = 2500").contains("whole seconds"));
        assert!(error_of("at_ms", "target = \"n4\"\nat_ms").contains("there is no node n4"));
        assert!(error_of("at_ms = 1", "every_ms = 2\nat_ms = 1").contains("needs `times`"));
        assert!(error_of("at_ms = 1\n", "").contains("`at_ms` or `when` is missing here"));
        assert!(error_of("seconds = 10", "seconds = ").starts_with("x.toml:5:"));
        assert!(error_of("etcd@3.5.30", "etcd-3.5.30").starts_with("x.toml:4:11: `etcd-3.5.30` names no server"));
    }

    #[test]
    fn faults_begin_at_set_times_at_random_ones_or_on_a_condition() {
        let begins = |settings: &str| {
            let text = GOOD.replacen("at_ms = 1", settings, 1);
            parse("x", "x.toml", &text).unwrap_or_else(|error| panic!("{error}")).faults[0].begins
        };
        let ms = Duration::from_millis;
        let every =
            |at, every, times, jitter| Begins::Every { at: ms(at), every: ms(every), times, jitter: ms(jitter) };
        assert_eq!(begins("at_ms = 1"), every(1, 0, 1, 0));
        assert_eq!(begins("at_ms = 1\ntimes = 3\nevery_ms = 5\njitter_ms = 2"), every(1, 5, 3, 2));
        let within = Begins::Within { at: ms(1), within: ms(500), times: 4 };
        assert_eq!(begins("at_ms = 1\nwithin_ms = 500\ntimes = 4"), within);
        let condition = Condition::Held(Place::Leader);
        let when = |at, times, cooldown| Begins::When { condition, at: ms(at), times, cooldown: ms(cooldown) };
        assert_eq!(begins("when = \"holder on leader\""), when(0, 1, 1_000));
        assert_eq!(begins("when = \"holder on leader\"\nat_ms = 5\ntimes = 2\ncooldown_ms = 0"), when(5, 2, 0));
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let refused = |settings: &str, told: &str| {
            let error = error_of("at_ms = 1", settings);
            assert!(error.contains(told), "{error}");
        };
        refused("when = \"holder\"\ntimes = 2\nevery_ms = 1", "`every_ms` is no setting of a fault that waits");
        refused("when = \"holder\"\nwithin_ms = 1", "`within_ms` is no setting of a fault that waits");
        refused("at_ms = 1\nwithin_ms = 9\ntimes = 2\nevery_ms = 1", "`every_ms` is no setting of a fault at random");
        refused("at_ms = 1\ncooldown_ms = 1", "`cooldown_ms` is no setting of a fault without `when`");
        refused("at_ms = 1\ntimes = 0", "`times` must be from 1");
        refused("at_ms = 1\nwithin_ms = 0", "`within_ms` must be more than 0");
    }

    #[test]
    fn a_wrong_condition_is_named_with_its_place_and_the_nearest_one() {
        let error = error_of("at_ms = 1", "when = \"before expire by 200 ms\"");
        assert!(error.starts_with("x.toml:18:8: `before expire by 200 ms` is no condition"), "{error}");
        assert!(error.ends_with("did you mean `before expiry by 200 ms`?"), "{error}");
        let refused = |when: &str, told: &str| {
            let error = error_of("at_ms = 1", &format!("when = \"{when}\""));
            assert!(error.contains(told), "{error}");
        };
        refused("after fault 1", "it cannot wait for its own end");
        refused("after fault 2", "there is no fault 2");
        refused("holder on n4", "there is no node n4");
        refused("leader is n9", "there is no node n9");
    }

    #[test]
    fn clients_are_no_target_of_a_package_that_aims_at_nodes() {
        let error = error_of("at_ms = 1", "at_ms = 1\ntarget = \"holder\"");
        assert!(
            error.starts_with("x.toml:19:10: `holder` is a client, and the package `clock` aims at nodes"),
            "{error}"
        );
        let scenario = parse("x", "x", &GOOD.replacen("at_ms", "target = \"holder-node:leases/2\"\nat_ms", 1));
        assert_eq!(
            scenario.unwrap_or_else(|error| panic!("{error}")).faults[0].target,
            Target::HolderNode(Some("leases/2".to_owned()))
        );
        let error = error_of("at_ms = 1", "at_ms = 1\ntarget = \"holder-node:leases/3\"");
        assert!(error.contains("there is no lock `leases/3`: the workload has `leases/1` to `leases/2`"), "{error}");
    }
}
