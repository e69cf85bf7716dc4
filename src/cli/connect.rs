//! The adapter for each service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leasehold_checkers::contract::Contract;
use leasehold_workloads::service::Connect;
use leasehold_workloads::{Mutex, Workload};

use crate::NodeId;
use crate::clients::{Consul, EtcdV2, EtcdV3, Program, SourceOf, ZooKeeper, consul, etcd_v3, zookeeper};
use crate::cluster::Cluster;
use crate::scenario::{Scenario, Service};
use crate::servers::ServerSettings;

/// How a lock is taken.
#[derive(Clone, Copy)]
enum Means {
    /// By one request that fails where the lock is taken.
    Attempt,
    /// By the service's own way of waiting for it. etcd's clients may keep the lease of a waiter alive or not.
    Queue { kept_alive: bool },
    /// By the service's own election.
    Election { kept_alive: bool },
}

impl Means {
    fn of(workload: &Workload) -> Self {
        match workload {
            Workload::Mutex(Mutex { renewal, .. }) => Self::Queue { kept_alive: renewal.is_some() },
            Workload::Election(Mutex { renewal, .. }) => Self::Election { kept_alive: renewal.is_some() },
            Workload::CasLock(_)
            | Workload::Lease(_)
            | Workload::Guarded(_)
            | Workload::Register(_)
            | Workload::Canary(_) => Self::Attempt,
        }
    }
}

/// What opens the connections of a scenario's workers to this cluster.
pub(super) fn connect_to(scenario: &Scenario, cluster: &Cluster) -> Arc<dyn Connect> {
    let Scenario { service, settings, consul, .. } = *scenario;
    let endpoints = cluster.client_endpoints();
    adapter(service, Means::of(&scenario.workload), settings, consul, endpoints, Cluster::worker_address)
}

/// What has a client program of the user's own ask this cluster, in place of our adapter; `logs` is the folder of what it writes to
/// standard error.
pub(super) fn connect_by(program: &Path, logs: PathBuf, scenario: &Scenario, cluster: &Cluster) -> Arc<dyn Connect> {
    let service = connect_to(scenario, cluster);
    Arc::new(Program::new(program.to_owned(), cluster.client_endpoints(), Cluster::worker_address, logs, service))
}

/// What a service promises if nothing particular is asked of it.
pub(super) fn contract(service: Service) -> Contract {
    let (settings, consul) = (ServerSettings::default(), consul::Settings::default());
    adapter(service, Means::Attempt, settings, consul, Vec::new(), |_| None).contract()
}

fn adapter(
    service: Service,
    means: Means,
    settings: ServerSettings,
    consul: consul::Settings,
    endpoints: Vec<(NodeId, SocketAddr)>,
    source_of: SourceOf,
) -> Arc<dyn Connect> {
    match service {
        Service::EtcdV2 => Arc::new(EtcdV2::new(endpoints).with_sources(source_of)),
        Service::EtcdV3 => {
            let recipe = match means {
                Means::Attempt => etcd_v3::Recipe::Txn,
                Means::Queue { kept_alive } => etcd_v3::Recipe::LockService { kept_alive },
                Means::Election { kept_alive } => etcd_v3::Recipe::Election { kept_alive },
            };
            Arc::new(EtcdV3::new(endpoints, recipe).with_sources(source_of))
        }
        Service::Consul => Arc::new(Consul::new(endpoints).with_settings(consul).with_sources(source_of)),
        Service::Zookeeper => {
            let recipe = match means {
                Means::Attempt => zookeeper::Recipe::Create,
                // An election is a lock here, and no scenario asks for one.
                Means::Queue { .. } | Means::Election { .. } => zookeeper::Recipe::Queue,
            };
            Arc::new(ZooKeeper::new(endpoints, recipe, &settings.zookeeper()).with_sources(source_of))
        }
    }
}
