//! The whole tree, as the server at hand has it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures_util::future::join_all;
use leasehold_workloads::service::OpError;
use zookeeper_client::{Error, Stat};

use super::failure::Failure;
use super::session::{Route, Session};
use super::{LONGEST_SESSION, nodes};
use crate::clients::Credentials;

/// So many nodes are asked for at once.
const AT_ONCE: usize = 64;

/// Each server writes its configuration there by itself.
const OF_THE_SERVER: &str = "/zookeeper";

/// All nodes but the server's own, each told in one line; `None` if they are more than so many. It is read in a session with that server,
/// which answers from its own copy, node by node: what vanishes meanwhile is left out.
///
/// # Errors
/// If there is no session, or an answer does not come.
pub(crate) async fn tree(server: SocketAddr, most: usize) -> Result<Option<BTreeSet<String>>, OpError> {
    let route = Route { server, source: None, credentials: Credentials::None, home: "".into() };
    let session = Session::open(route, LONGEST_SESSION).await?;
    let tree = read(&session, most).await.map_err(Failure::judged);
    session.close().await;
    tree
}

async fn read(session: &Session, most: usize) -> Result<Option<BTreeSet<String>>, Failure> {
    let mut tree = BTreeSet::new();
    let mut open = vec!["/".to_owned()];
    while !open.is_empty() {
        let some = open.split_off(open.len().saturating_sub(AT_ONCE));
        let answers = join_all(some.iter().map(|path| node(session, path))).await;
        for (path, answer) in some.iter().zip(answers) {
            let Some((line, children)) = answer? else { continue };
            tree.insert(line);
            let parent = path.trim_end_matches('/');
            let children = children.into_iter().map(|child| format!("{parent}/{child}"));
            open.extend(children.filter(|path| path != OF_THE_SERVER));
        }
        if tree.len() + open.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(tree))
}

/// A node in one line, and its children; `None` where it is gone.
async fn node(session: &Session, path: &str) -> Result<Option<(String, Vec<String>)>, Failure> {
    let read = async {
        let Some((data, stat)) = nodes::read(session, path).await? else { return Ok(None) };
        let (children, _) = session.ask(|client| client.get_children(path)).await?;
        Ok(Some((told(path, &data, &stat), children)))
    };
    match read.await {
        Err(Failure::Answered(Error::NoNode)) => Ok(None),
        // Its rights forbid it to everybody, or its name is one that the client library refuses: that of all servers alike.
        Err(Failure::Answered(Error::NoAuth | Error::BadArguments(_))) => {
            Ok(Some((format!("node {}, which cannot be read", path.escape_debug()), Vec::new())))
        }
        answer => answer,
    }
}

/// What transactions say of a node. How often its children changed, and when they last did, is left out: that is counted by each server,
/// and after a snapshot not always alike (ZooKeeper issue 3249).
fn told(path: &str, data: &[u8], stat: &Stat) -> String {
    format!(
        "node {} = {}, created at {:x}, changed at {:x}, version {}, rights {}, session {:x}",
        path.escape_debug(),
        data.escape_ascii(),
        stat.czxid,
        stat.mzxid,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner
    )
}
