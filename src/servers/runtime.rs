//! What servers are written for.

/// What a server is written for: some faults are faults of real machines only in some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Go: etcd, Consul.
    Go,
    /// A Java virtual machine: ZooKeeper.
    Jvm,
}

impl Runtime {
    /// Whether a monotonic clock of another pace does to its programs what a bad clock does.
    ///
    /// Go works out how long to wait from differences of that clock, and asks the kernel to wait for so long: a fast clock
    /// makes timers and leases end early. A Java virtual machine gives the kernel *instants* of that clock, and the kernel
    /// compares them with the true one. Then a sleep of half a second lasts twenty, or none at all, which no real clock does.
    ///
    /// # Errors
    /// The reason why not.
    pub fn bears_moved_monotonic_clocks(self) -> Result<(), &'static str> {
        match self {
            Self::Go => Ok(()),
            Self::Jvm => {
                Err("the monotonic clock of a Java virtual machine cannot be moved alone: it hands instants of that \
                              clock to the kernel, which waits by the true one, so that its timers would stall or spin; \
                              `clock = \"wall\"` is possible")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_go_bears_a_moved_monotonic_clock() {
        assert!(Runtime::Go.bears_moved_monotonic_clocks().is_ok());
        assert!(Runtime::Jvm.bears_moved_monotonic_clocks().expect_err("it stalls").contains("Java"));
    }
}
