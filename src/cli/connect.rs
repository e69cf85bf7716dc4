//! The adapter for each service.

use std::net::SocketAddr;
use std::sync::Arc;

use leasehold_checkers::contract::Contract;
use leasehold_workloads::Workload;
use leasehold_workloads::service::Connect;

use crate::NodeId;
use crate::clients::consul::Settings;
use crate::clients::{Consul, EtcdV2, EtcdV3, Recipe, SourceOf};
use crate::cluster::Cluster;
use crate::scenario::{Scenario, Service};

/// What opens the connections of a scenario's workers to this cluster.
pub(super) fn connect_to(scenario: &Scenario, cluster: &Cluster) -> Arc<dyn Connect> {
    let recipe = match scenario.workload {
        Workload::LockQueue(_) => Recipe::LockService,
        Workload::CasLock(_) | Workload::Lease(_) => Recipe::Txn,
    };
    adapter(scenario.service, recipe, scenario.consul, cluster.client_endpoints(), Cluster::worker_address)
}

/// What a service promises if nothing particular is asked of it.
pub(super) fn contract(service: Service) -> Contract {
    adapter(service, Recipe::Txn, Settings::default(), Vec::new(), |_| None).contract()
}

fn adapter(
    service: Service,
    recipe: Recipe,
    consul: Settings,
    endpoints: Vec<(NodeId, SocketAddr)>,
    source_of: SourceOf,
) -> Arc<dyn Connect> {
    match service {
        Service::EtcdV2 => Arc::new(EtcdV2::new(endpoints).with_sources(source_of)),
        Service::EtcdV3 => Arc::new(EtcdV3::new(endpoints, recipe).with_sources(source_of)),
        Service::Consul => Arc::new(Consul::new(endpoints).with_settings(consul).with_sources(source_of)),
        Service::Zookeeper => todo!(),
    }
}
