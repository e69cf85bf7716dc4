//! Nothing is sent on behalf of who is gone.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::clients::Consul;
use leasehold_workloads::op::{Op, Wait};
use leasehold_workloads::service::Connect;

use super::cluster::{PATIENCE, SECOND, eventually, own_addresses};
use super::operations::{acquire_key, owner};
use super::pretenders::{Pretender, ok};

/// An operation that is given up while its connection is still being made must not reach the server later.
#[tokio::test]
async fn what_was_given_up_before_it_was_sent_is_never_sent() {
    let (_, address) = own_addresses(1)[0];
    let (listener, fillers) = full_listener(address);
    let consul = Consul::new(vec![(NodeId::new(1), listener.local_addr().expect("an address"))]);
    let mut service = consul.connect(0, 0);
    let read = |key: &str| Op::Read { key: key.to_owned(), linearizable: true };
    let given_up = tokio::time::timeout(SECOND / 5, service.perform(&read("given-up"))).await;
    assert!(given_up.is_err(), "nobody can have answered {given_up:?}");

    drop(fillers);
    let server = Pretender::at(listener, |_| None);
    let deadline = Instant::now() + PATIENCE;
    while !server.heard().contains("sent-later") {
        assert!(Instant::now() < deadline, "nothing arrives");
        let _ = tokio::time::timeout(SECOND / 3, service.perform(&read("sent-later"))).await;
    }
    assert!(!server.heard().contains("given-up"));
}

/// A process is retired by dropping its operation and its connection. The server sees every connection end, and nothing comes
/// after, be it that the holder had time left, or that a waiter would have had to renew its session.
#[tokio::test]
async fn a_retired_process_is_silent() {
    let (_, address) = own_addresses(1)[0];
    let server = Pretender::start(address, |request| {
        let waits = request.contains("index=");
        let answer = if request.contains("session/create") {
            r#"{"ID":"8d1a4c0f"}"#
        } else if request.contains("session/renew") {
            r#"[{"ID":"8d1a4c0f"}]"#
        } else if request.contains("acquire=") && request.contains("taken") {
            "false"
        } else if request.starts_with("GET") {
            r#"[{"LockIndex":1,"Key":"leasehold/taken","Flags":0,"Value":"eA==","Session":"77fe","CreateIndex":9,"ModifyIndex":9}]"#
        } else {
            "true"
        };
        (!waits).then(|| ok(answer))
    });
    let consul = Consul::new(vec![(NodeId::new(1), server.address)]);
    let mut holder = consul.connect(0, 0);
    acquire_key(&mut *holder, "free", owner(1), SECOND / 2, Wait::Never).await.expect("a grant");
    let mut waiter = consul.connect(1, 0);
    let waiting = acquire_key(&mut *waiter, "taken", owner(2), SECOND / 2, Wait::InQueue);
    let given_up = tokio::time::timeout(SECOND / 2, waiting).await;
    assert!(given_up.is_err(), "{given_up:?}");
    assert!(server.heard().contains("index="), "it waits for the lock: {}", server.heard());

    drop((holder, waiter));
    eventually("every connection ends", || async { (server.open() == 0).then_some(()) }).await;
    let heard = server.heard().len();
    // Several times the interval at which either would have renewed.
    tokio::time::sleep(SECOND).await;
    assert_eq!((server.open(), server.heard().len()), (0, heard), "{}", server.heard());
}

/// A listener that has as many connections waiting as it takes, so that the next one is not made until it accepts.
fn full_listener(address: Ipv4Addr) -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((address, 0)).expect("an address of our own");
    // SAFETY: the descriptor is the listener's own and open. Listening again only changes how many may wait.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let target = listener.local_addr().expect("an address");
    let connect = || TcpStream::connect_timeout(&target, Duration::from_millis(200)).ok();
    (listener, std::iter::from_fn(connect).take(100).collect())
}
