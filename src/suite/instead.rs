//! A suite on other servers than those that it names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Cell, Plan, SuiteError};
use crate::servers::{ServerSpec, Software};

/// The servers of a suite's runs in place of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// This version.
    Version(ServerSpec),
    /// A program of the user's own; for ZooKeeper the folder of its jars.
    Program(Software, PathBuf),
}

impl Instead {
    fn software(&self) -> &str {
        match self {
            Self::Version(spec) => &spec.service,
            Self::Program(software, _) => software.name(),
        }
    }

    fn put_into(&self, cell: &mut Cell) {
        let (servers, program) = match self {
            Self::Version(spec) => (spec.to_string(), None),
            Self::Program(software, path) => (format!("{software}@own"), Some(path.clone())),
        };
        let before = std::mem::replace(&mut cell.servers, servers);
        cell.id = cell.id.replacen(&format!("/{before}/"), &format!("/{}/", cell.servers), 1);
        cell.program = program;
    }
}

impl Plan {
    /// The same runs on these servers, where they are about the same software. Runs that differed in their servers only become one.
    ///
    /// # Errors
    /// If no run is about that software.
    pub fn on(mut self, instead: &Instead) -> Result<Self, SuiteError> {
        let software = instead.software();
        let is_meant = |cell: &&mut Cell| cell.servers.split('@').next() == Some(software);
        let mut any = false;
        for cell in self.cells.iter_mut().filter(is_meant) {
            instead.put_into(cell);
            any = true;
        }
        if !any {
            let message = format!("none of its runs is about {software}");
            return Err(SuiteError::Wrong { origin: self.name, message });
        }
        let mut known = BTreeSet::new();
        self.cells.retain(|cell| known.insert(cell.id.clone()));
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let text = r#"
summary = "s"
[[cells]]
scenarios = ["etcd-v3-calm"]
servers = ["etcd@3.4.23", "etcd@3.5.30"]
seeds = [1, 2]
expect = "valid"
[[cells]]
scenarios = ["consul-calm"]
expect = "valid"
"#;
        Plan::parse("s", "s.toml", text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn ids(instead: &Instead) -> Vec<String> {
        plan().on(instead).expect("it is about them").cells.into_iter().map(|cell| cell.id).collect()
    }

    #[test]
    fn runs_that_differed_in_their_servers_only_become_one() {
        let version = Instead::Version("etcd@3.4.20".parse().expect("a version"));
        assert_eq!(
            ids(&version),
            ["etcd-v3-calm/etcd@3.4.20/1", "consul-calm/consul@1.8.7/1", "etcd-v3-calm/etcd@3.4.20/2"]
        );
    }

    #[test]
    fn a_program_of_ones_own_stands_in_the_command() {
        let own = Instead::Program(Software::Etcd, "/bin/my-etcd".into());
        assert_eq!(ids(&own)[0], "etcd-v3-calm/etcd@own/1");
        let cells = plan().on(&own).expect("it is about etcd").cells;
        assert_eq!(cells[0].arguments().join(" "), "run etcd-v3-calm --server-bin etcd=/bin/my-etcd --seed 1");
        assert_eq!(cells[1].arguments().join(" "), "run consul-calm --servers consul@1.8.7 --seed 1");
    }

    #[test]
    fn other_software_than_the_suites_is_refused() {
        let error = plan().on(&Instead::Program(Software::ZooKeeper, "jars".into())).expect_err("there is none");
        assert_eq!(error.to_string(), "s: none of its runs is about zookeeper");
    }
}
