//! Malformed packets, and what stopped after them.

use std::collections::BTreeMap;

use leasehold_checkers::checks::lockup::classes::Class;
use leasehold_checkers::history::vocabulary::{FaultPhase, FaultValue, HealthValue, f};
use leasehold_checkers::history::{Action, EventType, Op, Process, RunTime};
use leasehold_checkers::verdict::{AnomalyKind, Signature};
use serde_json::Value;

use super::{Effect, Fault, Story};
use crate::packets::WHOLE_PROCESS;
use crate::report::words::{counted, instant, list, one_line, span};

/// A longer packet is no packet of ours.
const FIELDS_MAX: usize = 200;
/// A history with more servers than this is no cluster's.
const NODES_MAX: usize = 9;
/// What else was done is told so often.
const SPANS_MAX: usize = 4;

/// A packet that was sent, and what became of the servers.
#[derive(Debug)]
pub(in crate::report) struct Poison {
    /// What was sent, and to whom.
    pub what: String,
    /// The packet, field by field.
    pub fields: Vec<PacketField>,
    /// What came back, from whom.
    pub answers: Vec<String>,
    /// Which threads were gone after it, of which server.
    pub gone: Vec<String>,
    /// What the servers' logs say of it.
    pub log: Vec<String>,
    /// What was tried on the servers afterwards and did not bring them back, and why.
    pub no_cures: Vec<String>,
    /// What was served before the packet, and what after it until something was done about it.
    pub spans: Vec<Served>,
    /// What became of the locks that were held.
    pub locks: Vec<String>,
}

impl Poison {
    /// Whether the packet can be read at one glance.
    pub(in crate::report) fn is_short(&self) -> bool {
        const FIELDS: usize = 16;
        self.fields.len() <= FIELDS
    }
}

/// Some bytes of a packet.
#[derive(Debug)]
pub(in crate::report) struct PacketField {
    /// In hexadecimal digits, each two together.
    pub bytes: String,
    /// Their name.
    pub name: String,
    /// What they say.
    pub says: String,
}

/// What was served in some time, server by server.
#[derive(Debug)]
pub(in crate::report) struct Served {
    /// Which time it is.
    pub when: String,
    /// From when until when.
    pub from: RunTime,
    /// See `from`.
    pub until: RunTime,
    /// One row for each server.
    pub rows: Vec<ServedRow>,
}

/// What one server served.
#[derive(Debug)]
pub(in crate::report) struct ServedRow {
    /// The server.
    pub node: String,
    /// Of each class of [`Class::ALL`], how many requests were answered of how many.
    pub classes: Vec<Count>,
    /// How often it said that it was well, of how often it was asked.
    pub well: Count,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Count {
    /// The good ones.
    pub good: usize,
    /// All of them.
    pub all: usize,
}

impl Count {
    fn take(&mut self, good: bool) {
        self.good += usize::from(good);
        self.all += 1;
    }

    /// `3 of 4`, or a dash where there was none.
    pub(in crate::report) fn in_words(self) -> String {
        if self.all == 0 { "–".to_owned() } else { format!("{} of {}", self.good, self.all) }
    }

    /// Whether it was all, some or nothing.
    pub(in crate::report) fn share(self) -> &'static str {
        match self {
            Self { all: 0, .. } => "untried",
            Self { good: 0, .. } => "silent",
            Self { good, all } if good == all => "served",
            Self { .. } => "partly",
        }
    }
}

/// What became of the first packet of a run, if any was sent. Later ones are in the list of faults like all others.
pub(super) fn of(story: &Story<'_>) -> Option<Poison> {
    let packet = story.faults.iter().find(|fault| fault.package == f::PACKET)?;
    let Effect::Bit(proof) = &packet.effect else { return None };
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default(), 120);
    let fields = proof["packet"].as_array().map_or(&[][..], Vec::as_slice).iter().take(FIELDS_MAX);
    let sent = proof["sent"].as_object().into_iter().flatten().take(NODES_MAX);
    let answers = sent.map(|(node, told)| {
        let bytes = told["sent_bytes"].as_u64().unwrap_or(0);
        // Nobody is called in its own name.
        let instead = told["instead_of"].as_str().map(|aimed| format!(" in the place of {}", one_line(aimed, 12)));
        let instead = instead.unwrap_or_default();
        format!("{}, which was sent {bytes} bytes{instead}: {}", one_line(node, 12), text(&told["answer"]))
    });
    Some(Poison {
        what: packet.what_and_where(),
        fields: fields
            .map(|field| PacketField {
                bytes: pairs(&text(&field["bytes"])),
                name: text(&field["name"]),
                says: text(&field["says"]),
            })
            .collect(),
        answers: answers.collect(),
        gone: by_node(&proof["threads_gone"]),
        log: by_node(&proof["log"]),
        no_cures: no_cures(story, packet.from),
        spans: spans(story, packet),
        locks: locks(story, packet.from),
    })
}

/// What could not be taken back after the packet, and why.
fn no_cures(story: &Story<'_>, since: RunTime) -> Vec<String> {
    const MOST: usize = 5;
    let events = story.history.events.iter().filter(|event| event.process == Process::Nemesis && event.time > since);
    let failed = events.filter_map(|event| {
        let (value, error) = (event.value.read::<FaultValue>().ok()?, event.error.as_ref()?);
        let hit: Vec<String> = value.nodes.iter().take(NODES_MAX).map(|node| one_line(node, 12)).collect();
        let is_healing = value.phase == FaultPhase::Heal;
        is_healing.then(|| format!("{} of {}: {}", one_line(&value.what, 60), list(&hit), one_line(&error.text, 200)))
    });
    failed.take(MOST).collect()
}

/// The servers whose processes ended of the first packet of a run.
pub(super) fn ended(story: &Story<'_>) -> Vec<String> {
    let packet = story.faults.iter().find(|fault| fault.package == f::PACKET);
    let Some(Effect::Bit(proof)) = packet.map(|packet| &packet.effect) else { return Vec::new() };
    let has_ended = |words: &Value| words[0].as_str().is_some_and(|word| word.starts_with(WHOLE_PROCESS));
    let gone = proof["threads_gone"].as_object().into_iter().flatten().take(NODES_MAX);
    gone.filter(|(_, words)| has_ended(words)).map(|(node, _)| one_line(node, 12)).collect()
}

/// Which leases outlived their time, when the last of them was free again, and whether anything was given twice.
fn locks(story: &Story<'_>, since: RunTime) -> Vec<String> {
    const MOST: usize = 5;
    let zombies = story.judgement.anomalies.iter().filter(|anomaly| anomaly.signature == Some(Signature::ZombieLease));
    let proven = zombies.map(|zombie| (zombie.key.as_str(), zombie.margin_ns, RunTime(zombie.at_ns)));
    let mut late: BTreeMap<&str, (u64, RunTime)> = BTreeMap::new();
    for (key, ns, at) in proven.chain(lingering(story, since)) {
        let worst = late.entry(key).or_default();
        *worst = (ns, at).max(*worst);
    }
    let mut lines: Vec<String> = late
        .iter()
        .take(MOST)
        .map(|(key, (ns, at))| {
            let given = story.holds.iter().find(|hold| hold.key == **key && hold.from > *at);
            let is_free = |op: &&Op| {
                op.key == **key && op.invoked > *at && matches!(op.action, Action::Read { seen: Some(None), .. })
            };
            let then = match (given, story.ops.iter().find(is_free)) {
                (Some(hold), _) => format!("it was given to process {} at {}", hold.process, instant(hold.from)),
                (None, Some(read)) => format!("it was seen to be free at {}", instant(read.ended.unwrap_or(story.end))),
                (None, None) => "it was never seen to be free again".to_owned(),
            };
            format!("`{}` was still there {} after its lease was over; {then}", one_line(key, 40), span(*ns))
        })
        .collect();
    let twice = story.proven().filter(|anomaly| anomaly.kind == AnomalyKind::DoubleAcquisition).count();
    lines.push(match twice {
        0 => "no lock was given to two clients at once".to_owned(),
        _ => format!("{} a lock was given to two clients at once", counted(twice, "time", "times")),
    });
    lines
}

/// The locks that a server still showed in the hands of somebody whose lease was over, by that server's own word alone; for how
/// long it had been over, and when that was.
fn lingering<'s>(story: &'s Story<'_>, since: RunTime) -> Vec<(&'s str, u64, RunTime)> {
    // A session ends a little late on a healthy server, too.
    const WORTH_A_WORD_NS: u64 = 5_000_000_000;
    let mut known: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut found = Vec::new();
    for op in &story.ops {
        let ended = op.ended.unwrap_or(story.end).0;
        match &op.action {
            Action::Acquire { owner, granted: Some(granted), .. } => {
                known.insert(owner, (ended, granted.ttl_ms.saturating_mul(1_000_000)));
            }
            // One without an answer may have been heard.
            Action::Renew { owner, .. } => {
                if let Some((last, _)) = known.get_mut(owner.as_str()) {
                    *last = ended.max(*last);
                }
            }
            Action::Read { linearizable: false, seen: Some(Some(owner)) } if op.invoked > since => {
                let late =
                    known.get(owner.as_str()).map(|(last, ttl)| op.invoked.0.saturating_sub(last.saturating_add(*ttl)));
                found.extend(
                    late.filter(|late| *late > WORTH_A_WORD_NS).map(|late| (op.key.as_str(), late, op.invoked)),
                );
            }
            _ => {}
        }
    }
    found
}

/// `n3: this and that` for each server.
fn by_node(value: &Value) -> Vec<String> {
    const MOST: usize = 5;
    let line = |(node, words): (&String, &Value)| {
        let words: Vec<String> =
            words.as_array()?.iter().take(MOST).map(|word| one_line(word.as_str().unwrap_or_default(), 200)).collect();
        Some(format!("{}: {}", one_line(node, 12), list(&words)))
    };
    value.as_object().into_iter().flatten().take(NODES_MAX).filter_map(line).collect()
}

/// Hexadecimal digits two by two.
fn pairs(digits: &str) -> String {
    let digits: Vec<char> = digits.chars().collect();
    digits.chunks(2).map(|pair| pair.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// Before the packet, after it until something else was done, during that, and after the last of it.
fn spans(story: &Story<'_>, packet: &Fault) -> Vec<Served> {
    let others = || story.faults.iter().filter(|fault| fault.package != f::PACKET && !fault.missed());
    let first_cure = others().map(|fault| fault.from).filter(|from| *from > packet.from).min();
    let healed = others().map(|fault| fault.until).filter(|until| *until > packet.from).max();
    let mut spans = vec![
        served(story, "before the packet".to_owned(), RunTime(0), packet.from),
        served(story, "after it".to_owned(), packet.from, first_cure.unwrap_or(story.end)),
    ];
    // What a latent packet does is seen while the leader is dead.
    let later = others().filter(|fault| fault.from > packet.from).take(SPANS_MAX);
    spans.extend(
        later.map(|fault| served(story, format!("during {}", fault.what_and_where()), fault.from, fault.until)),
    );
    if let (Some(_), Some(healed)) = (first_cure, healed) {
        spans.push(served(story, "after the last fault".to_owned(), healed, story.end));
    }
    // Where the last was never healed, nothing comes after it.
    spans.retain(|span| span.from < span.until);
    spans
}

/// What was asked for in a time, and answered before it was over.
fn served(story: &Story<'_>, when: String, from: RunTime, until: RunTime) -> Served {
    let mut rows: BTreeMap<String, ServedRow> = BTreeMap::new();
    let new = |node: &str| ServedRow {
        node: one_line(node, 12),
        classes: vec![Count::default(); Class::ALL.len()],
        well: Count::default(),
    };
    let is_within = |at: RunTime| from <= at && at < until;
    for op in story.ops.iter().filter(|op| is_within(op.invoked)) {
        let Some(node) = op.node.as_deref() else { continue };
        let row = rows.entry(node.to_owned()).or_insert_with(|| new(node));
        for (class, served) in Class::of(op) {
            let place = Class::ALL.iter().position(|known| *known == class).expect("it is one of them");
            row.classes[place].take(served && !is_late(op, until));
        }
    }
    let is_claim = |event: &&_| {
        let event: &leasehold_checkers::history::Event = event;
        event.process == Process::Probe && event.f == f::HEALTH && is_within(event.time)
    };
    for event in story.history.events.iter().filter(is_claim) {
        let Some(node) = event.node.as_deref() else { continue };
        let row = rows.entry(node.to_owned()).or_insert_with(|| new(node));
        row.well
            .take(event.kind == EventType::Ok && event.value.read::<HealthValue>().is_ok_and(|claim| claim.healthy));
    }
    Served { when, from, until, rows: rows.into_values().take(NODES_MAX).collect() }
}

/// What is answered after the time is over says nothing of it.
fn is_late(op: &Op, until: RunTime) -> bool {
    op.ended.is_none_or(|ended| ended > until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_well() {
        let count = |good, all| Count { good, all };
        let told = [count(0, 0), count(0, 3), count(1, 3), count(3, 3)].map(|count| (count.in_words(), count.share()));
        let expected = [("–", "untried"), ("0 of 3", "silent"), ("1 of 3", "partly"), ("3 of 3", "served")];
        assert_eq!(told, expected.map(|(words, share)| (words.to_owned(), share)));
        assert_eq!(pairs("0000000c7"), "00 00 00 0c 7");
    }

    #[test]
    fn a_proof_of_another_shape_says_nothing() {
        for hostile in
            [Value::Null, serde_json::json!([1]), serde_json::json!({"n1": 3}), serde_json::json!({"n1": [{}]})]
        {
            assert!(by_node(&hostile).iter().all(|line| line == "n1: "), "{hostile}");
        }
    }
}
