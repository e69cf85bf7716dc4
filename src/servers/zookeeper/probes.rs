//! What a server can be asked about itself, by a harness that asks it several times a second.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use leasehold_checkers::history::vocabulary::ClockValue;

use super::words::{self, Said};
use super::{CLIENT_PORT, log_clock};
use crate::NodeId;
use crate::servers::Ability;
use crate::servers::clock::Asked;
use crate::servers::probes::{Contents, LeaderView, ProbeError, Probes};

/// A server answers these words from its own memory, so one that does not answer in this time is stuck.
const OWN_KNOWLEDGE: Duration = Duration::from_secs(1);

/// For how long what one server said of itself holds for the others.
const HOLDS_FOR: Duration = Duration::from_millis(500);

/// From one look at a server's log to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Asks the servers of one ensemble about themselves.
#[derive(Debug)]
pub struct ZooKeeperProbes {
    nodes: BTreeMap<NodeId, Server>,
    /// Who said last that it leads.
    leading: Mutex<Option<Leading>>,
}

/// A server, as far as the probes know it.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// Where its output goes, if that is known.
    log: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Leading {
    node: NodeId,
    epoch: u64,
    said: Instant,
}

/// What `srvr` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Role {
    mode: Mode,
    /// The upper half of the last transaction's number.
    epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Leader,
    Follower,
    /// It serves nobody: it looks for a leader.
    Looking,
}

impl ZooKeeperProbes {
    /// Probes for these nodes, each with its log, to which the server's output goes. It opens nothing yet.
    pub fn new(nodes: impl IntoIterator<Item = (NodeId, Ipv4Addr, PathBuf)>) -> Self {
        let server = |address: Ipv4Addr, log| Server { address: (address, CLIENT_PORT).into(), log: Some(log) };
        let nodes = nodes.into_iter().map(|(node, address, log)| (node, server(address, log))).collect();
        Self { nodes, leading: Mutex::default() }
    }

    /// Probes for servers that answer clients there, and of whose output nothing is known.
    #[must_use]
    pub fn at_doors(doors: &[(NodeId, SocketAddr)]) -> Self {
        let nodes = doors.iter().map(|&(node, address)| (node, Server { address, log: None })).collect();
        Self { nodes, leading: Mutex::default() }
    }

    pub(super) async fn ask(&self, node: NodeId, word: &str) -> Result<Said, ProbeError> {
        let server = self.server(node)?;
        words::ask(server.address, word, OWN_KNOWLEDGE).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut => ProbeError::Silent { node, within: OWN_KNOWLEDGE },
            _ => ProbeError::failed(node, &error),
        })
    }

    async fn role(&self, node: NodeId) -> Result<Role, ProbeError> {
        let said = self.ask(node, "srvr").await?;
        role(&said.text).ok_or_else(|| ProbeError::Nonsense { node, why: first_line(&said.text) })
    }

    pub(super) fn address(&self, node: NodeId) -> Result<IpAddr, ProbeError> {
        Ok(self.server(node)?.address.ip())
    }

    fn server(&self, node: NodeId) -> Result<&Server, ProbeError> {
        self.nodes.get(&node).ok_or(ProbeError::NoSuchNode(node))
    }

    /// Who leads, as far as the servers said so themselves a moment ago.
    fn known_leader(&self) -> Option<Leading> {
        self.leading().filter(|leading| leading.said.elapsed() < HOLDS_FOR)
    }

    fn leading(&self) -> Option<Leading> {
        *self.leading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leads(&self, node: NodeId, epoch: u64) {
        let mut leading = self.leading.lock().unwrap_or_else(PoisonError::into_inner);
        // An old leader that is cut off goes on saying so; a newer one counts more.
        let is_older = leading.is_some_and(|known| known.epoch > epoch && known.said.elapsed() < HOLDS_FOR);
        if !is_older {
            *leading = Some(Leading { node, epoch, said: Instant::now() });
        }
    }
}

#[async_trait]
impl Probes for ZooKeeperProbes {
    fn nodes(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// A follower does not tell whom it follows. Its leader is taken to be the node that says, at about the same time, that
    /// it leads.
    async fn leader(&self, node: NodeId) -> Result<LeaderView, ProbeError> {
        let Role { mode, epoch } = self.role(node).await?;
        match mode {
            Mode::Leader => {
                self.leads(node, epoch);
                Ok(LeaderView { leader: Some(node), term: epoch })
            }
            Mode::Looking => Ok(LeaderView { leader: None, term: epoch }),
            Mode::Follower => {
                if self.known_leader().is_none() {
                    for other in self.nodes().into_iter().filter(|other| *other != node) {
                        if let Ok(Role { mode: Mode::Leader, epoch }) = self.role(other).await {
                            self.leads(other, epoch);
                            break;
                        }
                    }
                }
                Ok(match self.known_leader() {
                    Some(Leading { node, epoch, .. }) => LeaderView { leader: Some(node), term: epoch },
                    None => LeaderView { leader: None, term: epoch },
                })
            }
        }
    }

    /// `imok` is what operators' health checks ask for. It means that the process listens, and nothing else.
    async fn health(&self, node: NodeId) -> Result<bool, ProbeError> {
        let said = self.ask(node, "ruok").await?.text;
        if said.contains("not in the whitelist") {
            // Its owner allows `srvr` only, which tells more.
            return Ok(self.role(node).await?.mode != Mode::Looking);
        }
        Ok(said == "imok")
    }

    async fn clock(&self, node: NodeId) -> Result<ClockValue, ProbeError> {
        let unknown = ProbeError::NotOffered("ZooKeeper tells the time in its log only, which is not known here");
        let log = self.server(node)?.log.as_ref().ok_or(unknown)?;
        let asked = Asked::now();
        let asked_from = self.ask(node, "srvr").await?.asked_from;
        let round_trip = asked.round_trip();
        // The line is written before the answer, but by way of the process's output.
        let deadline = Instant::now() + OWN_KNOWLEDGE;
        loop {
            let noted = log_clock::noted(log, asked_from).map_err(|error| ProbeError::failed(node, &error))?;
            if let Some(reading) = noted {
                return Ok(asked.answered(reading, log_clock::STEP, round_trip));
            }
            if Instant::now() >= deadline {
                return Err(ProbeError::Nonsense { node, why: "its log does not tell the time".to_owned() });
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// A server that follows or leads has a quorum at that moment.
    async fn consensus(&self, node: NodeId) -> Result<(), ProbeError> {
        match self.role(node).await?.mode {
            Mode::Leader | Mode::Follower => Ok(()),
            Mode::Looking => Err(ProbeError::Failed { node, why: "it serves no requests".to_owned() }),
        }
    }

    async fn move_leader(&self, _to: NodeId) -> Result<(), ProbeError> {
        Err(ProbeError::NotOffered(Ability::NO_HAND_OVER_BY_ZOOKEEPER))
    }

    async fn contents(&self, node: NodeId) -> Result<Contents, ProbeError> {
        self.own_contents(node).await
    }

    async fn members(&self, via: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        self.told_members(via).await
    }

    async fn remove_member(&self, via: NodeId, node: NodeId) -> Result<(), ProbeError> {
        self.let_go(via, node).await
    }

    async fn add_member(&self, via: NodeId, node: NodeId) -> Result<Vec<NodeId>, ProbeError> {
        self.take_in(via, node).await
    }
}

/// What `srvr` says: lines like `Zxid: 0x100000002` and `Mode: follower`, or that the server does not serve.
fn role(text: &str) -> Option<Role> {
    if text.contains("not currently serving requests") {
        return Some(Role { mode: Mode::Looking, epoch: 0 });
    }
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let zxid = u64::from_str_radix(value("Zxid: ")?.strip_prefix("0x")?, 16).ok()?;
    let mode = match value("Mode: ")? {
        // One that is alone has nobody above it.
        "leader" | "standalone" => Mode::Leader,
        "follower" | "observer" => Mode::Follower,
        _ => return None,
    };
    Some(Role { mode, epoch: zxid >> 32 })
}

/// Fit for a line of our own.
fn first_line(text: &str) -> String {
    const LONGEST: usize = 120;
    let line = text.lines().next().unwrap_or("it is empty");
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_from_what_the_server_says() {
        let said = "Zookeeper version: 3.4.6-1569965, built on 02/20/2014 09:09 GMT\nLatency min/avg/max: 0/0/0\n\
                    Received: 3\nSent: 2\nConnections: 1\nOutstanding: 0\nZxid: 0x300000007\nMode: follower\nNode count: 4\n";
        assert_eq!(role(said), Some(Role { mode: Mode::Follower, epoch: 3 }));
        assert_eq!(role(&said.replace("follower", "leader")).map(|role| role.mode), Some(Mode::Leader));
        let looking = role("This ZooKeeper instance is not currently serving requests\n");
        assert_eq!(looking.map(|role| role.mode), Some(Mode::Looking));
        for hostile in ["", "imok", "Zxid: 7\nMode: leader", "Zxid: 0x1\nMode: read-only"] {
            assert_eq!(role(hostile), None, "{hostile}");
        }
    }
}
