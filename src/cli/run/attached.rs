//! A run against a cluster that runs already, and that is left as it was.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use leasehold_checkers::verdict::Judgement;
use leasehold_workloads::op::Key;
use leasehold_workloads::service::Connect;

use super::super::connect::{Guest, connect_as_guest};
use super::super::replay::Original;
use super::super::terminal::note;
use super::super::{Exit, Failure, OrExit};
use super::conclusion::{conclude, header, interruption, of_engine};
use super::prepared::{Prepared, any_seed};
use super::{RunArguments, adjusted};
use crate::attach::{self, Arrival, Endpoints, Told, arrive, not_let_in, origin, with_unseen_faults};
use crate::cluster::{Cluster, Topology};
use crate::engine::{self, EngineError, Plan, RunEnd};
use crate::nemesis::{FaultPlan, next_number, schedule};
use crate::run::Recorder;
use crate::scenario::Scenario;

/// How long what the run leaves may take to be cleared away, each time.
const CLEARING: Duration = Duration::from_secs(10);

/// What was under way when the run ended may still be carried out. By then that is over, and what came of it is cleared away too.
const AFTERMATH: Duration = Duration::from_millis(600);

/// Runs the scenario on the cluster at these endpoints, judges what was recorded, and writes and tells the result.
pub(super) fn run(
    arguments: &RunArguments,
    scenario: Scenario,
    endpoints: &Endpoints,
    original: Option<Original>,
) -> Result<Exit, Failure> {
    let scenario = on_others(adjusted(scenario, arguments)?, endpoints)?;
    let attach = &arguments.attach;
    let credentials = attach.credentials(endpoints.service)?;
    let tls = attach.tls(endpoints)?;
    let marks = attach.marks().map(|source| attach::follow(&source)).transpose();
    let marks =
        marks.map_err(|error| Failure::new(Exit::Unavailable, format!("cannot read --external-faults: {error}")))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().or_exit(Exit::Internal)?;
    let (prepared, ending, live) = runtime.block_on(async {
        let interrupted = interruption()?;
        tokio::pin!(interrupted);
        let arrived = tokio::select! {
            arrived = arrive(endpoints, tls, &credentials) => arrived.or_exit(Exit::Unavailable)?,
            () = &mut interrupted => return Err(Failure::new(Exit::Interrupted, "interrupted before anything was done")),
        };
        let Arrival { relays, probes, label, told } = arrived;
        fits(&scenario, &told)?;
        let (start, seed) = (Timestamp::now(), arguments.seed.unwrap_or_else(any_seed));
        // Two runs with one seed may begin at the same time.
        let number = u16::try_from(any_seed() & 0x7fff).unwrap_or_default();
        let guest = Guest {
            name: format!("{}-{number:04x}", start.strftime("%Y%m%dT%H%M%SZ")),
            number,
            credentials: credentials.clone(),
            origin: origin(endpoints),
        };
        let cluster = Arc::new(Cluster::attached(relays, probes));
        let connect = connect_as_guest(&scenario, &cluster, &told, &guest);
        let schedule = Original::schedule_of(original.as_ref(), schedule(&scenario.faults, seed));
        let contract = with_unseen_faults(connect.contract());
        let command = super::command_again(arguments, attach.again(endpoints), seed);
        let prepared = Prepared::new(arguments, scenario, label, seed, schedule, start, command)?;
        let prepared = Prepared { original, ..prepared };
        let mut header = header(&prepared, contract);
        header.clock_rate_error_ppm += attach.clock_error_ppm();
        let recorder = Recorder::create(&prepared.folder.history(), &header).or_exit(Exit::Unavailable)?;
        let keys = keys(&prepared.scenario);
        let nodes = match endpoints.servers.len() {
            1 => "one node".to_owned(),
            many => format!("{many} nodes"),
        };
        note(&format!("attached to {nodes} of {}; all that is written lies in leasehold/{}", prepared.label, guest.name));
        note(&format!("{} for {} s, seed {seed}", prepared.scenario.name, prepared.scenario.duration.as_secs()));
        let marking = marks.map(|marks| {
            let first = next_number(&prepared.schedule);
            tokio::spawn(marks.record(recorder.clone(), first, |complaint| note(&format!("leasehold: {complaint}"))))
        });
        let plan = Plan {
            workload: prepared.scenario.workload.clone(),
            duration: prepared.scenario.duration,
            schedule: prepared.schedule.clone(),
            seed,
        };
        let ending = engine::run(plan, cluster, Arc::clone(&connect), recorder.clone(), interrupted).await;
        if let Some(marking) = marking {
            marking.abort();
        }
        let live = recorder.close();
        leave(connect.as_ref(), &keys, &guest).await;
        let denied = match &ending {
            Err(EngineError::Prepare(error)) => not_let_in(endpoints.service, &error.text),
            _ => None,
        };
        let ending = denied.map_or_else(|| of_engine(ending), |denied| Err(Failure::new(Exit::Unavailable, denied)));
        Ok::<(Prepared, Result<RunEnd, Failure>, Option<Judgement>), Failure>((prepared, ending, live))
    })?;
    // Tasks that still wait for a server that does not answer must not keep us.
    runtime.shutdown_background();
    conclude(prepared, ending, live)
}

/// The scenario, if it can be run on servers that are not ours.
fn on_others(scenario: Scenario, endpoints: &Endpoints) -> Result<Scenario, Failure> {
    let usage = |text: String| Err(Failure::new(Exit::Usage, text));
    if scenario.service != endpoints.service {
        let (name, service, named) = (&scenario.name, scenario.service.name(), endpoints.service.name());
        return usage(format!(
            "{name} is about {service}, and --endpoints names {named}; `leasehold scenarios` lists those of each"
        ));
    }
    let cannot = |what: &str| {
        format!(
            "{} {what}, and servers that are not ours are left alone. With --endpoints a fault may be `pause`, `partition`, or `link` with \
             `delay_ms` alone, each with `target = \"holder\"`; --no-faults leaves all out, and --external-faults records what you \
             do to the cluster yourself",
            scenario.name
        )
    };
    if scenario.topology != Topology::default() {
        return usage(cannot("puts its servers into data centres"));
    }
    if scenario.clock_offsets_ms.iter().any(|&offset_ms| offset_ms != 0) {
        return usage(cannot("sets the clocks of servers"));
    }
    let touches = |plan: &&FaultPlan| !plan.fault.leaves_servers_alone(&plan.target);
    let touching: Vec<String> = scenario
        .faults
        .iter()
        .filter(touches)
        .map(|plan| format!("{} at {}", plan.fault.describe(), plan.target))
        .collect();
    if !touching.is_empty() {
        return usage(cannot(&format!("asks for {}", touching.join(", "))));
    }
    let nodes = u8::try_from(endpoints.servers.len()).unwrap_or(u8::MAX);
    scenario.with_nodes(nodes).or_exit(Exit::Usage)
}

/// Whether the cluster takes the scenario's TTLs.
fn fits(scenario: &Scenario, told: &Told) -> Result<(), Failure> {
    let shortest = scenario.workload.ttls().into_iter().min();
    match shortest.zip(told.least_ttl) {
        Some((ttl, least)) if ttl < least => {
            let (ttl, least, name) = (ttl.as_millis(), least.as_millis(), &scenario.name);
            let text = format!(
                "{name} asks for a TTL of {ttl} ms, and the servers take {least} ms at least (`session_ttl_min` of Consul); write \
                 `leasehold scenarios {name} > mine.toml`, set `ttl_ms` in it to {least} and the other times in proportion, and run ./mine.toml"
            );
            Err(Failure::new(Exit::Unavailable, text))
        }
        _ => Ok(()),
    }
}

/// All that the run may write to.
fn keys(scenario: &Scenario) -> Vec<Key> {
    let mut keys = scenario.workload.locks();
    keys.extend(scenario.workload.final_reads().iter().map(|read| read.key().clone()));
    keys.sort();
    keys.dedup();
    keys
}

/// Clears away what the run has left, and once more what came later.
async fn leave(connect: &dyn Connect, keys: &[Key], guest: &Guest) {
    let mut left = Ok(());
    for _ in 0..2 {
        let leaving = tokio::time::timeout(CLEARING, connect.leave(keys)).await;
        left = leaving
            .map_err(|_| "no answer in time".to_owned())
            .and_then(|left| left.map_err(|error| error.to_string()));
        tokio::time::sleep(AFTERMATH).await;
    }
    if let Err(why) = left {
        note(&format!(
            "leasehold: not all that lies in leasehold/{} could be removed: {why}; please remove it",
            guest.name
        ));
    }
}
