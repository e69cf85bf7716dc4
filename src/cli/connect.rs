//! The client library for each service.

use std::net::SocketAddr;
use std::sync::Arc;

use leasehold_workloads::Workload;
use leasehold_workloads::service::Connect;

use crate::NodeId;
use crate::clients::{Consul, EtcdV2, EtcdV3, Recipe, ZooKeeper};
use crate::cluster::Cluster;
use crate::scenario::{Scenario, Service};
