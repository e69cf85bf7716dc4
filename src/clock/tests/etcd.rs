//! The same on a real etcd: a static Go binary, which reads the time without any C library.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::ptrace;

use crate::servers::{FetchOptions, fetch};

use super::super::clocks::Now;
use super::super::supported::{pid_of, spawn_traced};
use super::super::{ClockHook, Skew};
use super::program::{HOUR, MILLISECOND, SECOND};

const START_UP: Duration = Duration::from_secs(30);

/// An etcd, from the folder of packages beside the checkout where there is one.
fn server() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = checkout.join("../shared/servers");
    let packages = std::env::var_os("LEASEHOLD_PACKAGES").map(PathBuf::from).or(beside.is_dir().then_some(beside));
    let options = FetchOptions { cache: checkout.join("target/tmp/cache"), packages };
    let spec = "etcd@3.5.30".parse().expect("a spec");
    fetch(&spec, &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}")).path
}

#[test]
fn etcd_shows_the_moved_clock() {
    let program = server();
    let folder = tempfile::tempdir().expect("make a data folder");
    let etcd = Etcd::start(&program, folder.path(), Skew { offset_ns: HOUR, rate_ppm: 0 });
    etcd.assert_off_by(HOUR);
    for offset in [0, -HOUR, -5 * SECOND, 9 * SECOND, 250 * MILLISECOND, 0] {
        etcd.hook.set_wall(Skew { offset_ns: offset, rate_ppm: 0 }).expect("etcd runs");
        etcd.assert_off_by(offset);
    }
    for change in 0..1000 {
        etcd.hook.set_wall(Skew { offset_ns: change * SECOND, rate_ppm: change * 100 }).expect("etcd runs");
        sleep(Duration::from_millis(1));
    }
    etcd.hook.set_wall(Skew::default()).expect("etcd runs");
    etcd.assert_off_by(0);

    // A Go program copes with monotonic clocks of another pace: it only finds its timers early or late.
    for rate_ppm in [1_000_000, -500_000, 0] {
        etcd.hook.set_monotonic_rate(rate_ppm).expect("etcd runs");
        sleep(Duration::from_secs(1));
        etcd.assert_off_by(0);
    }
}

struct Etcd {
    hook: ClockHook,
    child: Child,
    peer: SocketAddr,
}

impl Etcd {
    fn start(program: &std::path::Path, folder: &std::path::Path, skew: Skew) -> Etcd {
        let [client, peer] = [free_address(), free_address()];
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(folder).args(["--name", "n1"]);
        command
            .arg(format!("--listen-client-urls=http://{client}"))
            .arg(format!("--advertise-client-urls=http://{client}"));
        command
            .arg(format!("--listen-peer-urls=http://{peer}"))
            .arg(format!("--initial-advertise-peer-urls=http://{peer}"));
        command.arg(format!("--initial-cluster=n1=http://{peer}")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = spawn_traced(&mut command).expect("start etcd");
        let hook = ClockHook::inject(pid_of(&child), skew).expect("hook etcd");
        ptrace::detach(pid_of(&child), None).expect("let go of etcd");
        Etcd { hook, child, peer }
    }

    /// Peers ask each other for the time at this address, and etcd answers with its own.
    #[track_caller]
    fn assert_off_by(&self, offset: i64) {
        let deadline = Instant::now() + START_UP;
        let (before, shown, after) = loop {
            let before = Now::read().wall_ns();
            if let Some(shown) = self.probe() {
                break (before, shown, Now::read().wall_ns());
            }
            assert!(Instant::now() < deadline, "etcd does not serve");
            sleep(Duration::from_millis(20));
        };
        assert!(
            (before + offset..=after + offset).contains(&shown),
            "etcd is off by {} to {} ns, not by {offset}",
            shown - after,
            shown - before
        );
    }

    fn probe(&self) -> Option<i64> {
        let mut stream = TcpStream::connect(self.peer).ok()?;
        write!(stream, "GET /raft/probing HTTP/1.1\r\nHost: n1\r\n\r\n").ok()?;
        // Up to the end of the object: the end of the stream may come five seconds later.
        let mut answer = Vec::new();
        BufReader::new(stream).read_until(b'}', &mut answer).ok()?;
        let start = answer.iter().position(|&byte| byte == b'{')?;
        let body: serde_json::Value = serde_json::from_slice(&answer[start..]).ok()?;
        let now: jiff::Timestamp = body["Now"].as_str()?.parse().ok()?;
        i64::try_from(now.as_nanosecond()).ok()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}
