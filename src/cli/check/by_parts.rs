//! A history judged part by part, by several machines, and put together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use leasehold_checkers::part::{Part, merge};
use leasehold_checkers::verdict::Judgement;
use serde::{Deserialize, Serialize};

use super::super::{Exit, Failure, OrExit};
use crate::digest::sha256;
use crate::results::{ResultsError, write_atomically};
use crate::suite::Shard;

/// What one part says, and of what. It stands in a file of its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartFile {
    part: Shard,
    /// The SHA-256 of the history.
    history: String,
    /// The version of this program, and the model with its settings where there is one.
    judged_by: String,
    judgement: Judgement,
}

impl PartFile {
    pub(super) fn new(part: Shard, history: &Path, how: &str, judgement: Judgement) -> Result<Self, Failure> {
        let judged_by = format!("leasehold {}{how}", env!("CARGO_PKG_VERSION"));
        Ok(Self { part, history: sha256(history).or_exit(Exit::BadInput)?, judged_by, judgement })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).or_exit(Exit::Internal)?;
        write_atomically(path, text.as_bytes())
            .map_err(|source| ResultsError::Write { path: path.to_owned(), source })
            .or_exit(Exit::Unavailable)
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let wrong =
            |why: String| Failure::new(Exit::BadInput, format!("{} is no part of a verdict: {why}", path.display()));
        let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
    }
}

/// The keys that are a part's.
pub(super) fn keys(part: Shard) -> Part {
    Part::new(part.number, part.of).expect("a shard is one of so many")
}

/// The verdict on a history of which each of these files judges a part: all of them, and each once.
pub(super) fn merged(files: &[PathBuf]) -> Result<Judgement, Failure> {
    let parts = files.iter().map(|path| PartFile::read(path)).collect::<Result<Vec<_>, _>>()?;
    let no_whole = |why: String| Err(Failure::new(Exit::BadInput, format!("these parts make no whole: {why}")));
    let Some(first) = parts.first() else { return no_whole("there are none".to_owned()) };
    let mut places: BTreeMap<usize, &Path> = BTreeMap::new();
    for (part, path) in parts.iter().zip(files) {
        if part.history != first.history {
            return no_whole(format!("{} is about another history than {}", path.display(), files[0].display()));
        }
        if part.part.of != first.part.of || part.judged_by != first.judged_by {
            let (this, that) = (path.display(), files[0].display());
            return no_whole(format!(
                "{this} is part {} by {}, and {that} part {} by {}",
                part.part, part.judged_by, first.part, first.judged_by
            ));
        }
        if let Some(other) = places.insert(part.part.number, path) {
            return no_whole(format!("{} and {} are both part {}", other.display(), path.display(), part.part));
        }
    }
    if let Some(missing) = (1..=first.part.of).find(|number| !places.contains_key(number)) {
        return no_whole(format!("part {missing}/{} is missing", first.part.of));
    }
    Ok(merge(&parts.into_iter().map(|part| part.judgement).collect::<Vec<_>>()))
}
