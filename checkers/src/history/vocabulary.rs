//! What stands in an event's `f` and `value`.
//!
//! | process | `f` | `value` of the invocation | `value` of the completion |
//! |---|---|---|---|
//! | client | `acquire` | [`AcquireValue`]: owner, TTL asked for | `ok`: owner, TTL granted, token, lease; `fail` with code `held`: [`HeldValue`], who holds it instead |
//! | client | `renew`, `release` | [`OwnerValue`] | `ok`: [`OwnerValue`], a renewal with the TTL granted |
//! | client | `read` | [`ReadValue`] with no owner | `ok`: who holds the lock, `null` for nobody |
//! | client | `read`, `local-read`, `write`, `cas` of a register | –, –, the value, `[old, new]` | `ok`: the value that was read, `null` for none, or that of the invocation |
//! | client | `work` | [`WorkValue`] | `ok`: [`WorkValue`] with the version that was read or written; `fail` with code `fenced`: a greater token was there before |
//! | nemesis | the package: `clock`, `pause`, … | [`FaultValue`] | [`FaultValue`] with the proof of effect: `ok` if it bit, `info` if it did not |
//! | probe | `leader` | – | [`LeaderValue`], as `node` sees it |
//! | probe | `health` | – | [`HealthValue`], as `node` claims |
//! | probe | `process` | – | [`ProcessValue`], only while the process of `node` runs, by the word of the harness that started it |
//! | probe | `clock` | – | [`ClockValue`], measured on `node` |
//! | probe | `monotonic-clock` | – | [`ClockValue`], by how much the monotonic clock of `node`'s process is ahead since that was started; only while a fault moves such clocks |
//! | probe | `host-clock` | – | [`ClockValue`], how far the machine's own wall clock has moved since the start of the run |
//! | probe | `network` | – | [`NetworkValue`], what became of the packets of each link so far |
//! | watch | `expired`, `released`, `deleted` | – | [`OwnerValue`] of the holder that is no more; `deleted` where the service does not tell why |
//!
//! An owner is a name that is used for one acquisition only. A probe that got no answer is an event of type `info`
//! with an `error`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The names of the operations and events.
pub mod f {
    /// Take a lock, or a lease with a key on it.
    pub const ACQUIRE: &str = "acquire";
    /// Prolong it.
    pub const RENEW: &str = "renew";
    /// Give it back.
    pub const RELEASE: &str = "release";
    /// Ask who holds it; or what a register has, where the answer must be current.
    pub const READ: &str = "read";
    /// Ask what a register has, where the answer may be old: no promise is tested by it.
    pub const LOCAL_READ: &str = "local-read";
    /// Give a register a value.
    pub const WRITE: &str = "write";
    /// Give it a value if it has another.
    pub const CAS: &str = "cas";
    /// Do a piece of what a lock guards.
    pub const WORK: &str = "work";
    /// A probe of who leads.
    pub const LEADER: &str = "leader";
    /// A probe of what a server says of its own health.
    pub const HEALTH: &str = "health";
    /// A probe of whether a server's process runs.
    pub const PROCESS: &str = "process";
    /// A probe of a server's wall clock; also the nemesis package that moves it. Whatever else moves clocks, and does
    /// nothing else, has a name that begins with this and a dash.
    pub const CLOCK: &str = "clock";
    /// The nemesis package that kills servers.
    pub const KILL: &str = "kill";
    /// The nemesis package that sends malformed packets.
    pub const PACKET: &str = "packet";
    /// The nemesis package that has clocks run too fast or too slow.
    pub const CLOCK_DRIFT: &str = "clock-drift";
    /// The nemesis package that takes a snapshot of the service's state when it begins, and restores it when it is healed.
    pub const SNAPSHOT: &str = "snapshot";
    /// A probe of a server's monotonic clock, where a fault moves it.
    pub const MONOTONIC_CLOCK: &str = "monotonic-clock";
    /// A probe of the machine's own wall clock, which must not be moved while servers count TTLs by it.
    pub const HOST_CLOCK: &str = "host-clock";
    /// A reading of what became of the packets of each link.
    pub const NETWORK: &str = "network";
    /// A watch saw a lease run out.
    pub const EXPIRED: &str = "expired";
    /// A watch saw a holder let go.
    pub const RELEASED: &str = "released";
    /// A watch saw a holder's key vanish, and the service does not tell why.
    pub const DELETED: &str = "deleted";
}

/// The error codes that are observations: the operation ran at the server and saw the opposite of what it wanted.
pub mod code {
    /// An acquisition found the lock taken.
    pub const HELD: &str = "held";
    /// A renewal or release found the lock in other hands, or free.
    pub const NOT_HELD: &str = "not-held";
    /// A renewal or release found its lease gone.
    pub const EXPIRED: &str = "expired";
    /// A compare-and-swap found another value.
    pub const MISMATCH: &str = "mismatch";
    /// A guarded store had seen a greater fencing token.
    pub const FENCED: &str = "fenced";

    /// No connection came about. This and the following are no observations.
    pub const REFUSED: &str = "refused";
    /// A connection, but no session or lease in which anything could have been asked.
    pub const NO_SESSION: &str = "no-session";

    /// Whether a code only says that no answer came: of a `fail`, that the request certainly did not take effect all the same.
    #[must_use]
    pub fn is_silence(code: &str) -> bool {
        [REFUSED, NO_SESSION, "timeout", "broken"].contains(&code)
    }
}

/// The value of an acquisition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquireValue {
    /// A name used for this acquisition only.
    pub owner: String,
    /// The TTL asked for (`invoke`) or granted (`ok`), in milliseconds.
    pub ttl_ms: u64,
    /// The fencing token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// The lease that carries the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<i64>,
    /// Whether the acquisition waits until the lock is free.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocking: bool,
}

/// The value of an acquisition that found the lock taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldValue {
    /// The owner that wanted it.
    pub owner: String,
    /// The owner that had it, where the service told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

/// The value of a renewal, a release, or a watched change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerValue {
    /// The owner given at the acquisition.
    pub owner: String,
    /// The TTL granted by a renewal, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// The value of a read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadValue {
    /// Whether the service promises that this read sees every write that ended before it began.
    pub linearizable: bool,
    /// Who holds the lock; `None` for nobody.
    #[serde(default)]
    pub owner: Option<String>,
}

/// What a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// A run of the job begins.
    Begin,
    /// It reads what it means to change.
    Read,
    /// It writes.
    Write,
    /// It is done.
    End,
}

/// Who sees to it that only the holder of the lock does a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Nobody. The harness's own ledger takes whatever it is given.
    None,
    /// The harness's own ledger, which takes nothing that comes with a smaller fencing token than it has seen.
    Token,
    /// The service, which does it in one transaction with the condition that the hold still stands.
    Service,
}

/// The value of a piece of work.
///
/// The ledger of [`Guard::None`] and [`Guard::Token`] is in the harness: it takes one piece at a time, and the completions in the
/// record stand in the order in which it took them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkValue {
    /// The owner of the hold under which the work is done.
    pub owner: String,
    /// What is done.
    pub piece: Piece,
    /// Who guards it.
    pub guard: Guard,
    /// The fencing token of the hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// Of a write: the version that its writer had read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// The version that was read, or that a write made. Each write makes the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// What the nemesis does at an event: the beginning or the end of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultPhase {
    /// The fault begins.
    Inject,
    /// It is taken back.
    Heal,
}

/// The value of a nemesis event. A fault is active from the invocation of its `inject` to the completion of its `heal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultValue {
    /// The number of the fault in the run's schedule. Inject and heal of one fault share it.
    pub fault: u64,
    /// Beginning or end.
    pub phase: FaultPhase,
    /// The role it aims at, for example `leader`.
    pub target: String,
    /// The nodes it hit.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// The clients it hit, by the processes that they were when it began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<u64>,
    /// The condition that it waited for, for example `before expiry by 200 ms`; `None` where its time was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// When it was to begin: nanoseconds after the schedule began to count, which is when the workers start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_ns: Option<u64>,
    /// How much later than that it began, in nanoseconds: finding out who plays the role of its target takes time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ns: Option<u64>,
    /// What it does, in a few plain words, for example `clock +9 s`.
    pub what: String,
    /// What shows that it took effect; `null` at the invocation.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub proof: Value,
}

impl FaultValue {
    /// What it hit, in words: nodes by their names, clients as processes.
    pub fn hit(&self) -> impl Iterator<Item = String> {
        let clients = self.clients.iter().map(|process| format!("process {process}"));
        self.nodes.iter().cloned().chain(clients)
    }
}

/// Who leads, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderValue {
    /// The leader, for example `n2`; `None` where the node knows none.
    #[serde(default)]
    pub leader: Option<String>,
    /// The term or epoch; a greater one means that there was an election.
    pub term: u64,
}

/// What a node says of its own health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthValue {
    /// Its claim.
    pub healthy: bool,
}

/// That a node's process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessValue {
    /// Since when, in milliseconds.
    pub up_ms: u64,
}

/// How far a clock of a node is from the harness's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockValue {
    /// The offset in nanoseconds; positive where the node's clock is ahead.
    pub offset_ns: i64,
    /// The offset is right to plus or minus this many nanoseconds: half the round trip of the question.
    pub uncertainty_ns: u64,
}

/// What became of the packets of each link since the network was built. A link is named where its numbers have changed since the
/// last reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkValue {
    /// The links.
    pub links: Vec<LinkValue>,
}

/// What became of the packets that one end sent to another. Numbers that are zero are left out of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkValue {
    /// Who sent: a node, `clients`, or `harness` for its probes and watches.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sent: u64,
    /// Delivered, copies included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivered: u64,
    /// The bytes of those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivered_bytes: u64,
    /// Dropped by a cut, at a closed port, or because too many were held back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Lost, by the share that a fault asks for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Held back for some time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delayed: u64,
    /// Sent on a second time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicated: u64,
    /// Delivered after one that was sent later.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reordered: u64,
    /// Changed on the way, whether their checksum tells or not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub corrupted: u64,
    /// Not delivered because the receiver's kernel had no room: no fault of the run's, but a weakness of the machine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u64,
}

/// Serde hands a reference.
fn is_zero(number: &u64) -> bool {
    *number == 0
}
