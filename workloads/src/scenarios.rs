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
    "etcd-v3-register-calm",
    "etcd-v3-register-leader-change",
    "etcd-v2-register-leader-change",
    "etcd-v3-mutex-calm",
    "etcd-v3-mutex-leader-change",
    "etcd-v3-election-calm",
    "etcd-v3-election-leader-change",
    "etcd-v3-election-dead-lease",
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
    "consul-job-frozen-holder",
    "consul-job-frozen-holder-fenced",
    "zookeeper-calm",
    "zookeeper-early-expiry",
    "zookeeper-clock-back",
    "zookeeper-corrupt-links",
    "zookeeper-corrupt-links-detected",
    "zookeeper-leader-change",
    "zookeeper-membership",
    "zookeeper-wiped-server",
    "zookeeper-rolled-back-server",
    "zookeeper-server-back",
    "zookeeper-mutex-leader-change",
    "zookeeper-register-leader-change",
    "zookeeper-job-frozen-holder",
    "zookeeper-job-frozen-holder-fenced",
    "zookeeper-poison-zombie",
];

/// All suites that come with the program.
pub const SUITES: &[Named] = named!["suites": "smoke", "failure-friday", "museum"];
