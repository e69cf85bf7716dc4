//! The software that can be put to the test.

use std::fmt;

use super::Runtime;

/// The software that a cluster runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// etcd.
    Etcd,
    /// Consul.
    Consul,
    /// ZooKeeper.
    ZooKeeper,
}

impl Software {
    /// All there is.
    pub const ALL: [Self; 3] = [Self::Etcd, Self::Consul, Self::ZooKeeper];

    /// The name under which it is fetched.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Consul => "consul",
            Self::ZooKeeper => "zookeeper",
        }
    }

    /// The software of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|software| software.name() == name)
    }

    /// What it is written for.
    #[must_use]
    pub fn runtime(self) -> Runtime {
        match self {
            Self::Etcd | Self::Consul => Runtime::Go,
            Self::ZooKeeper => Runtime::Jvm,
        }
    }
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
