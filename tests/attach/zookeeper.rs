//! ZooKeeper whose root belongs to a user of the digest scheme, and with a port of its own at which TLS is spoken.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold::servers::zookeeper::java;
use nix::libc::{ENXIO, O_NONBLOCK};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zookeeper_client::{Acls, Client, CreateMode};

use super::authority::Authority;
use super::server::{Server, own_address, program, until};
use super::{PATIENCE, attach, interrupted, keeps_secret, refused, told, valid};

const PASSWORD: &str = "correct horse battery staple";

fn start(address: Ipv4Addr, folder: &Path, others: &str) -> Server {
    start_from(Vec::new(), "zookeeper@3.8.0", address, folder, others)
}

/// With these jars beside its own.
fn start_from(mut jars: Vec<PathBuf>, version: &str, address: Ipv4Addr, folder: &Path, others: &str) -> Server {
    let data = folder.join("data");
    std::fs::create_dir_all(&data).expect("a folder");
    std::fs::write(data.join("myid"), "1").expect("it can be written");
    let configuration = format!(
        "tickTime=500\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort=2181\nclientPortAddress={address}\n\
         admin.enableServer=false\n{others}",
        data.display()
    );
    let file = folder.join("zoo.cfg");
    std::fs::write(&file, configuration).expect("it can be written");
    let mut command = Command::new(java().expect("a Java runtime"));
    command.args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp"]);
    jars.push(program(version).join("*"));
    command.arg(std::env::join_paths(jars).expect("no colon in them"));
    command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(file);
    Server::start(command, &folder.join("log"))
}

async fn says(address: Ipv4Addr, word: &str) -> Option<String> {
    let mut stream = tokio::net::TcpStream::connect((address, 2181)).await.ok()?;
    stream.write_all(word.as_bytes()).await.ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await.ok()?;
    Some(said)
}

/// Every node, with the transaction that wrote to it last. The client waits for its server as long as it is let.
async fn listing(owner: &Client) -> Vec<(String, i64)> {
    tokio::time::timeout(3 * PATIENCE, all_nodes(owner)).await.expect("the server answers its owner")
}

async fn all_nodes(owner: &Client) -> Vec<(String, i64)> {
    let (mut found, mut folders) = (Vec::new(), vec!["/".to_owned()]);
    while let Some(folder) = folders.pop() {
        for child in owner.list_children(&folder).await.expect("it can be listed") {
            let path = format!("{}/{child}", folder.trim_end_matches('/'));
            let (_, stat) = owner.get_data(&path).await.expect("it can be read");
            found.push((path.clone(), stat.mzxid));
            folders.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn zookeeper_with_a_digest_is_left_as_it_was() {
    let (address, folder) = (own_address(4), TempDir::new().expect("a folder"));
    let _server = start(address, folder.path(), "");
    let serves = async || says(address, "srvr").await.filter(|said| said.contains("Mode: "));
    until("ZooKeeper serves", serves).await;
    let digest = format!("lock:{PASSWORD}");
    let connector = Client::connector().with_auth("digest", digest.as_bytes());
    let owner = connector.connect(&format!("{address}:2181")).await.expect("it serves");
    owner.create("/theirs", b"data", &CreateMode::Persistent.with_acls(Acls::creator_all())).await.expect("a node");
    owner.set_acl("/", &Acls::creator_all(), None).await.expect("the root is its owner's");
    let before = listing(&owner).await;

    let endpoints = format!("zookeeper={address}:2181");
    let user = ["--endpoints", &endpoints, "--user", "lock"];
    for (scenario, name) in [
        ("zookeeper-calm", "node"),
        ("zookeeper-mutex-leader-change", "queue"),
        ("zookeeper-semaphore-calm", "permits"),
        ("zookeeper-fenced-lock-leader-change", "guarded"),
    ] {
        let run = folder.path().join(name);
        let mut command = attach(&[&[scenario, "--seconds", "4", "--no-faults"], &user[..]].concat());
        command.env("LEASEHOLD_PASSWORD", PASSWORD).arg("-vv").arg("--out").arg(&run);
        let output = if name == "queue" {
            told_over_a_pipe(command, &folder.path().join("marks"), &run)
        } else {
            command.output().expect("the program starts")
        };
        valid(&output);
        keeps_secret(PASSWORD, &output, &run);
        assert_eq!(listing(&owner).await, before);
    }

    let mut command = attach(&[&["zookeeper-calm"], &user[..]].concat());
    command.env("LEASEHOLD_PASSWORD", PASSWORD);
    interrupted(command, &folder.path().join("interrupted"));
    assert_eq!(listing(&owner).await, before);

    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "hunter2").expect("it can be written");
    let wrong = wrong.display().to_string();
    refused(
        &[&["zookeeper-calm", "--password-file", &wrong], &user[..]].concat(),
        &["does not let us in", "not authorized"],
    );
    refused(&["zookeeper-calm", "--endpoints", &endpoints], &["does not let us in", "--user"]);
    refused(&["etcd-v3-calm", "--endpoints", &format!("etcd=http://{address}:2181")], &["is not an etcd server"]);
}

/// A run to which somebody says by a pipe, as with `echo cut n1 start > PIPE`, what is done to the cluster.
#[track_caller]
fn told_over_a_pipe(mut command: Command, pipe: &Path, run: &Path) -> Output {
    nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    command.arg("--external-faults").arg(pipe).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    for word in ["start", "end"] {
        // Each by a writer that comes and goes, and waits for the one who reads.
        let deadline = Instant::now() + 3 * PATIENCE;
        let mut writer = loop {
            match OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(pipe) {
                Ok(writer) => break writer,
                Err(error) => assert_eq!(error.raw_os_error(), Some(ENXIO), "{error}"),
            }
            let listens = Instant::now() < deadline && child.try_wait().expect("it is ours").is_none();
            assert!(listens, "nobody reads the marks: {}", told(&child.wait_with_output().expect("it ends")));
            std::thread::sleep(Duration::from_millis(20));
        };
        writer.write_all(format!("cut n1 {word}\n").as_bytes()).expect("it listens");
    }
    let output = child.wait_with_output().expect("it ends");
    let history = std::fs::read_to_string(run.join("history.jsonl")).expect("a record");
    let marks = history.lines().filter(|line| line.contains(r#""f":"external""#)).count();
    assert_eq!(marks, 4, "{}", told(&output));
    output
}

/// With its own TLS port, at which it asks for certificates of this authority.
fn start_with_tls(address: Ipv4Addr, folder: &Path, authority: &Authority) -> Server {
    // The server wants its key and its certificate in one file.
    let (cert, key) = authority.signed(&address.to_string());
    let read = |path: &str| std::fs::read_to_string(path).expect("it can be read");
    let own = folder.join("server.pem");
    std::fs::write(&own, read(&key) + &read(&cert)).expect("it can be written");
    let tls = format!(
        "secureClientPort=2281\nsecureClientPortAddress={address}\n\
         serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         ssl.keyStore.location={}\nssl.trustStore.location={}\nssl.clientAuth=need\n",
        own.display(),
        authority.ca()
    );
    start_from(netty(), "zookeeper@3.9.6", address, folder, &tls)
}

/// Comes to the TLS port. The first to do so waits until the server has loaded all that it takes, which on a busy machine is longer than
/// our clients wait for a connection.
async fn handshake(address: Ipv4Addr, authority: &Authority, (cert, key): (&str, &str)) -> Option<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca()).expect("a certificate")).expect("an authority");
    let chain = vec![CertificateDer::from_pem_file(cert).expect("a certificate")];
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).expect("a key"))
        .expect("they belong together");
    let stream = TcpStream::connect((address, 2281)).await.ok()?;
    let secured = TlsConnector::from(Arc::new(config)).connect(IpAddr::V4(address).into(), stream).await;
    secured.ok().map(drop)
}

/// The jars by which ZooKeeper speaks TLS, which its packages come without: Debian's `libnetty-java` where it is installed, else as
/// the package manager gets it.
fn netty() -> Vec<PathBuf> {
    const JARS: [&str; 9] = [
        "jctools-core",
        "netty-buffer",
        "netty-codec",
        "netty-common",
        "netty-handler",
        "netty-resolver",
        "netty-transport",
        "netty-transport-native-epoll",
        "netty-transport-native-unix-common",
    ];
    let of = |folder: &Path| JARS.map(|jar| folder.join(format!("{jar}.jar")));
    let are_there = |folder: &Path| of(folder).iter().all(|jar| jar.exists());
    let (installed, fetched) = (Path::new("/usr/share/java"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("netty"));
    if are_there(installed) {
        return of(installed).to_vec();
    }
    let jars = fetched.join("usr/share/java");
    if !are_there(&jars) {
        let packages = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let run = |command: &mut Command| {
            let output = command.current_dir(packages.path()).output().expect("a Debian has it");
            assert!(output.status.success(), "apt-get install libnetty-java would do instead: {}", told(&output));
        };
        let download = ["-o", "APT::Sandbox::User=root", "download", "libnetty-java", "libjctools-java"];
        run(Command::new("apt-get").args(download));
        for package in std::fs::read_dir(packages.path()).expect("it is there") {
            run(Command::new("dpkg-deb").arg("-x").arg(package.expect("an entry").path()).arg(&fetched));
        }
    }
    of(&jars).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn zookeeper_at_its_own_tls_port_is_left_as_it_was() {
    let (address, folder) = (own_address(8), TempDir::new().expect("a folder"));
    let authority = Authority::new(folder.path());
    let _server = start_with_tls(address, folder.path(), &authority);
    until("ZooKeeper serves", async || says(address, "srvr").await.filter(|said| said.contains("Mode: "))).await;
    let (cert, key) = authority.signed("leasehold");
    until("it speaks TLS", async || handshake(address, &authority, (&cert, &key)).await).await;
    let digest = format!("lock:{PASSWORD}");
    let connector = Client::connector().with_auth("digest", digest.as_bytes());
    let owner = connector.connect(&format!("{address}:2181")).await.expect("it serves");
    owner.set_acl("/", &Acls::creator_all(), None).await.expect("the root is its owner's");
    let before = listing(&owner).await;

    let (secured, ca) = (format!("zookeeper=tls://{address}:2281"), authority.ca());
    let tls = ["--endpoints", &secured, "--ca", &ca, "--cert", &cert, "--key", &key, "--user", "lock"];
    let run = folder.path().join("tls");
    let mut command = attach(&[&["zookeeper-mutex-leader-change", "--no-faults", "--seconds", "3"], &tls[..]].concat());
    let output = command.env("LEASEHOLD_PASSWORD", PASSWORD).arg("--out").arg(&run).output();
    let output = output.expect("the program starts");
    valid(&output);
    keeps_secret(PASSWORD, &output, &run);

    let wrong = |endpoints: &str, more: &[&str], words: &[&str]| {
        refused(&[&["zookeeper-calm", "--endpoints", endpoints], more].concat(), words);
    };
    wrong(&format!("zookeeper={address}:2281"), &[], &["it speaks TLS there", "tls://"]);
    wrong(&format!("zookeeper=tls://{address}:2181"), &["--ca", &ca], &["does not speak TLS there", "HOST:PORT"]);
    wrong(&secured, &[], &["signed by nobody who is trusted"]);
    wrong(&secured, &["--ca", &ca], &["without a certificate that it trusts", "--cert FILE"]);
    assert_eq!(listing(&owner).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ensemble_without_a_majority_is_of_no_use() {
    let (address, folder) = (own_address(5), TempDir::new().expect("a folder"));
    let others: String = (1..=3).map(|id| format!("server.{id}={address}:{}:{}\n", 2887 + id, 3887 + id)).collect();
    let _server = start(address, folder.path(), &others);
    until("it listens", async || says(address, "srvr").await).await;
    refused(&["zookeeper-calm", "--endpoints", &format!("zookeeper={address}:9")], &["n1", "cannot be reached"]);
    refused(&["zookeeper-calm", "--endpoints", &format!("zookeeper={address}:2181")], &["the cluster has no leader"]);
}
