//! What a member holds by itself.
//!
//! Its keys and its leases, not the hash that it offers of them (`HashKV`): what that adds up depends on how far a member has got with a
//! compaction, which each does in its own time (etcd, pull request 18274).

use std::time::Duration;

use etcd_client::{GetOptions, KeyValue};

use super::EtcdProbes;
use crate::NodeId;
use crate::servers::probes::{Contents, MOST_CONTENTS, ProbeError};

/// All keys are read, and all leases.
const ALL: Duration = Duration::from_secs(5);

impl EtcdProbes {
    pub(super) async fn own_contents(&self, node: NodeId) -> Result<Contents, ProbeError> {
        let client = self.client(node).await?;
        let options = GetOptions::new().with_all_keys().with_serializable().with_limit(MOST_CONTENTS as i64 + 1);
        let keys = self.bounded(node, ALL, async { client.kv_client().get("", Some(options)).await }).await?;
        // A member answers that from what it has applied, and asks nobody.
        let leases = self.bounded(node, ALL, async { client.lease_client().leases().await }).await?;
        if keys.more() {
            return Err(ProbeError::NotOffered("there are too many keys"));
        }
        let leases = leases.leases().iter().map(|lease| format!("lease {:x}", lease.id()));
        Ok(keys.kvs().iter().map(told).chain(leases).collect())
    }
}

fn told(kv: &KeyValue) -> String {
    format!(
        "key {} = {}, created at {}, changed at {}, version {}, lease {:x}",
        kv.key().escape_ascii(),
        kv.value().escape_ascii(),
        kv.create_revision(),
        kv.mod_revision(),
        kv.version(),
        kv.lease()
    )
}
