//! How a server of a ZooKeeper ensemble is started.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use super::members::{self, SUPER_DIGEST};
use super::{CLIENT_PORT, ELECTION_PORT, QUORUM_PORT};
use crate::NodeId;
use crate::servers::Launch;

/// What can be chosen about an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperOptions {
    /// The unit of all of the server's times, in milliseconds. Sessions last 2 to 20 ticks.
    pub tick_ms: u32,
    /// For how many ticks a follower may connect to the leader.
    pub init_limit_ticks: u32,
    /// For how many ticks a follower may be out of touch with the leader.
    pub sync_limit_ticks: u32,
    /// The memory of each server's JVM, in mebibytes.
    pub heap_mib: u32,
    /// Whether the ensemble may change its members while it runs, which 3.5 and later versions can.
    pub reconfig: bool,
}

impl Default for ZooKeeperOptions {
    /// A tick of a tenth of the usual, so that sessions are short enough for a run of seconds.
    fn default() -> Self {
        Self { tick_ms: 200, init_limit_ticks: 20, sync_limit_ticks: 10, heap_mib: 64, reconfig: false }
    }
}

/// How the server `node` is started, the first time as every later one. `jars` is the folder of its jars.
///
/// # Panics
/// If `addresses` does not contain `node`.
#[must_use]
pub fn launch(
    java: &Path,
    jars: &Path,
    node: NodeId,
    addresses: &[(NodeId, Ipv4Addr)],
    data: &Path,
    options: &ZooKeeperOptions,
) -> Launch {
    let own = addresses.iter().find(|(id, _)| *id == node).map(|(_, address)| *address);
    let own = own.expect("a node of the ensemble has an address");
    let heap = options.heap_mib;
    let file = data.join("zoo.cfg");
    let mut arguments: Vec<_> = [
        format!("-Xms{heap}m"),
        format!("-Xmx{heap}m"),
        // Servers share this machine: the simplest collector and compiler start fastest and take the fewest threads.
        "-XX:+UseSerialGC".to_owned(),
        "-XX:TieredStopAtLevel=1".to_owned(),
        // It would write into /tmp.
        "-XX:-UsePerfData".to_owned(),
        "-Djava.net.preferIPv4Stack=true".to_owned(),
        // 3.4.6 asks for log4j by name, which it does not need.
        "-Dzookeeper.jmx.log4j.disable=true".to_owned(),
        "-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned(),
        format!("-Dorg.slf4j.simpleLogger.dateTimeFormat={}", super::log_clock::FORMAT),
        // The log tells the time in UTC.
        "-Duser.timezone=UTC".to_owned(),
    ]
    .map(Into::into)
    .into();
    if options.reconfig {
        arguments.push(format!("-Dzookeeper.DigestAuthenticationProvider.superDigest={SUPER_DIGEST}").into());
    }
    arguments.extend(["-cp".into(), jars.join("*").into()]);
    arguments.extend(["org.apache.zookeeper.server.quorum.QuorumPeerMain".into(), file.clone().into()]);
    Launch {
        program: java.to_owned(),
        arguments,
        environment: Vec::new(),
        files: vec![
            (file, configuration(own, addresses, data, options)),
            (data.join("data/myid"), format!("{}\n", node.number())),
        ],
    }
}

fn configuration(own: Ipv4Addr, addresses: &[(NodeId, Ipv4Addr)], data: &Path, options: &ZooKeeperOptions) -> String {
    let ZooKeeperOptions { tick_ms, init_limit_ticks, sync_limit_ticks, .. } = options;
    let mut text = format!(
        "tickTime={tick_ms}\ninitLimit={init_limit_ticks}\nsyncLimit={sync_limit_ticks}\ndataDir={}\n\
         clientPort={CLIENT_PORT}\nclientPortAddress={own}\nmaxClientCnxns=0\n\
         4lw.commands.whitelist=*\nadmin.enableServer=false\nstandaloneEnabled=false\n",
        data.join("data").display()
    );
    if options.reconfig {
        text.push_str("reconfigEnabled=true\n");
    }
    for &(node, address) in addresses {
        // Writing to a String cannot fail.
        let _ = match options.reconfig {
            true => writeln!(text, "{}", members::line(node, address.into())),
            false => writeln!(text, "server.{}={address}:{QUORUM_PORT}:{ELECTION_PORT}", node.number()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_knows_its_number_and_all_servers() {
        let addresses: Vec<_> = NodeId::first(3).map(|node| (node, Ipv4Addr::new(10, 0, 0, node.number()))).collect();
        let (java, jars, data) = (Path::new("java"), Path::new("/jars"), Path::new("/data/n2"));
        let launch = launch(java, jars, NodeId::new(2), &addresses, data, &ZooKeeperOptions::default());
        let [(_, configuration), (myid, number)] = &launch.files[..] else { panic!("two files") };
        assert!(configuration.contains("tickTime=200\n") && configuration.contains("clientPortAddress=10.0.0.2\n"));
        assert!(
            configuration
                .ends_with("server.1=10.0.0.1:2888:3888\nserver.2=10.0.0.2:2888:3888\nserver.3=10.0.0.3:2888:3888\n")
        );
        assert_eq!((myid.as_path(), number.as_str()), (Path::new("/data/n2/data/myid"), "2\n"));
        assert!(launch.arguments.contains(&"/jars/*".into()));
    }

    #[test]
    fn an_ensemble_that_may_change_knows_where_all_servers_answer_clients() {
        let addresses: Vec<_> = NodeId::first(2).map(|node| (node, Ipv4Addr::new(10, 0, 0, node.number()))).collect();
        let options = ZooKeeperOptions { reconfig: true, ..ZooKeeperOptions::default() };
        let text = configuration(addresses[0].1, &addresses, Path::new("/data/n1"), &options);
        assert!(text.contains("reconfigEnabled=true\n"), "{text}");
        assert!(text.ends_with("server.2=10.0.0.2:2888:3888:participant;10.0.0.2:2181\n"), "{text}");
    }
}
