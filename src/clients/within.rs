//! A folder of a run's own.

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_checkers::contract::Contract;
use leasehold_workloads::op::{Answer, Key, Op};
use leasehold_workloads::service::{Change, Connect, LockService, OnChange, OpError};

/// Keeps all that a run writes in a folder of its own, on a cluster that serves others as well. The record knows the locks by the
/// names that the workload gives them.
pub struct Within {
    folder: String,
    connect: Arc<dyn Connect>,
}

impl Within {
    /// What `connect` does, in a folder of this name, which must not have been used before.
    #[must_use]
    pub fn new(folder: String, connect: Arc<dyn Connect>) -> Self {
        Self { folder, connect }
    }

    fn all_inside(&self, keys: &[Key]) -> Vec<Key> {
        keys.iter().map(|key| inside(&self.folder, key)).collect()
    }
}

impl std::fmt::Debug for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Within").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn inside(folder: &str, key: &str) -> Key {
    format!("{folder}/{key}")
}

#[async_trait]
impl Connect for Within {
    fn contract(&self) -> Contract {
        self.connect.contract()
    }

    fn connect(&self, worker: u64, node: usize) -> Box<dyn LockService> {
        Box::new(Inside { folder: self.folder.clone(), service: self.connect.connect(worker, node) })
    }

    async fn prepare(&self, keys: &[Key]) -> Result<(), OpError> {
        self.connect.prepare(&self.all_inside(keys)).await
    }

    async fn watch(&self, node: usize, keys: &[Key], mut on_change: OnChange) -> Result<(), OpError> {
        let folder = inside(&self.folder, "");
        let on_change = Box::new(move |change: Change| match change.key.strip_prefix(&folder) {
            Some(key) => on_change(Change { key: key.to_owned(), ..change }),
            None => true,
        });
        self.connect.watch(node, &self.all_inside(keys), on_change).await
    }

    async fn leave(&self, keys: &[Key]) -> Result<(), OpError> {
        self.connect.leave(&self.all_inside(keys)).await
    }
}

struct Inside {
    folder: String,
    service: Box<dyn LockService>,
}

#[async_trait]
impl LockService for Inside {
    async fn perform(&mut self, op: &Op) -> Result<Answer, OpError> {
        let mut op = op.clone();
        let key = match &mut op {
            Op::Acquire { key, .. } | Op::Read { key, .. } | Op::Register { key, .. } => key,
            Op::Renew { hold, .. } | Op::Release { hold } | Op::Work { hold, .. } => &mut hold.key,
        };
        *key = inside(&self.folder, key);
        self.service.perform(&op).await
    }
}
