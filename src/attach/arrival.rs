//! Whether the cluster is what was named, serves, and lets us in; and what it tells of itself.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Response;
use tonic::codegen::http::Uri;

use super::told::{self, Told};
use super::{Endpoints, Relays, Target, Tls};
use crate::NodeId;
use crate::causes;
use crate::clients::{Credentials, http};
use crate::scenario::Service;
use crate::servers::consul::ConsulProbes;
use crate::servers::etcd::EtcdProbes;
use crate::servers::zookeeper::{ZooKeeperProbes, ask_word};
use crate::servers::{LeaderView, NotReady, Probes, wait_ready};

/// How long one server may take to say what it is.
const INTRODUCTION: Duration = Duration::from_millis(3_500);
/// How long the cluster may take to show that it serves. With the above, and what the last question may take, nobody waits for 10 s.
const READY: Duration = Duration::from_secs(2);
const ANSWER_BYTES: usize = 4 << 20;

/// A cluster that lets us in.
#[derive(Debug)]
pub struct Arrival {
    /// Our end of the connections to it.
    pub relays: Relays,
    /// What asks its servers about themselves.
    pub probes: Box<dyn Probes>,
    /// What it is, for people: `etcd 3.5.30`.
    pub label: String,
    /// What it promises differently from others of its kind.
    pub told: Told,
}

/// Why nothing can be done with the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// There is no port for a relay.
    #[error("no relay can be opened on the loopback interface")]
    Relay(#[from] io::Error),
    /// No connection came about, or it broke before a word was said.
    #[error("{who} cannot be reached: {why}")]
    Unreachable {
        /// The server, with its place.
        who: String,
        /// Why, and what to do.
        why: String,
    },
    /// It is something else.
    #[error("{who} is not {what}: {said}; name the service that it is, or the port at which it serves clients")]
    Another {
        /// The server, with its place.
        who: String,
        /// What it was named.
        what: &'static str,
        /// What it said instead.
        said: String,
    },
    /// It is the right kind of server, but cannot be used as it is.
    #[error("{who} cannot be used: {why}")]
    Unfit {
        /// The server, with its place.
        who: String,
        /// Why, and what to do.
        why: String,
    },
    /// It does not know us, or knows that we may not.
    #[error("{who} does not let us in: {said}; {remedy}")]
    Denied {
        /// The server, with its place.
        who: String,
        /// Its words.
        said: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Nobody leads.
    #[error(
        "the cluster has no leader, as {who} says ({said}): it serves nothing; wait until a majority of its servers runs and is in touch"
    )]
    NoLeader {
        /// The server, with its place.
        who: String,
        /// Its words.
        said: String,
    },
    /// It does not serve, for another reason.
    #[error("the cluster does not serve: {who}: {why}")]
    NotServing {
        /// The server, with its place.
        who: String,
        /// Why.
        why: String,
    },
}

/// A server as errors name it.
pub(super) fn who(node: NodeId, target: &Target) -> String {
    format!("{node} ({}:{})", target.host, target.port)
}

/// Connects to the cluster and asks it what it is. This takes less than 10 s.
///
/// # Errors
/// If it is not what was named, does not serve, or does not let us in.
pub async fn arrive(
    endpoints: &Endpoints,
    tls: Option<Tls>,
    credentials: &Credentials,
) -> Result<Arrival, ArrivalError> {
    let relays = Relays::open(&endpoints.servers, tls).await?;
    let doors = relays.doors();
    let introductions = doors.iter().zip(&endpoints.servers).map(|(&(node, door), target)| {
        let visit = Visit { service: endpoints.service, node, door, target, relays: &relays, credentials };
        async move { visit.introduction().await }
    });
    let told: Vec<Told> = join_all(introductions).await.into_iter().collect::<Result<_, _>>()?;
    let probes: Box<dyn Probes> = match endpoints.service {
        Service::EtcdV2 | Service::EtcdV3 => {
            // The old interface has users of its own.
            let ours = if endpoints.service == Service::EtcdV3 { credentials } else { &Credentials::None };
            Box::new(EtcdProbes::at_doors(&doors, ours, origin(endpoints)))
        }
        Service::Consul => Box::new(ConsulProbes::at_doors(&doors, credentials)),
        Service::Zookeeper => Box::new(ZooKeeperProbes::at_doors(&doors)),
    };
    // Whom they do not let in they will not let in later.
    if let Err(error) = probes.consensus(NodeId::new(1)).await
        && told::is_denial(&error.to_string())
    {
        let (who, said) = (who(NodeId::new(1), &endpoints.servers[0]), error.to_string());
        return Err(ArrivalError::Denied { who, said, remedy: remedy(endpoints.service) });
    }
    if let Err(not_ready) = wait_ready(probes.as_ref(), READY, |_| None).await {
        return Err(why_not(probes.as_ref(), &relays, not_ready, endpoints.service).await);
    }
    let versions: BTreeSet<&str> = told.iter().map(|told| told.version.as_str()).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let label = format!("{} {}", endpoints.service.software(), versions.join(", "));
    let told = told.into_iter().reduce(|told, other| told.and(&other)).expect("there is a server");
    Ok(Arrival { relays, probes, label, told })
}

/// The error of who was let in, and may not do what it takes; `None` where a refusal says something else.
#[must_use]
pub fn not_let_in(service: Service, said: &str) -> Option<ArrivalError> {
    let denied =
        || ArrivalError::Denied { who: "the cluster".to_owned(), said: said.to_owned(), remedy: remedy(service) };
    told::is_denial(said).then(denied)
}

/// What the servers are called, where they know that they are spoken to over TLS.
#[must_use]
pub fn origin(endpoints: &Endpoints) -> Option<Uri> {
    let first = endpoints.servers.iter().find(|server| server.tls)?;
    first.to_string().parse().ok()
}

/// The first questions to one server.
struct Visit<'a> {
    service: Service,
    node: NodeId,
    door: std::net::SocketAddr,
    target: &'a Target,
    relays: &'a Relays,
    credentials: &'a Credentials,
}

impl Visit<'_> {
    async fn introduction(&self) -> Result<Told, ArrivalError> {
        let told = async {
            match self.service {
                Service::EtcdV3 => self.etcd().await,
                Service::EtcdV2 => {
                    let told = self.etcd().await?;
                    self.old_interface().await?;
                    Ok(told)
                }
                Service::Consul => self.consul().await,
                Service::Zookeeper => self.zookeeper().await,
            }
        };
        match tokio::time::timeout(INTRODUCTION, told).await {
            Ok(told) => told,
            Err(_) => Err(self.silent().await),
        }
    }

    /// It did not answer in time.
    async fn silent(&self) -> ArrivalError {
        let within = INTRODUCTION.as_millis();
        match (self.relays.complaint(self.node), self.service) {
            (Some(why), _) => self.unreachable(why),
            // `srvr` is less than the beginning of a greeting, so a server that speaks TLS waits for the rest of it.
            (None, _) if self.speaks_tls_unasked().await => self.unreachable(self.with_tls()),
            // Others wait for more where a ZooKeeper would have answered.
            (None, Service::Zookeeper) => {
                let said = format!("it takes the connection and does not answer `srvr` within {within} ms");
                ArrivalError::Another { who: self.who(), what: "a ZooKeeper server", said }
            }
            (None, _) => self.unreachable(format!(
                "no answer within {within} ms; is a firewall in between, is the server stuck, or does it still wait for the others of its \
                 cluster?"
            )),
        }
    }

    async fn etcd(&self) -> Result<Told, ArrivalError> {
        let (status, body) = self.get("version", &Credentials::None).await?;
        told::by_etcd(&body).map_err(|why| self.another("an etcd server", status, &body, &why))
    }

    /// Whether the old interface is on, and open to us.
    async fn old_interface(&self) -> Result<(), ArrivalError> {
        let (status, body) = self.get("v2/keys/leasehold", self.credentials).await?;
        match status {
            401 | 403 => Err(self.denied(excerpt(&body))),
            _ if serde_json::from_slice::<serde_json::Value>(&body).is_ok() => Ok(()),
            _ => Err(self.unfit("its v2 interface is off; start it with --enable-v2, or choose a scenario of etcd-v3")),
        }
    }

    async fn consul(&self) -> Result<Told, ArrivalError> {
        let (status, body) = self.get("v1/agent/self", self.credentials).await?;
        match status {
            403 => return Err(self.denied(excerpt(&body))),
            500 if told::says_no_leader(&body) => return Err(self.no_leader(excerpt(&body))),
            _ => {}
        }
        let told = told::by_consul(&body).map_err(|why| self.another("a Consul server", status, &body, &why))?;
        if !told.is_server {
            return Err(self.unfit("it is a client of the cluster and passes requests on; name the servers themselves"));
        }
        Ok(told)
    }

    async fn zookeeper(&self) -> Result<Told, ArrivalError> {
        let said = self.word("srvr").await?;
        if said.contains("not currently serving requests") {
            return Err(self.no_leader(excerpt(said.as_bytes())));
        }
        if said.contains("not in the whitelist") {
            return Err(
                self.unfit("it does not answer `srvr`, which shows whether it leads; add it to 4lw.commands.whitelist")
            );
        }
        let version = told::version_of_zookeeper(&said);
        let Some(version) = version else {
            if self.speaks_tls_unasked().await {
                return Err(self.unreachable(self.with_tls()));
            }
            return Err(self.another("a ZooKeeper server", 0, said.as_bytes(), "it does not answer `srvr`"));
        };
        // It need not be allowed.
        let settings = self.word("conf").await.unwrap_or_default();
        Ok(told::by_zookeeper(version, &settings))
    }

    async fn get(&self, path: &str, credentials: &Credentials) -> Result<(u16, Vec<u8>), ArrivalError> {
        let client = http::client(INTRODUCTION, None, credentials);
        let answer = client.get(format!("http://{}/{path}", self.door)).send().await;
        let read = async |answer: Response| {
            let status = answer.status().as_u16();
            http::body(answer, ANSWER_BYTES)
                .await
                .map(|body| (status, body))
                .map_err(|error| causes::in_one_line(&error))
        };
        match answer {
            Ok(answer) => read(answer).await.map_err(|why| self.unreachable(why)),
            Err(error) => Err(self.broken(causes::in_one_line(&error.without_url())).await),
        }
    }

    async fn word(&self, word: &str) -> Result<String, ArrivalError> {
        match ask_word(self.door, word, INTRODUCTION).await {
            Ok(said) if said.is_empty() => Err(self.broken("it hung up without a word".to_owned()).await),
            Ok(said) => Ok(said),
            Err(error) => Err(self.broken(error.to_string()).await),
        }
    }

    /// The connection broke; the relay knows better why.
    async fn broken(&self, seen: String) -> ArrivalError {
        match self.relays.complaint(self.node) {
            Some(why) => self.unreachable(why),
            None if self.speaks_tls_unasked().await => self.unreachable(self.with_tls()),
            None => {
                let what = match self.service {
                    Service::EtcdV2 | Service::EtcdV3 => "an etcd server",
                    Service::Consul => "a Consul server",
                    Service::Zookeeper => "a ZooKeeper server",
                };
                let hint =
                    if self.target.tls { "" } else { ", as a server does that speaks TLS there or another protocol" };
                ArrivalError::Another { who: self.who(), what, said: format!("{seen}{hint}") }
            }
        }
    }

    fn another(&self, what: &'static str, status: u16, body: &[u8], why: &str) -> ArrivalError {
        let said = excerpt(body);
        if said.contains("HTTP request to an HTTPS server") {
            return self.unreachable(self.with_tls());
        }
        let status = if status == 0 { String::new() } else { format!("status {status}: ") };
        ArrivalError::Another { who: self.who(), what, said: format!("{why}, but says {status}{said:?}") }
    }

    /// Whether it is named without TLS and speaks it.
    async fn speaks_tls_unasked(&self) -> bool {
        !self.target.tls && self.relays.speaks_tls(self.node).await
    }

    fn with_tls(&self) -> String {
        let scheme = if self.service == Service::Zookeeper { "tls" } else { "https" };
        format!("it speaks TLS there: name the endpoint with {scheme}://")
    }

    fn unreachable(&self, why: String) -> ArrivalError {
        ArrivalError::Unreachable { who: self.who(), why }
    }

    fn unfit(&self, why: &str) -> ArrivalError {
        ArrivalError::Unfit { who: self.who(), why: why.to_owned() }
    }

    fn no_leader(&self, said: String) -> ArrivalError {
        ArrivalError::NoLeader { who: self.who(), said }
    }

    fn denied(&self, said: String) -> ArrivalError {
        ArrivalError::Denied { who: self.who(), said, remedy: remedy(self.service) }
    }

    fn who(&self) -> String {
        who(self.node, self.target)
    }
}

/// Why a cluster of the right kind does not serve us.
async fn why_not(probes: &dyn Probes, relays: &Relays, not_ready: NotReady, service: Service) -> ArrivalError {
    let NotReady { node, why, .. } = not_ready;
    let who = relays.target(node).map_or_else(|| node.to_string(), |target| who(node, target));
    if told::is_denial(&why) {
        return ArrivalError::Denied { who, said: why, remedy: remedy(service) };
    }
    if let Some(why) = relays.complaint(node) {
        return ArrivalError::Unreachable { who, why };
    }
    let leads_nobody = matches!(probes.leader(node).await, Ok(LeaderView { leader: None, .. }));
    if leads_nobody && service == Service::EtcdV3 && matches!(probes.health(node).await, Ok(true)) {
        let why = "it does not tell who leads: let it serve /metrics to us, or come as a user with the role root";
        return ArrivalError::Unfit { who, why: why.to_owned() };
    }
    if leads_nobody || told::says_no_leader(why.as_bytes()) || matches!(probes.health(node).await, Ok(false)) {
        return ArrivalError::NoLeader { who, said: why };
    }
    if why.contains("no node goes by that") {
        let why = format!("{why}: name all servers of the cluster in --endpoints, and of one cluster only");
        return ArrivalError::Unfit { who, why };
    }
    ArrivalError::NotServing { who, why }
}

fn remedy(service: Service) -> &'static str {
    match service {
        Service::EtcdV2 | Service::EtcdV3 => {
            "say who you are by --user NAME and --password-file FILE (or LEASEHOLD_PASSWORD): a user who may read and write below /leasehold/"
        }
        Service::Consul => {
            "give a token by --token-file FILE (or LEASEHOLD_TOKEN) that has agent:read, operator:read, session:write and key:write below leasehold/"
        }
        Service::Zookeeper => "say who you are by --user NAME and --password-file FILE (or LEASEHOLD_PASSWORD)",
    }
}

/// The beginning of an answer, in one line.
fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(body);
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}
