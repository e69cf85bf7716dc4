//! A server that is started by hand.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leasehold::servers::{FetchOptions, fetch};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server process. It is killed, by its own number, even when a test panics.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let log = File::create(log).expect("a log");
        let errors = log.try_clone().expect("a log");
        Self(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("the server starts"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A loopback address that no other test has, nor another run of this one.
pub(crate) fn own_address(test: u8) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 130 + test, high, low.clamp(1, 254))
}

/// Where a server's program is.
pub(crate) fn program(spec: &str) -> PathBuf {
    let mut options = FetchOptions::from_environment().expect("options");
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/servers");
    if options.packages.is_none() && beside.is_dir() {
        options.packages = Some(beside);
    }
    fetch(&spec.parse().expect("a server"), &options, &mut |_| {}).expect("it can be had").path
}

/// Waits until something is there.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
