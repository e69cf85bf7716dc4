//! Watching the locks, through a session that holds none.

use std::collections::BTreeMap;

use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Change, ChangeKind, OnChange, OpError};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::session::{Route, Session};
use super::{LONGEST_SESSION, Recipe, nodes, paths, queue};

/// Changes that wait to be told.
const WAITING: usize = 64;

/// Tells of each hold that ends until nobody listens or the connection ends. Why a node is gone the service does not tell.
///
/// A watch tells only once that something changed. What changed meanwhile shows in the next look, for no two acquisitions have one name;
/// of one that came and went between two looks nothing is told.
pub(super) async fn watch(route: Route, recipe: Recipe, keys: &[Key], mut on_change: OnChange) -> Result<(), OpError> {
    let session = Session::open(route, LONGEST_SESSION).await?;
    session.keep_alive_by_itself(true);
    let (tell, mut changes) = mpsc::channel(WAITING);
    let watches = keys.iter().map(|key| {
        let (session, tell) = (&session, tell.clone());
        async move {
            match recipe {
                Recipe::Create => watch_lock(session, key, &tell).await,
                Recipe::Queue | Recipe::Library | Recipe::Semaphore { .. } => watch_queue(session, key, &tell).await,
            }
        }
    });
    let listen = async {
        while let Some(change) = changes.recv().await {
            if !on_change(change) {
                break;
            }
        }
    };
    tokio::select! {
        broken = futures_util::future::try_join_all(watches) => broken.map(drop).map_err(Failure::judged),
        () = listen => Ok(()),
    }
}

async fn watch_lock(session: &Session, key: &Key, tell: &mpsc::Sender<Change>) -> Result<(), Failure> {
    let path = paths::lock(key);
    let mut known: Option<String> = None;
    loop {
        let (stat, watcher) = session.ask(|client| client.check_and_watch_stat(&path)).await?;
        let found = if stat.is_some() { nodes::text(session, &path).await? } else { None };
        if known != found
            && let Some(owner) = known
        {
            tell_of(tell, key, owner).await;
        }
        known = found;
        session.changed(watcher).await?;
    }
}

async fn watch_queue(session: &Session, key: &Key, tell: &mpsc::Sender<Change>) -> Result<(), Failure> {
    let folder = paths::queue(key);
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let (waiters, watcher) = session.ask(|client| client.list_and_watch_children(&folder)).await?;
        let (stay, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            known.into_iter().partition(|(waiter, _)| waiters.contains(waiter));
        for owner in gone.into_values() {
            tell_of(tell, key, owner).await;
        }
        known = stay;
        let new: Vec<String> = waiters.into_iter().filter(|waiter| !known.contains_key(waiter)).collect();
        known.extend(queue::owners(session, &folder, &new).await?);
        session.changed(watcher).await?;
    }
}

async fn tell_of(tell: &mpsc::Sender<Change>, key: &Key, owner: String) {
    // Nobody listens any more: then the watch is about to end.
    let _ = tell.send(Change { key: key.clone(), owner, kind: ChangeKind::Deleted }).await;
}
