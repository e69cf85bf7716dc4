//! Reading and writing nodes that belong to no session.

use zookeeper_client::{CreateMode, Error, MultiWriteError, Stat};

use super::failure::Failure;
use super::paths;
use super::session::Session;

/// Makes sure that what is read next in this session is no older than this.
///
/// A write is agreed upon by a majority, and the server at hand has it before it answers. `sync` promises less: it is no decision of the
/// majority, and a leader that was deposed without knowing answers it as well.
pub(super) async fn catch_up(session: &Session) -> Result<(), Failure> {
    session.ask(|client| client.set_data(paths::root(), b"", None)).await.map(drop)
}

/// What a node has, as the server at hand knows it; `None` where there is none.
pub(super) async fn read(session: &Session, path: &str) -> Result<Option<(Vec<u8>, Stat)>, Failure> {
    match session.ask(|client| client.get_data(path)).await {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Answered(Error::NoNode)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The same as text.
pub(super) async fn text(session: &Session, path: &str) -> Result<Option<String>, Failure> {
    let found = read(session, path).await?;
    Ok(found.map(|(value, _)| in_words(&value)))
}

pub(super) fn in_words(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Creates a node that may be there already.
pub(super) async fn make(session: &Session, path: &str) -> Result<(), Failure> {
    let node = session.nodes(CreateMode::Persistent);
    match session.ask(|client| client.create(path, b"", &node)).await {
        Ok(_) | Err(Failure::Answered(Error::NodeExists)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Writes into one node on the condition that another is there; `false` where it is not.
pub(super) async fn write_if_there(session: &Session, path: &str, value: &[u8], there: &str) -> Result<bool, Failure> {
    const ANY_VERSION: i32 = -1;
    let written = session.ask(|client| {
        let mut writer = client.new_multi_writer();
        let worded = writer.add_check_version(there, ANY_VERSION).and_then(|()| writer.add_set_data(path, value, None));
        async move {
            worded?;
            match writer.commit().await {
                Ok(_) => Ok(true),
                Err(MultiWriteError::OperationFailed { index: 0, source: Error::NoNode }) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
    });
    written.await
}

/// Removes a node, unless others stand below it or it is not there.
pub(super) async fn remove_if_empty(session: &Session, path: &str) -> Result<(), Failure> {
    match session.ask(|client| client.delete(path, None)).await {
        Ok(()) | Err(Failure::Answered(Error::NoNode | Error::NotEmpty)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Removes a node that may be there, as it was when it was looked at.
pub(super) async fn remove(session: &Session, path: &str) -> Result<(), Failure> {
    let Some((_, stat)) = read(session, path).await? else { return Ok(()) };
    match session.ask(|client| client.delete(path, Some(stat.version))).await {
        Ok(()) | Err(Failure::Answered(Error::NoNode)) => Ok(()),
        Err(failure) => Err(failure),
    }
}
