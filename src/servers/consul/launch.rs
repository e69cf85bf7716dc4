//! How a server of a Consul cluster is started.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::json;

use super::{CLIENT_PORT, GOSSIP_PORT, SERVER_PORT};
use crate::NodeId;
use crate::servers::Launch;

/// What can be chosen about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsulOptions {
    /// By how much Raft's times are multiplied: 1 is what Consul's makers advise for production; a server that is told
    /// nothing takes 5, and elections take as many times longer.
    pub raft_multiplier: u8,
    /// Whether a server without data founds a cluster with the others, or joins one that is there.
    pub joins: bool,
    /// The shortest TTL of a session, in milliseconds. A server that is told nothing refuses less than 10 s.
    pub session_ttl_min_ms: u64,
}

impl Default for ConsulOptions {
    /// Fast elections, and sessions that are short enough for a run of seconds.
    fn default() -> Self {
        Self { raft_multiplier: 1, joins: false, session_ttl_min_ms: 1_000 }
    }
}

/// How the server `node` is started, the first time as every later one.
///
/// # Panics
/// If `addresses` does not contain `node`.
#[must_use]
pub fn launch(
    program: &Path,
    node: NodeId,
    addresses: &[(NodeId, Ipv4Addr)],
    data: &Path,
    options: &ConsulOptions,
) -> Launch {
    let own = addresses.iter().find(|(id, _)| *id == node).map(|(_, address)| address.to_string());
    let own = own.expect("a node of the cluster has an address");
    let all: Vec<String> = addresses.iter().map(|(_, address)| address.to_string()).collect();
    let mut configuration = json!({
        "node_name": node.to_string(),
        // A server whose data was wiped comes back as the same node.
        "node_id": server_id(node),
        "disable_host_node_id": true,
        "server": true,
        "bind_addr": own,
        "advertise_addr": own,
        "client_addr": own,
        "ports": {
            "http": CLIENT_PORT, "server": SERVER_PORT, "serf_lan": GOSSIP_PORT, "serf_wan": -1, "dns": -1, "grpc": -1,
        },
        "data_dir": data.join("data"),
        "retry_join": all,
        "retry_interval": "1s",
        "performance": { "raft_multiplier": options.raft_multiplier },
        "session_ttl_min": format!("{}ms", options.session_ttl_min_ms),
        // It asks its makers for news, and there is nobody to ask in a sandbox.
        "disable_update_check": true,
        "leave_on_terminate": false,
        "skip_leave_on_interrupt": true,
        // A server that is down for a while is no reason to forget it, and one that has joined anew need not wait for its vote
        // until it was well for 10 s.
        "autopilot": { "cleanup_dead_servers": false, "server_stabilization_time": "1s" },
        "limits": { "http_max_conns_per_client": 10_000, "rpc_max_conns_per_client": 10_000 },
    });
    if !options.joins {
        configuration["bootstrap_expect"] = json!(all.len());
    }
    let file = data.join("consul.json");
    Launch {
        program: program.to_owned(),
        arguments: vec!["agent".into(), "-config-file".into(), file.clone().into()],
        // Servers share this machine: each would otherwise start a thread for every processor.
        environment: vec![("GOMAXPROCS".into(), "2".into())],
        files: vec![(file, format!("{configuration:#}\n"))],
    }
}

/// The id by which Raft knows a node's server.
pub(super) fn server_id(node: NodeId) -> String {
    format!("{:08x}-0000-4000-8000-000000000000", node.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_names_itself_and_joins_all() {
        let addresses: Vec<_> = NodeId::first(3).map(|node| (node, Ipv4Addr::new(10, 0, 0, node.number()))).collect();
        let options = ConsulOptions::default();
        let launch = launch(Path::new("/bin/consul"), NodeId::new(2), &addresses, Path::new("/data/n2"), &options);
        let [(file, text)] = &launch.files[..] else { panic!("one file") };
        assert_eq!(file, Path::new("/data/n2/consul.json"));
        let told: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!((&told["node_name"], &told["bind_addr"]), (&json!("n2"), &json!("10.0.0.2")));
        assert_eq!(told["retry_join"], json!(["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
        assert_eq!((&told["bootstrap_expect"], &told["session_ttl_min"]), (&json!(3), &json!("1000ms")));
    }

    #[test]
    fn a_server_that_joins_founds_nothing() {
        let addresses = [(NodeId::new(1), Ipv4Addr::LOCALHOST)];
        let options = ConsulOptions { joins: true, ..ConsulOptions::default() };
        let launch = launch(Path::new("/bin/consul"), NodeId::new(1), &addresses, Path::new("/data/n1"), &options);
        assert!(!launch.files[0].1.contains("bootstrap_expect"));
    }
}
