//! Programs of all kinds, written in the shell.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use leasehold_workloads::service::Certainty;
use nix::sys::signal::kill;
use tempfile::TempDir;

use super::*;
use crate::clients::{EtcdV3, Recipe, any_source};

const READY_LINE: &str = r#"echo '{"type":"ready"}'"#;

struct Stage {
    folder: TempDir,
    program: Program,
}

/// A program of these shell commands.
fn stage(script: &str) -> Stage {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("client");
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{script}\n", folder.path().display())).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("it is made executable");
    let endpoints = vec![(NodeId::new(1), "127.0.0.1:1".parse().expect("an address"))];
    let service = Arc::new(EtcdV3::new(endpoints.clone(), Recipe::Txn));
    let logs = folder.path().to_owned();
    Stage { folder, program: Program::new(path, endpoints, any_source, logs, service) }
}

fn read() -> Op {
    Op::Read { key: "k".to_owned(), linearizable: true }
}

async fn asked(script: &str) -> Result<Answer, OpError> {
    let stage = stage(script);
    let mut client = stage.program.connect(0, 0);
    client.ready().await?;
    client.perform(&read()).await
}

#[tokio::test]
async fn a_program_is_asked_and_answers() {
    let script = format!(
        "{READY_LINE}\nread line\necho \"$line\" >&2\necho '{{\"id\":1,\"type\":\"ok\",\"holder\":\"'$LEASEHOLD_ENDPOINT'\"}}'\nread more"
    );
    let stage = stage(&script);
    let mut client = stage.program.connect(0, 0);
    client.ready().await.expect("it is ready");
    assert_eq!(client.perform(&read()).await, Ok(Answer::Holder(Some("127.0.0.1:1".to_owned()))));
    let log = fs::read_to_string(stage.folder.path().join("worker-0.log")).expect("a log");
    assert_eq!(log, "{\"id\":1,\"op\":\"read\",\"key\":\"k\",\"linearizable\":true}\n");
}

#[tokio::test]
async fn a_program_that_never_gets_ready_has_asked_for_nothing() {
    for (script, why) in
        [("exit 3", "exit code 3"), ("echo hello; read line", "its first line is not"), ("kill -9 $$", "SIGKILL")]
    {
        let error = asked(script).await.expect_err(script);
        assert_eq!(error.certainty, Certainty::DidNotHappen, "{script}");
        assert!(error.text.contains(why), "{script}: {error}");
    }
}

#[tokio::test]
async fn what_a_program_did_before_it_ended_or_talked_nonsense_is_unknown() {
    let scripts = [
        ("read line; exit 4", "exit code 4"),
        ("read line; echo nonsense; read more", "nonsense"),
        ("read line; head -c 100000 /dev/zero | tr '\\0' x; read more", "more than 65536 bytes"),
    ];
    for (script, why) in scripts {
        let error = asked(&format!("{READY_LINE}; {script}")).await.expect_err(script);
        assert_eq!(error.certainty, Certainty::Unknown, "{script}");
        assert!(error.text.contains(why), "{script}: {error}");
    }
}

#[tokio::test]
async fn a_worker_that_stands_still_has_a_program_that_does() {
    let answer = r#"echo '{"id":1,"type":"ok","holder":null}'"#;
    let stage = stage(&format!("{READY_LINE}\nread line\n{answer}\nread more"));
    let mut client = stage.program.connect(0, 0);
    client.ready().await.expect("it is ready");
    stage.program.stand(0, true);
    // Another worker's program is not meant.
    stage.program.stand(1, false);
    let question = read();
    let mut answer = client.perform(&question);
    let still = tokio::time::timeout(Duration::from_millis(300), &mut answer).await;
    assert!(still.is_err(), "it answers although it stands still: {still:?}");
    stage.program.stand(0, false);
    assert_eq!(answer.await, Ok(Answer::Holder(None)));
}

#[tokio::test]
async fn nothing_of_a_retired_program_is_left_at_work() {
    let stage = stage(&format!("sleep 1000 &\necho $! > helper\n{READY_LINE}\nread line"));
    let mut client = stage.program.connect(0, 0);
    client.ready().await.expect("it is ready");
    let helper = fs::read_to_string(stage.folder.path().join("helper")).expect("its number");
    let helper = Pid::from_raw(helper.trim().parse().expect("a number"));
    assert_eq!(kill(helper, None), Ok(()));
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_at_work(helper) {
        assert!(Instant::now() < deadline, "it is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(at_work(&stage.program.at_work).is_empty());
}

/// Whether there is such a process, and not only what is left of one.
fn is_at_work(process: Pid) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn what_cannot_be_run_is_no_client() {
    for path in ["/", "/etc/passwd", "/nowhere"] {
        assert!(Program::at(Path::new(path)).is_err(), "{path}");
    }
}
