//! How long leases lived against what was promised, in words.

use super::prose::{Prose, sentence};
use crate::report::story::{End, Story};
use crate::report::words::{counted, span};

pub(super) fn of(story: &Story<'_>) -> Vec<Prose> {
    let (mut early, mut late) = (Vec::new(), Vec::new());
    let (mut released, mut unseen) = (0, 0);
    for hold in &story.holds {
        match hold.end {
            End::Gone(at, _) if at < hold.promised => early.push(hold.promised.0 - at.0),
            End::Gone(at, _) => late.push(at.0 - hold.promised.0),
            End::Released(_) => released += 1,
            End::Unseen => unseen += 1,
        }
    }
    let mut lines = Vec::new();
    if !early.is_empty() {
        lines.push(format!(
            "{} seen to be gone before the promised end: by {} in the middle, by {} at most",
            counted(early.len(), "lease was", "leases were"),
            middle(&mut early),
            most(&early),
        ));
    }
    if !late.is_empty() {
        lines.push(format!(
            "{} first seen to be gone after the promised end: {} later in the middle, {} at most",
            counted(late.len(), "lease was", "leases were"),
            middle(&mut late),
            most(&late),
        ));
    }
    if released > 0 {
        lines.push(format!("{} in time", counted(released, "lock was given back", "locks were given back")));
    }
    if unseen > 0 {
        lines.push(format!("the end of {} was not seen", counted(unseen, "lease", "leases")));
    }
    if story.holds.is_empty() {
        lines.push("no lease was granted".to_owned());
    }
    lines.iter().map(|line| sentence(line)).collect()
}

fn middle(lengths: &mut [u64]) -> String {
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).map_or_else(String::new, |ns| span(*ns))
}

fn most(lengths: &[u64]) -> String {
    lengths.iter().max().map_or_else(String::new, |ns| span(*ns))
}
