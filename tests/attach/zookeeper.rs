//! ZooKeeper whose root belongs to a user of the digest scheme.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use leasehold::servers::zookeeper::java;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zookeeper_client::{Acls, Client, CreateMode};

use super::server::{Server, own_address, program, until};
use super::{attach, interrupted, keeps_secret, refused, valid};

const PASSWORD: &str = "correct horse battery staple";

fn start(address: Ipv4Addr, folder: &Path, others: &str) -> Server {
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
    command.arg(program("zookeeper@3.8.0").join("*"));
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

/// Every node, with the transaction that wrote to it last.
async fn listing(owner: &Client) -> Vec<(String, i64)> {
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
        let output = command.env("LEASEHOLD_PASSWORD", PASSWORD).arg("-vv").arg("--out").arg(&run).output();
        let output = output.expect("the program starts");
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
