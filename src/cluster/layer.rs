//! How faults that overlap keep out of each other's way.

use std::sync::atomic::{AtomicU64, Ordering};

/// One fault's own part in what is done to the nodes.
///
/// Faults overlap: a node that two of them pause goes on when both have let go of it, and a clock that two of them move is
/// off by the sum. So whatever a fault does to a node it does under its layer, and takes back under the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layer(u64);

impl Layer {
    /// A layer that nobody else has.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self::new()
    }
}
