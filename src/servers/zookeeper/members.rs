//! Who belongs to an ensemble, and how that is changed: ZooKeeper's dynamic reconfiguration, of 3.5 and later.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use zookeeper_client::{Client, EnsembleUpdate};

use super::{CLIENT_PORT, ELECTION_PORT, QUORUM_PORT, ZooKeeperProbes};
use crate::NodeId;
use crate::servers::{ProbeError, Probes};

/// Only ZooKeeper's superuser may change the members. This is `super:leasehold`, as the servers are told it: the name, and the
/// password in the form that the documentation gives (base64 of SHA-1 of `super:leasehold`).
pub(super) const SUPER_DIGEST: &str = "super:kYbpxBj14iCGKt9Mj8xeKfAozt4=";
const SUPER: &[u8] = b"super:leasehold";

/// A change that removes the leader takes a new one.
const CHANGE: Duration = Duration::from_secs(5);
const SESSION: Duration = Duration::from_secs(4);

/// The class by which operators change the members came with the means to do so.
const RECONFIGURES: &[u8] = b"org/apache/zookeeper/admin/ZooKeeperAdmin.class";

/// Whether servers of these jars can change their members while they run. It is told by what is in the jars: a version is
/// no part of them.
///
/// # Errors
/// If a jar cannot be read.
pub fn can_reconfigure(jars: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(jars)? {
        let path = entry?.path();
        // The names of what is in a jar stand in it as they are.
        if path.extension().is_some_and(|extension| extension == "jar")
            && std::fs::read(&path)?.windows(RECONFIGURES.len()).any(|window| window == RECONFIGURES)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The line of a configuration that makes a server a member with a vote.
pub(super) fn line(node: NodeId, address: IpAddr) -> String {
    format!("server.{}={address}:{QUORUM_PORT}:{ELECTION_PORT}:participant;{address}:{CLIENT_PORT}", node.number())
}

impl ZooKeeperProbes {
    pub(super) async fn told_members(&self, via: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        let said = self.ask(via, "conf").await?;
        let known = self.nodes();
        voters(&said.text, &known).ok_or_else(|| ProbeError::Nonsense {
            node: via,
            why: "it does not say which of our nodes are its members".to_owned(),
        })
    }

    pub(super) async fn let_go(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError> {
        if !self.told_members(via).await?.contains(&node) {
            return Ok(());
        }
        self.change(via, None, Some(&node.number().to_string())).await
    }

    pub(super) async fn take_in(&self, via: NodeId, node: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        let mut members = self.told_members(via).await?;
        // An earlier request may have been carried out without an answer.
        if !members.contains(&node) {
            let joining = line(node, self.address(node)?);
            self.change(via, Some(&joining), None).await?;
            members.push(node);
            members.sort_unstable();
        }
        Ok(members)
    }

    /// Asks for a change in a session of its own.
    async fn change(&self, via: NodeId, joining: Option<&str>, leaving: Option<&str>) -> Result<(), ProbeError> {
        let server = format!("{}:{CLIENT_PORT}", self.address(via)?);
        let asked = async {
            let connector = Client::connector().with_session_timeout(SESSION).with_auth("digest", SUPER);
            let client = connector.with_fail_eagerly().connect(&server).await?;
            let update = EnsembleUpdate::Incremental { joinings: joining.into_iter(), leavings: leaving.into_iter() };
            client.update_ensemble(update, None).await
        };
        match tokio::time::timeout(CHANGE, asked).await {
            Ok(changed) => changed.map(drop).map_err(|error| ProbeError::failed(via, &error)),
            Err(_) => Err(ProbeError::Silent { node: via, within: CHANGE }),
        }
    }
}

/// The members with a vote, of what `conf` says: lines like `server.1=10.77.0.1:2888:3888:participant;10.77.0.1:2181`. `None`
/// where it names none, or one that is not known.
fn voters(text: &str, known: &[NodeId]) -> Option<Vec<NodeId>> {
    let told = text.lines().filter_map(|line| line.strip_prefix("server.")?.split_once('='));
    let voters = told.filter(|(_, about)| about.contains(":participant"));
    let mut nodes = voters
        .map(|(number, _)| known.iter().copied().find(|node| number.parse() == Ok(node.number())))
        .collect::<Option<Vec<_>>>()?;
    nodes.sort_unstable();
    (!nodes.is_empty()).then_some(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_from_what_a_server_says_of_its_configuration() {
        let known: Vec<_> = NodeId::first(3).collect();
        let said = "clientPort=2181\nserverId=1\nmembership: \nserver.2=10.77.0.2:2888:3888:participant;10.77.0.2:2181\n\
                    server.1=10.77.0.1:2888:3888:participant;10.77.0.1:2181\n\
                    server.3=10.77.0.3:2888:3888:observer;10.77.0.3:2181\nversion=100000003";
        assert_eq!(voters(said, &known), Some(known[..2].to_vec()));
        for hostile in ["", "server.=x:participant", "server.9=10.77.0.9:2888:3888:participant", "server.1=observer"] {
            assert_eq!(voters(hostile, &known), None, "{hostile}");
        }
    }

    #[test]
    fn the_means_to_change_members_are_looked_for_in_jars_only() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("notes.txt"), RECONFIGURES).expect("a file");
        std::fs::write(folder.path().join("old.jar"), b"PK org/apache/zookeeper/ZooKeeper.class").expect("a file");
        assert!(!can_reconfigure(folder.path()).expect("it can be read"));
        std::fs::write(folder.path().join("new.jar"), [b"PK\0", RECONFIGURES, b"PK"].concat()).expect("a file");
        assert!(can_reconfigure(folder.path()).expect("it can be read"));
        assert!(can_reconfigure(&folder.path().join("missing")).is_err());
    }
}
