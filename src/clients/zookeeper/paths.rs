//! Where everything lies.

use crate::clients::PREFIX;

/// The node below which everything lies, and that clients take for the root.
pub(super) fn home() -> &'static str {
    PREFIX.trim_end_matches('/')
}

/// The folders that have to be there before anything else.
pub(super) fn folders() -> [&'static str; 3] {
    ["/locks", "/queues", "/registers"]
}

/// The root, as a client sees it.
pub(super) fn root() -> &'static str {
    "/"
}

/// The node that is the lock.
pub(super) fn lock(key: &str) -> String {
    format!("/locks/{}", name(key))
}

/// The folder in which the waiters of a lock stand.
pub(super) fn queue(key: &str) -> String {
    format!("/queues/{}", name(key))
}

/// The node that is a register.
pub(super) fn register(key: &str) -> String {
    format!("/registers/{}", name(key))
}

/// The node of what a lock guards.
pub(super) fn guarded(key: &str) -> String {
    format!("{}.guarded", register(key))
}

/// A node in a folder.
pub(super) fn child(folder: &str, name: &str) -> String {
    format!("{folder}/{name}")
}

/// A key as the name of one node.
fn name(key: &str) -> String {
    key.replace('%', "%25").replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_node() {
        assert_eq!(lock("jobs/7"), "/locks/jobs%2F7");
        assert_ne!(lock("jobs/7"), lock("jobs%2F7"));
        assert_eq!(home(), "/leasehold");
    }
}
