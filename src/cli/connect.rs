//! The adapter for each service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::contract::Contract;
use leasehold_workloads::op::Wait;
use leasehold_workloads::service::Connect;
use leasehold_workloads::{Guarded, Mutex, Workload};
use tonic::codegen::http::Uri;

use crate::NodeId;
use crate::attach::Told;
use crate::clients::{
    ClientSettings, Consul, Credentials, EtcdV2, EtcdV3, Program, SourceOf, Within, ZooKeeper, etcd_v3, zookeeper,
};
use crate::cluster::Cluster;
use crate::scenario::{Scenario, Service};
use crate::servers::ServerSettings;
use crate::servers::etcd::EtcdOptions;

/// How a lock is taken.
#[derive(Clone, Copy)]
enum Means {
    /// By one request that fails where the lock is taken.
    Attempt,
    /// By the service's own way of waiting for it. etcd's clients may keep the lease of a waiter alive or not.
    Queue { kept_alive: bool },
    /// By the client library's own recipe for that, where it has one.
    Library,
    /// By the service's own election.
    Election { kept_alive: bool },
    /// As one of so many who may hold it.
    Permit { of: usize },
}

impl Means {
    fn of(scenario: &Scenario) -> Self {
        match &scenario.workload {
            Workload::Mutex(_) if scenario.library_lock => Self::Library,
            Workload::Mutex(Mutex { renewal, .. }) => Self::Queue { kept_alive: renewal.is_some() },
            Workload::Election(Mutex { renewal, .. }) => Self::Election { kept_alive: renewal.is_some() },
            Workload::Guarded(Guarded { wait: Wait::InQueue, .. }) => Self::Queue { kept_alive: true },
            Workload::Semaphore(_, permits) => Self::Permit { of: *permits },
            Workload::CasLock(_)
            | Workload::Lease(_)
            | Workload::Guarded(_)
            | Workload::Register(_)
            | Workload::Canary(_) => Self::Attempt,
        }
    }
}

/// Who we are on a cluster that is not ours.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    /// The folder that the run has for itself.
    pub(super) name: String,
    /// What its leases are told by.
    pub(super) number: u16,
    pub(super) credentials: Credentials,
    /// What the servers are called, where they know that they are spoken to over TLS.
    pub(super) origin: Option<Uri>,
}

/// What opens the connections of a scenario's workers to this cluster.
pub(super) fn connect_to(scenario: &Scenario, cluster: &Cluster) -> Arc<dyn Connect> {
    let Scenario { service, settings, clients, .. } = *scenario;
    let (endpoints, round_trip) = (cluster.client_endpoints(), scenario.topology.longest_round_trip());
    adapter(service, Means::of(scenario), (settings, round_trip), clients, endpoints, cluster.sources(), None)
}

/// The same to a cluster that is not ours, by what it has told of itself.
pub(super) fn connect_as_guest(scenario: &Scenario, cluster: &Cluster, told: &Told, guest: &Guest) -> Arc<dyn Connect> {
    let Scenario { service, clients, .. } = *scenario;
    // What it keeps to itself is taken to be as it comes: 2 s and 5 ticks.
    let settings = ServerSettings {
        tick_ms: Some(told.tick_ms.unwrap_or(2_000)),
        sync_limit_ticks: Some(told.sync_limit_ticks.unwrap_or(5)),
        heap_mib: None,
    };
    let (means, endpoints) = (Means::of(scenario), cluster.client_endpoints());
    adapter(service, means, (settings, Duration::ZERO), clients, endpoints, cluster.sources(), Some(guest))
}

/// What has a client program of the user's own ask this cluster, in place of our adapter; `logs` is the folder of what it writes to
/// standard error.
pub(super) fn connect_by(program: &Path, logs: PathBuf, scenario: &Scenario, cluster: &Cluster) -> Arc<dyn Connect> {
    let service = connect_to(scenario, cluster);
    Arc::new(Program::new(program.to_owned(), cluster.client_endpoints(), cluster.sources(), logs, service))
}

/// What a service promises if nothing particular is asked of it.
pub(super) fn contract(service: Service) -> Contract {
    let (settings, clients) = (ServerSettings::default(), ClientSettings::default());
    adapter(service, Means::Attempt, (settings, Duration::ZERO), clients, Vec::new(), |_| None, None).contract()
}

fn adapter(
    service: Service,
    means: Means,
    (settings, longest_round_trip): (ServerSettings, Duration),
    clients: ClientSettings,
    endpoints: Vec<(NodeId, SocketAddr)>,
    source_of: SourceOf,
    guest: Option<&Guest>,
) -> Arc<dyn Connect> {
    let credentials = guest.map_or(Credentials::None, |guest| guest.credentials.clone());
    let connect: Arc<dyn Connect> = match service {
        Service::EtcdV2 => Arc::new(EtcdV2::new(endpoints).with_sources(source_of).with_credentials(credentials)),
        Service::EtcdV3 => {
            let recipe = match means {
                Means::Attempt => etcd_v3::Recipe::Txn,
                Means::Queue { kept_alive } => etcd_v3::Recipe::LockService { kept_alive },
                Means::Library => etcd_v3::Recipe::LockService { kept_alive: true },
                Means::Election { kept_alive } => etcd_v3::Recipe::Election { kept_alive },
                Means::Permit { of } => etcd_v3::Recipe::Semaphore { permits: of },
            };
            let etcd = EtcdV3::of_servers(endpoints, recipe, &EtcdOptions::for_round_trip(longest_round_trip));
            let etcd = etcd.with_sources(source_of).with_credentials(credentials).with_lease_ids(clients.lease_ids);
            let etcd = guest.iter().fold(etcd, |etcd, guest| etcd.with_leases_of_run(guest.number));
            let origin = guest.and_then(|guest| guest.origin.clone());
            Arc::new(origin.into_iter().fold(etcd, EtcdV3::with_origin))
        }
        Service::Consul => {
            let consul = Consul::new(endpoints).with_settings(clients.consul).with_sources(source_of);
            let consul = match means {
                Means::Permit { of } => consul.with_permits(of),
                Means::Attempt | Means::Queue { .. } | Means::Library | Means::Election { .. } => consul,
            };
            Arc::new(consul.with_credentials(credentials))
        }
        Service::Zookeeper => {
            let recipe = match means {
                Means::Attempt => zookeeper::Recipe::Create,
                Means::Library => zookeeper::Recipe::Library,
                // ZooKeeper's recipe for an election is that for a lock.
                Means::Queue { .. } | Means::Election { .. } => zookeeper::Recipe::Queue,
                Means::Permit { of } => zookeeper::Recipe::Semaphore { permits: of },
            };
            let zookeeper = ZooKeeper::new(endpoints, recipe, &settings.zookeeper()).with_sources(source_of);
            let zookeeper = zookeeper.with_credentials(credentials);
            // Its connections see the run's folder only.
            return Arc::new(guest.iter().fold(zookeeper, |zookeeper, guest| zookeeper.in_folder(&guest.name)));
        }
    };
    match guest {
        Some(guest) => Arc::new(Within::new(guest.name.clone(), connect)),
        None => connect,
    }
}
