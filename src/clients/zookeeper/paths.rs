//! Where everything lies.

use crate::clients::PREFIX;

/// The folders that have to be there before anything else.
pub(super) fn folders() -> [String; 4] {
    [root().to_owned(), folder("locks"), folder("queues"), folder("registers")]
}

/// The node that stands above all of ours.
pub(super) fn root() -> &'static str {
    PREFIX.trim_end_matches('/')
}

/// The node that is the lock.
pub(super) fn lock(key: &str) -> String {
    format!("{PREFIX}locks/{}", name(key))
}

/// The folder in which the waiters of a lock stand.
pub(super) fn queue(key: &str) -> String {
    format!("{PREFIX}queues/{}", name(key))
}

/// The node that is a register.
pub(super) fn register(key: &str) -> String {
    format!("{PREFIX}registers/{}", name(key))
}

/// A node in a folder.
pub(super) fn child(folder: &str, name: &str) -> String {
    format!("{folder}/{name}")
}

fn folder(name: &str) -> String {
    format!("{PREFIX}{name}")
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
        assert_eq!(lock("jobs/7"), "/leasehold/locks/jobs%2F7");
        assert_ne!(lock("jobs/7"), lock("jobs%2F7"));
        assert_eq!(folders()[0], "/leasehold");
    }
}
