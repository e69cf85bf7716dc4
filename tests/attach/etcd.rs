//! etcd with TLS, client certificates and users; and what is not etcd.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, GetOptions, Permission, PermissionType};
use tempfile::TempDir;

use super::authority::Authority;
use super::common::{leasehold, told};
use super::server::{Server, own_address, program, until};
use super::{attach, interrupted, keeps_secret, refused, valid};

const PASSWORD: &str = "correct horse battery staple";

/// The client that holds a lock is far away, and then cut off for longer than its TTL. Holds are short against the rest: an answer to a
/// release is lost with the link, and a run in which no release was seen to succeed proves nothing.
const HOLDER: &str = r#"
summary = "s"
service = "etcd-v3"
servers = "etcd@3.5.30"
seconds = 7
[workload]
kind = "mutex"
workers = 3
keys = 1
ttl_ms = 2_000
renew_ms = 400
hold_ms = 600
retry_ms = 50
[[nemesis]]
package = "link"
delay_ms = 20
target = "holder"
at_ms = 300
lasts_ms = 700
[[nemesis]]
package = "partition"
shape = "isolate"
target = "holder"
at_ms = 1_500
lasts_ms = 2_500
"#;

/// A cluster whose members speak TLS at port 2379 and to each other, and without it at port 2377 to their owner.
struct Etcd {
    _servers: Vec<Server>,
    /// The first one's.
    address: Ipv4Addr,
    addresses: Vec<Ipv4Addr>,
    folder: TempDir,
    ca: String,
    /// A client's certificate and key.
    own: (String, String),
}

fn command(name: &str, address: Ipv4Addr, peers: &str, folder: &Path) -> Command {
    let mut command = Command::new(program("etcd@3.5.30"));
    let peer = format!("{peers}://{address}:2380");
    command.env_clear().args([
        "--name",
        name,
        "--enable-v2=true",
        "--heartbeat-interval",
        "50",
        "--election-timeout",
        "500",
    ]);
    command.arg("--data-dir").arg(folder.join("data"));
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command
}

impl Etcd {
    /// One member at the address of each of these tests.
    async fn start(tests: &[u8]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let addresses: Vec<Ipv4Addr> = tests.iter().copied().map(own_address).collect();
        let authority = Authority::new(folder.path());
        let members: Vec<_> = addresses.iter().map(|address| format!("{address}=https://{address}:2380")).collect();
        let start = |address: &Ipv4Addr| {
            let name = address.to_string();
            let (cert, key) = authority.signed(&name);
            let urls = format!("https://{address}:2379,http://{address}:2377");
            let mut command = command(&name, *address, "https", &folder.path().join(&name));
            command.args(["--initial-cluster", &members.join(","), "--peer-auto-tls"]);
            command.args(["--listen-client-urls", &urls, "--advertise-client-urls", &urls]);
            command.args(["--cert-file", &cert, "--key-file", &key, "--client-cert-auth"]);
            command.args(["--trusted-ca-file", &authority.ca()]);
            Server::start(command, &folder.path().join(format!("{name}.log")))
        };
        let servers = addresses.iter().map(start).collect();
        let (ca, own) = (authority.ca(), authority.signed("leasehold"));
        let etcd = Self { _servers: servers, address: addresses[0], addresses, folder, ca, own };
        until("etcd serves", async || etcd.owner(None).await?.kv_client().get("x", None).await.ok()).await;
        etcd
    }

    /// Its owner's connection; as `root` from when on users are known.
    async fn owner(&self, password: Option<&str>) -> Option<Client> {
        let options = password.map(|password| ConnectOptions::new().with_user("root", password));
        Client::connect([format!("http://{}:2377", self.address)], options).await.ok()
    }

    /// Has it know users: its owner, and one who may use what is ours and nothing else.
    async fn know_users(&self) {
        let mut owner = self.owner(None).await.expect("it serves");
        owner.put("their/own", "data", None).await.expect("a write");
        owner.user_add("root", "root", None).await.expect("a user");
        owner.user_grant_role("root", "root").await.expect("a role");
        owner.role_add("guest").await.expect("a role");
        let below = Permission::new(PermissionType::Readwrite, "/leasehold/").with_prefix();
        owner.role_grant_permission("guest", below).await.expect("a permission");
        owner.user_add("lock", PASSWORD, None).await.expect("a user");
        owner.user_grant_role("lock", "guest").await.expect("a role");
        owner.auth_enable().await.expect("users are asked for");
    }

    /// Everything in it, with its revisions, and how many leases there are.
    async fn listing(&self) -> (Vec<(Vec<u8>, i64)>, usize) {
        let owner = self.owner(Some("root")).await.expect("it serves");
        let all = owner.kv_client().get("", Some(GetOptions::new().with_all_keys())).await.expect("a listing");
        let keys = all.kvs().iter().map(|entry| (entry.key().to_vec(), entry.mod_revision())).collect();
        (keys, owner.lease_client().leases().await.expect("a listing").leases().len())
    }

    fn endpoints(&self) -> String {
        let all: Vec<_> = self.addresses.iter().map(|address| format!("https://{address}:2379")).collect();
        format!("etcd={}", all.join(","))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_with_tls_and_users_is_left_as_it_was() {
    let etcd = Etcd::start(&[0, 8, 9]).await;
    etcd.know_users().await;
    let before = etcd.listing().await;
    let endpoint = etcd.endpoints();
    let (cert, key) = &etcd.own;
    let tls = ["--endpoints", &endpoint, "--ca", &etcd.ca, "--cert", cert, "--key", key];
    let scenario = etcd.folder.path().join("holder.toml");
    std::fs::write(&scenario, HOLDER).expect("it can be written");
    let scenario = scenario.display().to_string();
    let arguments = [&[scenario.as_str(), "--user", "lock"], &tls[..]].concat();

    let run = etcd.folder.path().join("run");
    let output = attach(&arguments).env("LEASEHOLD_PASSWORD", PASSWORD).arg("-vv").arg("--out").arg(&run).output();
    let output = output.expect("the program starts");
    valid(&output);
    keeps_secret(PASSWORD, &output, &run);
    let told = String::from_utf8_lossy(&output.stdout).replace(['\n', ' '], "");
    assert!(told.contains("etcd3.5.30(etcd-v3,3servers"), "{told}");
    assert!(told.contains(&format!("--endpoints{endpoint}--ca")), "{told}");
    let history = std::fs::read_to_string(run.join("history.jsonl")).expect("a record");
    assert!(history.contains("etcd 3.5.30") && history.contains(r#""f":"link""#));
    let bit = |line: &&str| line.contains(r#""type":"ok","f":"partition""#) && line.contains(r#""dropped":"#);
    assert_eq!(history.lines().filter(bit).count(), 2, "injected and healed");
    assert_eq!(etcd.listing().await, before);

    let mut command = attach(&[&["etcd-v3-calm", "--user", "lock"], &tls[..]].concat());
    command.env("LEASEHOLD_PASSWORD", PASSWORD);
    interrupted(command, &etcd.folder.path().join("interrupted"));
    assert_eq!(etcd.listing().await, before);

    let wrong = etcd.folder.path().join("wrong");
    std::fs::write(&wrong, "hunter2\n").expect("it can be written");
    let wrong = wrong.display().to_string();
    let user = ["etcd-v3-calm", "--user", "lock", "--password-file", &wrong];
    refused(&[&user, &tls[..]].concat(), &["does not let us in", "invalid user ID or password", "--password-file"]);
    refused(&[&["etcd-v3-calm"], &tls[..]].concat(), &["does not let us in", "--user"]);
    assert_eq!(etcd.listing().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_way_in_is_said() {
    let etcd = Etcd::start(&[1]).await;
    let address = etcd.address;
    let (cert, key) = &etcd.own;
    let run = |endpoints: &str, more: &[&str], words: &[&str]| {
        let scenario = match endpoints.split_once('=').map(|(service, _)| service) {
            Some("consul") => "consul-calm",
            Some("zookeeper") => "zookeeper-calm",
            Some("etcd-v2") => "etcd-v2-calm",
            _ => "etcd-v3-calm",
        };
        refused(&[&[scenario, "--endpoints", endpoints], more].concat(), words);
    };
    let https = etcd.endpoints();
    run(&https, &[], &["signed by nobody who is trusted", "--ca FILE"]);
    run(&https, &["--ca", &etcd.ca], &["without a certificate that it trusts", "--cert FILE"]);
    let elsewhere = format!("etcd=https://localhost:{}", forward(address).await);
    run(&elsewhere, &["--ca", &etcd.ca, "--cert", cert, "--key", key], &["its certificate is not for localhost"]);
    for service in ["etcd", "etcd-v2"] {
        let at = |scheme: &str, port: u16| format!("{service}={scheme}://{address}:{port}");
        run(&at("http", 9), &[], &["n1", "cannot be reached", "connection refused"]);
        run(&at("http", 2379), &[], &["it speaks TLS there", "https://"]);
        run(&at("https", 2377), &["--ca", &etcd.ca], &["does not speak TLS there"]);
    }
    run("etcd=http://no.such.host.invalid:2379", &[], &["cannot be reached"]);
    run(&format!("consul=http://{address}:2377"), &[], &["is not a Consul server", "name the service that it is"]);
    run(&format!("zookeeper={address}:2377"), &[], &["is not a ZooKeeper server"]);
    run(&format!("etcd=http://{address}:{}", silent()), &[], &["cannot be reached", "no answer"]);

    // The plain way in, to the old interface.
    let plain = format!("etcd-v2=http://{address}:2377");
    let folder = etcd.folder.path().join("old");
    let marks = etcd.folder.path().join("marks");
    let mark = |end: &str, after_ms: u64| {
        format!("{{\"fault\":\"rack 7\",\"mark\":\"{end}\",\"nodes\":[\"n1\"],\"after_ms\":{after_ms}}}\n")
    };
    std::fs::write(&marks, format!("# by hand\n\n{}{}", mark("start", 500), mark("end", 1_200)))
        .expect("it can be written");
    let marks = marks.display().to_string();
    let arguments = ["etcd-v2-calm", "--seconds", "2", "--endpoints", &plain, "--external-faults", &marks, "--out"];
    let output = attach(&arguments).arg(&folder).output().expect("the program starts");
    valid(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("rack 7 on n1, from 0.5"), "{}", told(&output));
    // The replay attaches to it again, and reads the same marks.
    let again = etcd.folder.path().join("again");
    let replayed = leasehold().arg("replay").arg(&folder).arg("--out").arg(&again).output().expect("it starts");
    valid(&replayed);
    assert!(String::from_utf8_lossy(&replayed.stdout).contains("rack 7 on n1, from 0.5"), "{}", told(&replayed));
    let root = reqwest::get(format!("http://{address}:2377/v2/keys/?recursive=true")).await.expect("an answer");
    let root = root.text().await.expect("text");
    assert!(!root.contains("nodes"), "{root}");

    // The old interface has users of its own.
    let told = async |path: &str, body: &str| {
        let url = format!("http://{address}:2377/v2/auth/{path}");
        let answer = reqwest::Client::new().put(url).body(body.to_owned()).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
    };
    told("users/root", r#"{"user":"root","password":"root"}"#).await;
    told("enable", "").await;
    let wrong = etcd.folder.path().join("wrong");
    std::fs::write(&wrong, "hunter2").expect("it can be written");
    let user = ["--user", "root", "--password-file", &wrong.display().to_string()];
    run(&plain, &user, &["does not let us in", "--password-file"]);
}

/// Of two members one is gone, so the other has no majority.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_a_leader_is_of_no_use() {
    let [one, two] = [2, 6].map(own_address);
    let folder = TempDir::new().expect("a folder");
    let cluster = format!("one=http://{one}:2380,two=http://{two}:2380");
    let start = |name: &str, address: Ipv4Addr| {
        let mut command = command(name, address, "http", &folder.path().join(name));
        let url = format!("http://{address}:2379");
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url, "--initial-cluster", &cluster]);
        Server::start(command, &folder.path().join(format!("{name}.log")))
    };
    let (_one, two) = (start("one", one), start("two", two));
    let endpoints = format!("http://{one}:2379");
    let health = async || {
        let answer = reqwest::Client::new().get(format!("{endpoints}/health")).timeout(Duration::from_secs(3)).send();
        answer.await.ok()?.text().await.ok()
    };
    until("they serve", async || health().await.filter(|said| said.contains("true"))).await;
    drop(two);
    until("it misses the other", async || health().await.filter(|said| said.contains("false"))).await;
    for (scenario, service) in [("etcd-v3-calm", "etcd"), ("etcd-v2-calm", "etcd-v2")] {
        let endpoints = format!("{service}={endpoints}");
        refused(&[scenario, "--endpoints", &endpoints], &["the cluster has no leader", "majority"]);
    }
}

/// A port of `localhost` behind which is this server.
async fn forward(address: Ipv4Addr) -> u16 {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Ok(mut server) = tokio::net::TcpStream::connect((address, 2379)).await else { return };
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    port
}

/// A port at which nobody ever says a word.
fn silent() -> u16 {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // The kernel accepts on its behalf.
    std::mem::forget(listener);
    port
}
