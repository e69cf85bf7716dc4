//! How a member of an etcd cluster is started.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use super::{CLIENT_PORT, PEER_PORT, url};
use crate::NodeId;
use crate::servers::Launch;

/// What can be chosen about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdOptions {
    /// How often the leader tells that it lives. etcd wants the election time-out to be at least five times as long.
    pub heartbeat_interval_ms: u32,
    /// For how long a follower waits for the leader before it stands for election.
    pub election_timeout_ms: u32,
    /// Whether the old API is served.
    pub enable_v2: bool,
    /// What it takes itself to be a part of.
    pub cluster_state: ClusterState,
    /// A name that keeps the members of this cluster from talking to those of another.
    pub cluster_token: String,
    /// Further flags, put last so that they win.
    pub extra_flags: Vec<String>,
}

/// What a member takes itself to be a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// Without data: a cluster that begins with it.
    New,
    /// Without data: one that has taken it in.
    Existing,
    /// With data: one that has its keys, and no other members.
    ForceNew,
}

impl ClusterState {
    fn word(self) -> &'static str {
        match self {
            Self::New | Self::ForceNew => "new",
            Self::Existing => "existing",
        }
    }
}

impl Default for EtcdOptions {
    /// Half of etcd's own times, as fits a network without distance: a new leader is found in half the time.
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 50,
            election_timeout_ms: 500,
            enable_v2: true,
            cluster_state: ClusterState::New,
            cluster_token: "leasehold".to_owned(),
            extra_flags: Vec::new(),
        }
    }
}

impl EtcdOptions {
    /// The times for a network in which a packet and its answer take up to this long: by etcd's own advice, a heartbeat for
    /// each round trip, and ten without one until somebody stands for election. Never less than the default.
    #[must_use]
    pub fn for_round_trip(longest: Duration) -> Self {
        let default = Self::default();
        let round_trip_ms = u32::try_from(longest.as_millis()).unwrap_or(u32::MAX);
        Self {
            heartbeat_interval_ms: default.heartbeat_interval_ms.max(round_trip_ms),
            election_timeout_ms: default.election_timeout_ms.max(round_trip_ms.saturating_mul(10)),
            ..default
        }
    }
}

/// The command line of the member `node` of a cluster with these members, for its first start as for every later one: a
/// member with data on its disk ignores what is said about the initial cluster.
///
/// # Panics
/// If `addresses` does not contain `node`.
#[must_use]
pub fn command_line(
    program: &Path,
    node: NodeId,
    addresses: &[(NodeId, Ipv4Addr)],
    data_dir: &Path,
    options: &EtcdOptions,
) -> Launch {
    let own = addresses.iter().find(|(id, _)| *id == node).map(|(_, address)| *address);
    let own = own.expect("a node of the cluster has an address");
    let client_url = url(own, CLIENT_PORT);
    let peer_url = url(own, PEER_PORT);
    let members: Vec<_> = addresses.iter().map(|(id, address)| format!("{id}={}", url(*address, PEER_PORT))).collect();

    let mut arguments: Vec<OsString> = vec!["--data-dir".into(), data_dir.into()];
    let mut flag = |name: &str, value: &str| arguments.extend([name.into(), value.into()]);
    flag("--name", &node.to_string());
    flag("--listen-client-urls", &client_url);
    flag("--advertise-client-urls", &client_url);
    flag("--listen-peer-urls", &peer_url);
    flag("--initial-advertise-peer-urls", &peer_url);
    flag("--initial-cluster", &members.join(","));
    flag("--initial-cluster-state", options.cluster_state.word());
    flag("--initial-cluster-token", &options.cluster_token);
    flag("--heartbeat-interval", &options.heartbeat_interval_ms.to_string());
    flag("--election-timeout", &options.election_timeout_ms.to_string());
    // A Go program takes no value of a truth flag from the next argument.
    arguments.push(format!("--enable-v2={}", options.enable_v2).into());
    if options.cluster_state == ClusterState::ForceNew {
        arguments.push("--force-new-cluster".into());
    }
    arguments.extend(options.extra_flags.iter().map(OsString::from));

    Launch {
        program: program.to_owned(),
        arguments,
        // etcd would take every `ETCD_*` variable for a flag. Members share this machine: each would otherwise start a thread for every processor.
        environment: vec![("GOMAXPROCS".into(), "2".into())],
        files: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_names_itself_and_all_its_peers() {
        let addresses: Vec<_> = NodeId::first(3).map(|node| (node, Ipv4Addr::new(10, 0, 0, node.number()))).collect();
        let line = command_line(
            Path::new("/bin/etcd"),
            NodeId::new(2),
            &addresses,
            Path::new("/data/n2"),
            &EtcdOptions { extra_flags: vec!["--log-level=debug".to_owned()], ..EtcdOptions::default() },
        );
        let arguments: Vec<_> = line.arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        assert_eq!(
            arguments.join(" "),
            "--data-dir /data/n2 --name n2 --listen-client-urls http://10.0.0.2:2379 --advertise-client-urls http://10.0.0.2:2379 \
             --listen-peer-urls http://10.0.0.2:2380 --initial-advertise-peer-urls http://10.0.0.2:2380 \
             --initial-cluster n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://10.0.0.3:2380 \
             --initial-cluster-state new --initial-cluster-token leasehold --heartbeat-interval 50 --election-timeout 500 \
             --enable-v2=true --log-level=debug"
        );
        assert!(line.environment.iter().all(|(name, _)| !name.to_string_lossy().starts_with("ETCD_")));
    }
}
