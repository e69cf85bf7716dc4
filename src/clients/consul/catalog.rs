//! Nodes of the clients' own in the catalog, to which sessions belong that must not end with a server. One for each lock, so that runs
//! which share a cluster, and keep their locks in folders of their own, have nodes of their own, too.

use consulrs::api::catalog::requests::{DeregisterEntityRequest, RegisterEntityRequest};
use leasehold_workloads::op::Key;
use leasehold_workloads::service::OpError;

use super::wire::Wire;
use crate::clients::REJECTED;

/// A node has an address. Nobody is asked there for anything.
const ADDRESS: &str = "127.0.0.1";

/// The node to which the sessions belong that are made to acquire this lock. Names of nodes have no slashes.
pub(super) fn node_of(key: &str) -> String {
    format!("leasehold-{}", key.replace('/', "-"))
}

pub(super) async fn register_nodes_of(wire: &Wire, keys: &[Key]) -> Result<(), OpError> {
    for key in keys {
        let mut request = RegisterEntityRequest::builder();
        let request = request.node(node_of(key)).address(ADDRESS).build().expect("every field has a default");
        said_yes(wire.ask(request).await?.answer)?;
    }
    Ok(())
}

/// Ends with them what sessions they still have.
pub(super) async fn remove_nodes_of(wire: &Wire, keys: &[Key]) -> Result<(), OpError> {
    for key in keys {
        let mut request = DeregisterEntityRequest::builder();
        let request = request.node(node_of(key)).build().expect("every field has a default");
        said_yes(wire.ask(request).await?.answer)?;
    }
    Ok(())
}

fn said_yes(answer: bool) -> Result<(), OpError> {
    if answer { Ok(()) } else { Err(OpError::failed(REJECTED, "the catalog was not changed")) }
}
