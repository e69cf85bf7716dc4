//! What a server holds by itself: its tree.

use std::time::Duration;

use super::{CLIENT_PORT, ZooKeeperProbes};
use crate::NodeId;
use crate::clients::zookeeper::tree;
use crate::servers::probes::{Contents, MOST_CONTENTS, ProbeError};

/// The whole tree is read.
const TREE: Duration = Duration::from_secs(5);

impl ZooKeeperProbes {
    pub(super) async fn own_contents(&self, node: NodeId) -> Result<Contents, ProbeError> {
        let server = (self.address(node)?, CLIENT_PORT).into();
        match tokio::time::timeout(TREE, tree(server, MOST_CONTENTS)).await {
            Ok(Ok(Some(contents))) => Ok(contents),
            Ok(Ok(None)) => Err(ProbeError::NotOffered("there are too many nodes")),
            Ok(Err(error)) => Err(ProbeError::failed(node, &error)),
            Err(_) => Err(ProbeError::Silent { node, within: TREE }),
        }
    }
}
