//! The named scenarios, as text. The `leasehold` program reads and validates them.

/// A scenario that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, by which it is run.
    pub name: &'static str,
    /// Its TOML text.
    pub toml: &'static str,
}

macro_rules! named {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(Named { name: $name, toml: include_str!(concat!("../", $folder, "/", $name, ".toml")) }),*]
    };
}

/// All scenarios that come with the program, in the order in which a newcomer should meet them.
pub const ALL: &[Named] = named!["scenarios":
    "etcd-v2-early-expiry",
    "etcd-v2-elections",
    "etcd-v2-calm",
    "etcd-v3-calm",
    "etcd-v3-leader-change",
    "etcd-v3-bad-network",
    "etcd-v3-leader-pause",
    "etcd-v3-clock-back",
    "etcd-v3-lock-dead-lease",
    "etcd-v3-frozen-holder",
    "etcd-v3-deaf-holder",
    "etcd-v3-frozen-host",
    "etcd-v3-leader-at-renewal",
    "etcd-v3-election-storm",
    "etcd-v3-failure-friday",
    "etcd-v3-region-lost",
    "etcd-v3-swizzle",
    "etcd-v3-closed-port",
    "etcd-v3-oom-loop",
    "etcd-v3-wiped-disk",
    "etcd-v3-frozen-disk",
    "etcd-v3-slow-and-full-disk",
    "etcd-v3-rollback",
    "etcd-v3-member-replaced",
    "etcd-v3-wiped-server",
    "etcd-v3-forced-new-cluster",
    "etcd-v3-server-kept",
    "etcd-v3-negative-lease",
    "etcd-v3-register-calm",
    "etcd-v3-register-leader-change",
    "etcd-v2-register-leader-change",
    "etcd-v3-mutex-calm",
    "etcd-v3-mutex-leader-change",
    "etcd-v3-election-calm",
    "etcd-v3-election-leader-change",
    "etcd-v3-election-dead-lease",
    "etcd-v3-semaphore-calm",
    "etcd-v3-semaphore-leader-change",
    "etcd-v3-fenced-lock-calm",
    "etcd-v3-fenced-lock-leader-change",
    "etcd-v3-fenced-lock-frozen-holder",
    "etcd-v3-job-calm",
    "etcd-v3-job-leader-change",
    "etcd-v3-job-frozen-holder",
    "etcd-v3-job-frozen-holder-fenced",
    "consul-calm",
    "consul-early-expiry",
    "consul-leader-change",
    "consul-membership",
    "consul-wiped-server",
    "consul-server-kept",
    "consul-stale-default-reads",
    "consul-lock-delay-lost",
    "consul-lock-delay-race",
    "consul-late-invalidation",
    "consul-leader-pause",
    "consul-mutex-leader-change",
    "consul-register-leader-change",
    "consul-semaphore-calm",
    "consul-semaphore-leader-change",
    "consul-election-leader-change",
    "consul-fenced-lock-leader-change",
    "consul-fenced-lock-frozen-holder",
    "consul-job-leader-change",
    "consul-expiries",
    "consul-job-frozen-holder",
    "consul-job-frozen-holder-fenced",
    "zookeeper-calm",
    "zookeeper-early-expiry",
    "zookeeper-clock-back",
    "zookeeper-corrupt-links",
    "zookeeper-corrupt-links-detected",
    "zookeeper-corrupt-payload",
    "zookeeper-leader-change",
    "zookeeper-membership",
    "zookeeper-wiped-server",
    "zookeeper-rolled-back-server",
    "zookeeper-server-back",
    "zookeeper-mutex-leader-change",
    "zookeeper-register-leader-change",
    "zookeeper-semaphore-calm",
    "zookeeper-semaphore-leader-change",
    "zookeeper-election-leader-change",
    "zookeeper-fenced-lock-leader-change",
    "zookeeper-fenced-lock-frozen-holder",
    "zookeeper-job-leader-change",
    "zookeeper-mutex-library-leader-change",
    "zookeeper-expiries",
    "zookeeper-follower-trouble",
    "zookeeper-job-frozen-holder",
    "zookeeper-job-frozen-holder-fenced",
    "zookeeper-poison-zombie",
];

/// All suites that come with the program.
pub const SUITES: &[Named] = named!["suites": "smoke", "failure-friday", "museum", "matrix", "zookeeper-followers"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names of the files in a folder of this crate.
    fn files(folder: &str) -> BTreeSet<String> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(folder).expect("the folder can be listed");
        let names = entries.map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned());
        names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned)).collect()
    }

    #[test]
    fn every_file_comes_along() {
        for (folder, all) in [("scenarios", ALL), ("suites", SUITES)] {
            let named: BTreeSet<String> = all.iter().map(|named| named.name.to_owned()).collect();
            assert_eq!(named, files(folder), "{folder}");
        }
    }
}
