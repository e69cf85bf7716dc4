//! Servers that are none.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use leasehold::NodeId;
use leasehold::clients::Consul;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Op, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::Connect;
use leasehold_workloads::service::{Certainty, OpError};

use super::cluster::{SECOND, own_addresses};
use super::operations::{LOCK, acquire, assert_certain, assert_unknown, register, renew};

/// A server that answers each request as it was told, or not at all.
pub(super) struct Pretender {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<String>>,
    open: Arc<AtomicUsize>,
}

pub(super) type Told = Option<Vec<u8>>;

impl Pretender {
    pub(super) fn start(address: Ipv4Addr, answer: impl Fn(&str) -> Told + Send + Sync + 'static) -> Self {
        Self::at(TcpListener::bind((address, 0)).expect("an address of our own"), answer)
    }

    pub(super) fn at(listener: TcpListener, answer: impl Fn(&str) -> Told + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("an address");
        let (heard, open) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
        let (server, answer) = ((Arc::clone(&heard), Arc::clone(&open)), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), (heard, open), answer) = (stream, server.clone(), Arc::clone(&answer)) else {
                    return;
                };
                open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut block = [0; 16 * 1024];
                    // Requests of ours are small: one comes in one piece.
                    while let Ok(n @ 1..) = stream.read(&mut block) {
                        let request = String::from_utf8_lossy(&block[..n]).into_owned();
                        heard.lock().expect("whole").push_str(&request);
                        let Some(answer) = answer(&request) else { continue };
                        if stream.write_all(&answer).is_err() {
                            break;
                        }
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, heard, open }
    }

    pub(super) fn heard(&self) -> String {
        self.heard.lock().expect("whole").clone()
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

pub(super) fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Whatever a server says, the adapter answers with an error, and never believes a lock to be held.
#[tokio::test]
async fn hostile_answers_are_errors() {
    let odd_header =
        b"HTTP/1.1 200 OK\r\nX-Consul-Index: \xff\xfe\r\nX-Cache: \xff\r\nContent-Length: 2\r\n\r\n{}".to_vec();
    let endless = {
        let mut endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let chunk = [b"100000\r\n".to_vec(), vec![b'['; 1 << 20], b"\r\n".to_vec()].concat();
        (0..8).for_each(|_| endless.extend_from_slice(&chunk));
        endless
    };
    let hostile = [
        ok(""),
        ok("null"),
        ok("{}"),
        ok("[]"),
        ok("7"),
        ok("\"true\""),
        ok(r#"{"ID":7}"#),
        ok(r#"{"ID":"../../kv/x?dc=y"}"#),
        ok(r#"[{"ID":"another"}]"#),
        ok(r#"[{"Key":"leasehold/jobs/7","Value":7}]"#),
        ok(r#"[{"LockIndex":1,"Key":"x","Flags":0,"Value":"!","Session":"a","CreateIndex":1,"ModifyIndex":-1}]"#),
        ok(&"[".repeat(100_000)),
        odd_header,
        endless,
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 500 \xff\r\nContent-Length: 3\r\n\r\n\xff\xff\xff".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
        vec![0; 64 * 1024],
    ];
    let (_, address) = own_addresses(1)[0];
    for answer in hostile {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
        let server = Pretender::start(address, move |_| Some(answer.clone()));
        let consul = Consul::new(vec![(NodeId::new(1), server.address)]);
        for wait in [Wait::Never, Wait::InQueue] {
            let mut service = consul.connect(0, 0);
            assert_certain_failure(acquire(&mut *service, 1, SECOND, wait).await, &shown);
        }
        for op in [
            Op::Read { key: LOCK.to_owned(), linearizable: true },
            Op::Register { key: LOCK.to_owned(), op: RegisterOp::Read { linearizable: true } },
        ] {
            // An empty list of keys is what it seems: there is no key.
            match consul.connect(0, 0).perform(&op).await {
                Ok(Answer::Holder(None) | Answer::Value(None)) if shown.ends_with("[]") => {}
                other => drop(other.expect_err(&shown)),
            }
        }
        let write = RegisterOp::Write { value: 1 };
        assert_unknown(register(&mut *consul.connect(0, 0), write).await);
        let cas = register(&mut *consul.connect(0, 0), RegisterOp::Cas { old: None, new: 1 }).await;
        cas.expect_err(&shown);
        let keys = [LOCK.to_owned()];
        if !shown.ends_with("[]") {
            consul.prepare(&keys).await.expect_err(&shown);
            let watched = consul.watch(0, &keys, Box::new(|change| panic!("{change:?}"))).await;
            watched.expect_err(&shown);
        }
    }
}

#[track_caller]
fn assert_certain_failure<T: std::fmt::Debug>(outcome: Result<T, OpError>, shown: &str) {
    let error = outcome.expect_err(shown);
    assert_eq!(error.certainty, Certainty::DidNotHappen, "{shown}: {error}");
    assert!(error.text.len() < 1_000, "{shown}: {error}");
}

/// A session is made, and then the server says nonsense about the lock: nobody knows who holds it.
#[tokio::test]
async fn nonsense_about_a_lock_leaves_its_acquisition_unknown() {
    let (_, address) = own_addresses(1)[0];
    let server = Pretender::start(address, |request| {
        Some(ok(if request.contains("session/create") { r#"{"ID":"8d1a4c0f"}"# } else { "perhaps" }))
    });
    let consul = Consul::new(vec![(NodeId::new(1), server.address)]);
    for wait in [Wait::Never, Wait::InQueue] {
        assert_unknown(acquire(&mut *consul.connect(0, 0), 1, SECOND, wait).await);
    }
    assert!(!server.heard().contains("session/destroy"), "whoever may hold the lock keeps the session");
}

/// A server that leads anew may still count a lock-delay that is over, and refuses the holder's own write. The lock is not lost for that.
#[tokio::test]
async fn a_refused_status_is_no_loss_while_the_session_holds_the_lock() {
    let (_, address) = own_addresses(1)[0];
    for (session, code) in [("8d1a4c0f", "rejected"), ("77fe", code::NOT_HELD)] {
        let key = format!(
            r#"[{{"LockIndex":1,"Key":"leasehold/{LOCK}","Flags":0,"Value":"eA==","Session":"{session}","CreateIndex":9,"ModifyIndex":9}}]"#
        );
        let server = Pretender::start(address, move |request| {
            Some(ok(match request {
                request if request.contains("session/create") => r#"{"ID":"8d1a4c0f"}"#,
                request if request.contains("session/renew") => r#"[{"ID":"8d1a4c0f"}]"#,
                request if request.contains("flags=1") => "false",
                request if request.starts_with("GET") => &key,
                _ => "true",
            }))
        });
        let mut service = Consul::new(vec![(NodeId::new(1), server.address)]).connect(0, 0);
        let hold = acquire(&mut *service, 1, SECOND, Wait::Never).await.expect("a grant");
        assert_certain(renew(&mut *service, &hold, Renewal::StatusUpdate).await, code);
    }
}
