//! Consul with TLS and tokens.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::authority::Authority;
use super::server::{Server, own_address, program, until};
use super::{attach, interrupted, keeps_secret, refused, told, told_by_hand, valid};

const ROOT: &str = "7d2c9a4e-0000-4000-8000-000000000001";

/// What a token needs.
const RULES: &str = r#"agent_prefix "" { policy = "read" } operator = "read" key_prefix "leasehold/" { policy = "write" }
session_prefix "" { policy = "write" } node_prefix "leasehold-" { policy = "write" }"#;

#[tokio::test(flavor = "multi_thread")]
async fn consul_with_tls_and_tokens_is_left_as_it_was() {
    let (address, folder) = (own_address(3), TempDir::new().expect("a folder"));
    let authority = Authority::new(folder.path());
    let (cert, key) = authority.signed(&address.to_string());
    let configuration = json!({
        "server": true, "bootstrap_expect": 1, "node_name": "theirs", "bind_addr": address, "client_addr": address,
        "ports": { "http": 8500, "https": 8501, "server": 8300, "serf_lan": 8301, "serf_wan": -1, "dns": -1, "grpc": -1 },
        "data_dir": folder.path().join("data"), "disable_update_check": true, "session_ttl_min": "1s",
        "performance": { "raft_multiplier": 1 },
        "cert_file": cert, "key_file": key, "ca_file": authority.ca(),
        "acl": { "enabled": true, "default_policy": "deny", "tokens": { "master": ROOT } },
    });
    let file = folder.path().join("consul.json");
    std::fs::write(&file, configuration.to_string()).expect("it can be written");
    let mut command = Command::new(program("consul@1.8.7"));
    command.env_clear().arg("agent").arg("-config-file").arg(&file);
    let _server = Server::start(command, &folder.path().join("log"));
    let owner = reqwest::Client::new();
    let base = format!("http://{address}:8500/v1");
    let ask = async |path: &str| -> Option<Value> {
        let answer = owner.get(format!("{base}/{path}")).header("X-Consul-Token", ROOT).send().await.ok()?;
        match answer.status().as_u16() {
            200 => answer.json().await.ok(),
            404 => Some(Value::Null),
            _ => None,
        }
    };
    let tell = async |path: &str, body: Value| -> Option<Value> {
        let answer =
            owner.put(format!("{base}/{path}")).header("X-Consul-Token", ROOT).json(&body).send().await.ok()?;
        if answer.status().is_success() { answer.json().await.ok() } else { None }
    };
    until("Consul serves", async || tell("kv/their/own", json!("data")).await).await;
    until("a policy", async || tell("acl/policy", json!({ "Name": "guest", "Rules": RULES })).await).await;
    let token = tell("acl/token", json!({ "Policies": [{ "Name": "guest" }] })).await.expect("a token");
    let token = token["SecretID"].as_str().expect("a token").to_owned();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, format!("{token}\n")).expect("it can be written");
    let token_file = token_file.display().to_string();
    let listing = async || {
        let keys = ask("kv/?recurse").await.expect("a listing");
        let nodes = ask("catalog/nodes").await.expect("a listing");
        let names: Vec<_> = nodes.as_array().expect("a list").iter().map(|node| node["Node"].clone()).collect();
        (keys, ask("session/list").await.expect("a listing"), names)
    };
    let before = listing().await;

    let endpoints = format!("consul=https://{address}:8501");
    let ca = authority.ca();
    let tls = ["--endpoints", &endpoints, "--ca", &ca];
    // Its sessions belong to nodes of our own, which have to go as well.
    let calm = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/scenarios/consul-calm.toml");
    let calm = std::fs::read_to_string(calm).expect("it can be read");
    let scenario = folder.path().join("calm.toml");
    std::fs::write(&scenario, calm.replace("[consul]", "[consul]\nsession_node = \"client\""))
        .expect("it can be written");
    let (run, scenario) = (folder.path().join("run"), scenario.display().to_string());
    let arguments = [&[scenario.as_str(), "--seconds", "4", "--token-file", &token_file], &tls[..]].concat();
    let output = attach(&arguments).arg("-vv").arg("--out").arg(&run).output().expect("the program starts");
    valid(&output);
    keeps_secret(&token, &output, &run);
    assert_eq!(listing().await, before);

    // Its entries are removed as well; and what somebody says by hand meanwhile is on record.
    let (run, marks) = (folder.path().join("permits"), ["--external-faults", "-", "--token-file", &token_file]);
    let arguments = [&["consul-semaphore-calm", "--seconds", "4"], &marks[..], &tls[..]].concat();
    let output = told_by_hand(attach(&arguments).arg("--out").arg(&run), "cut n1 start\ncut n1 end\n");
    valid(&output);
    let history = std::fs::read_to_string(run.join("history.jsonl")).expect("a record");
    assert_eq!(history.lines().filter(|line| line.contains(r#""f":"external""#)).count(), 4, "{}", told(&output));
    assert_eq!(listing().await, before);

    let mut command = attach(&[&["consul-calm"], &tls[..]].concat());
    command.env("LEASEHOLD_TOKEN", &token);
    interrupted(command, &folder.path().join("interrupted"));
    assert_eq!(listing().await, before);

    refused(&[&["consul-calm"], &tls[..]].concat(), &["does not let us in", "--token-file"]);
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "7d2c9a4e-0000-4000-8000-00000000000f").expect("it can be written");
    let wrong = wrong.display().to_string();
    refused(&[&["consul-calm", "--token-file", &wrong], &tls[..]].concat(), &["does not let us in", "ACL not found"]);
    let plain = format!("consul=http://{address}:8501");
    refused(&["consul-calm", "--endpoints", &plain, "--token-file", &token_file], &["it speaks TLS there"]);
    let secured = format!("consul=https://{address}:8500");
    refused(&["consul-calm", "--endpoints", &secured, "--ca", &ca], &["does not speak TLS there"]);
    for (scenario, service) in [("etcd-v3-calm", "etcd"), ("etcd-v2-calm", "etcd-v2")] {
        let other = format!("{service}=http://{address}:8500");
        refused(&[scenario, "--endpoints", &other], &["is not an etcd server"]);
    }
}

/// One of three, and the others never came.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_others_is_of_no_use() {
    let (address, folder) = (own_address(7), TempDir::new().expect("a folder"));
    let configuration = json!({
        "server": true, "bootstrap_expect": 3, "node_name": "alone", "bind_addr": address, "client_addr": address,
        "ports": { "http": 8500, "server": 8300, "serf_lan": 8301, "serf_wan": -1, "dns": -1, "grpc": -1 },
        "data_dir": folder.path().join("data"), "disable_update_check": true,
    });
    let file = folder.path().join("consul.json");
    std::fs::write(&file, configuration.to_string()).expect("it can be written");
    let mut command = Command::new(program("consul@1.8.7"));
    command.env_clear().arg("agent").arg("-config-file").arg(&file);
    let _server = Server::start(command, &folder.path().join("log"));
    let answers = async || reqwest::get(format!("http://{address}:8500/v1/agent/self")).await.ok();
    until("it answers", async || answers().await.filter(|answer| answer.status().is_success())).await;
    let endpoints = format!("consul=http://{address}:8500");
    refused(&["consul-calm", "--endpoints", &endpoints], &["the cluster has no leader"]);
    refused(&["consul-calm", "--endpoints", &format!("consul=http://{address}:9")], &["n1", "cannot be reached"]);
}
