//! What went on around an instant: the faults, and who led the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::history::vocabulary::{FaultPhase, code, f};
use crate::history::{Action, EventType, FaultEvent, LeaderView, Op, Ops, Outcome, RunTime, Surroundings, Word};

/// A fault that ended no longer ago than this is named next to an anomaly.
pub const JUST_ENDED: Duration = Duration::from_secs(10);

/// How long a probe may take to show what has happened to the leadership.
pub(crate) const JUST_SEEN: Duration = Duration::from_secs(2);

/// What a node said of its leader is taken to hold for this long.
const VIEW_LASTS: Duration = Duration::from_secs(2);

/// The faults and the leaders of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// The faults, in the order in which they began.
    pub faults: Vec<Fault>,
    /// What the nodes said of their leader, in the order of their answers.
    pub views: Vec<LeaderView>,
    /// When somebody was first seen to lead in a term, but for the first of the run.
    pub leader_changes: Vec<LeaderChange>,
    /// When the leadership was seen to move or to be vacant: each probe that showed a newer term or another leader
    /// than before, or that showed none.
    pub unsettled: Vec<RunTime>,
}

/// One fault, from its beginning to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Its number in the run's schedule.
    pub number: u64,
    /// The package: `clock`, `pause`, …
    pub package: String,
    /// What it does and where, for example `clock +9 s on n3`.
    pub what: String,
    /// The servers that it hit.
    pub nodes: Vec<String>,
    /// When its injection was begun.
    pub begun: RunTime,
    /// When its injection was done, where it was.
    pub in_place: Option<RunTime>,
    /// When its healing was begun for the first time, where it was.
    pub healing: Option<RunTime>,
    /// When it was certainly taken back, where it was.
    pub ended: Option<RunTime>,
    /// Whether the nemesis saw that it took effect.
    pub bit: bool,
}

impl Fault {
    /// Whether it may have been at work at an instant.
    #[must_use]
    pub fn is_active(&self, at: RunTime) -> bool {
        self.begun <= at && self.ended.is_none_or(|ended| at <= ended)
    }

    /// What it does and where, and that it did not bite where nothing showed that it did.
    #[must_use]
    pub fn in_words(&self) -> String {
        if self.bit { self.what.clone() } else { format!("{} (which took no effect that was seen)", self.what) }
    }

    /// Whether it is a malformed packet, which no server may stop for.
    #[must_use]
    pub fn is_packet(&self) -> bool {
        self.package == f::PACKET
    }

    /// Whether it kills fewer servers than the others can do without.
    #[must_use]
    pub fn kills_a_minority(&self, of: u8) -> bool {
        self.package == f::KILL && !self.nodes.is_empty() && self.nodes.len() * 2 < usize::from(of)
    }

    /// Whether it moves clocks and does nothing else.
    #[must_use]
    pub fn is_of_clocks(&self) -> bool {
        self.package.strip_prefix(f::CLOCK).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Whether it put back a state that had all that was acknowledged by this time. Such a state is one that the service was
    /// in since, so going back to it is no excuse for what a service owes to those that it had served by then.
    #[must_use]
    pub fn restores_what_was(&self, by: RunTime) -> bool {
        self.package == f::SNAPSHOT && by < self.begun
    }

    /// Whether it may set clocks between two instants, or while it has not certainly ended: then what they show before and
    /// after says nothing of their rate. One that has them drift sets them only when it is taken back.
    #[must_use]
    pub fn may_set_clocks(&self, from: RunTime, until: RunTime) -> bool {
        let first = if self.package == f::CLOCK_DRIFT { self.healing.or(self.ended) } else { Some(self.begun) };
        let begins_before = first.is_some_and(|first| first <= until);
        self.is_of_clocks() && begins_before && self.ended.is_none_or(|ended| from <= ended)
    }
}

/// Somebody began to lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// When it was first seen.
    pub seen: RunTime,
    /// Who leads.
    pub leader: String,
    /// In which term.
    pub term: u64,
}

impl Context {
    /// Puts together what the nemesis and the probes have on record.
    #[must_use]
    pub fn of(surroundings: &Surroundings) -> Self {
        let (leader_changes, unsettled) = leadership(&surroundings.leaders);
        Self { faults: paired(&surroundings.faults), views: surroundings.leaders.clone(), leader_changes, unsettled }
    }

    /// The faults that were active at an instant or had just ended, in words.
    #[must_use]
    pub fn faults_around(&self, at: RunTime) -> Vec<String> {
        let near = |fault: &&Fault| fault.begun <= at && fault.ended.is_none_or(|ended| at.since(ended) <= JUST_ENDED);
        self.faults.iter().filter(near).map(|fault| in_words(fault, at)).collect()
    }

    /// Who led the cluster around an instant, in words: the last view of each node, together where nodes agree.
    #[must_use]
    pub fn leaders_around(&self, at: RunTime) -> Vec<String> {
        let known = self.views.partition_point(|view| view.time <= at);
        let mut last_views: BTreeMap<&str, &LeaderView> = BTreeMap::new();
        for view in self.views[..known].iter().rev().take_while(|view| at.since(view.time) <= VIEW_LASTS) {
            last_views.entry(&view.node).or_insert(view);
        }
        let mut sayers: BTreeMap<(u64, Option<&str>), Vec<&str>> = BTreeMap::new();
        for (node, view) in last_views {
            sayers.entry((view.term, view.leader.as_deref())).or_default().push(node);
        }
        sayers
            .iter()
            .rev()
            .map(|((term, leader), nodes)| match leader {
                Some(leader) => format!("{leader} led in term {term}, said {}", nodes.join(", ")),
                None => format!("nobody led in term {term}, said {}", nodes.join(", ")),
            })
            .collect()
    }
}

fn in_words(fault: &Fault, at: RunTime) -> String {
    let what = fault.in_words();
    match fault.ended {
        Some(ended) if ended < at => format!("{what}, from {} to {ended}", fault.begun),
        _ => format!("{what}, since {}", fault.begun),
    }
}

/// Pairs the beginnings and the ends of the faults.
///
/// What is not certain is taken for the longer: a fault that was begun and not confirmed is active, one whose healing
/// was not confirmed stays active, and one that is only seen to heal was there from the start. To heal a fault again
/// changes nothing.
fn paired(events: &[FaultEvent]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut latest: BTreeMap<u64, usize> = BTreeMap::new();
    let mut never_begun = BTreeSet::new();
    for event in events {
        let begins = event.value.phase == FaultPhase::Inject;
        let number = event.value.fault;
        let known = latest.get(&number).copied();
        let is_over = |index: usize| faults[index].ended.is_some() || never_begun.contains(&index);
        let index = match known {
            Some(index) if !begins || !is_over(index) => index,
            _ => {
                faults.push(fault(event, if begins { event.time } else { RunTime::default() }));
                faults.len() - 1
            }
        };
        latest.insert(number, index);
        let fault = &mut faults[index];
        match (event.value.phase, event.kind) {
            (FaultPhase::Heal, EventType::Invoke) => fault.healing = fault.healing.or(Some(event.time)),
            (FaultPhase::Inject, EventType::Invoke) | (FaultPhase::Heal, EventType::Fail | EventType::Info) => {}
            (FaultPhase::Inject, EventType::Fail) => {
                never_begun.insert(index);
            }
            (FaultPhase::Inject, EventType::Ok | EventType::Info) => {
                fault.what = described(event);
                fault.nodes.clone_from(&event.value.nodes);
                fault.in_place = Some(event.time);
                fault.bit = event.kind == EventType::Ok;
            }
            (FaultPhase::Heal, EventType::Ok) => fault.ended = fault.ended.or(Some(event.time)),
        }
    }
    let mut index = 0..;
    faults.retain(|_| index.next().is_some_and(|index| !never_begun.contains(&index)));
    faults.sort_by_key(|fault| (fault.begun, fault.number));
    faults
}

fn fault(event: &FaultEvent, begun: RunTime) -> Fault {
    Fault {
        number: event.value.fault,
        package: event.package.to_string(),
        what: described(event),
        nodes: event.value.nodes.clone(),
        begun,
        in_place: None,
        healing: None,
        ended: None,
        bit: true,
    }
}

fn described(event: &FaultEvent) -> String {
    let hit: Vec<String> = event.value.hit().collect();
    if hit.is_empty() {
        format!("{} on {}", event.value.what, event.value.target)
    } else {
        format!("{} on {}", event.value.what, hit.join(", "))
    }
}

/// When the leadership moved, and when it was not settled.
///
/// A term only grows, so an election that no probe saw still shows in the next answer. A node that lags behind and
/// names an older term says nothing new.
fn leadership(views: &[LeaderView]) -> (Vec<LeaderChange>, Vec<RunTime>) {
    let mut changes = Vec::new();
    let mut unsettled = Vec::new();
    let mut newest: Option<(u64, Option<&str>)> = None;
    let mut led_before = false;
    for view in views {
        let leader = view.leader.as_deref();
        let is_new = newest.is_none_or(|(term, known)| view.term > term || view.term == term && known != leader);
        if let (true, Some(leader)) = (is_new, leader) {
            if led_before {
                changes.push(LeaderChange { seen: view.time, leader: leader.to_owned(), term: view.term });
            }
            led_before = true;
            newest = Some((view.term, Some(leader)));
        } else if newest.is_none_or(|(term, _)| view.term > term) {
            newest = Some((view.term, None));
        }
        if is_new || leader.is_none() {
            unsettled.push(view.time);
        }
    }
    (changes, unsettled)
}

/// The spans in which some node's probes were missing for longer than this are stalls: two beats of the harness's
/// 200 ms, and half a beat for the answer to travel.
const STALL: Duration = Duration::from_millis(500);

/// How regularly the probes of the leader were answered. Where they were not, the machine, a node or the network stood still,
/// and the cluster cannot be blamed for being late by as much. A node answers probes from its memory even where its disk stands
/// still; then the clients' requests hang, and where none is answered for longer than that it is a stall too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    by_node: BTreeMap<Word, Vec<RunTime>>,
    /// The spans in which at least one node's answers were missing, or a client's: in order and disjoint.
    stalls: Vec<(RunTime, RunTime)>,
}

impl Pulse {
    /// Takes the pulse of all nodes that ever answered, from the beginning of the record to its end, and of the requests that hung
    /// in these spans.
    #[must_use]
    pub fn of(surroundings: &Surroundings, hung: Vec<(RunTime, RunTime)>, end: RunTime) -> Self {
        let mut gaps = stalls(surroundings, end);
        gaps.extend(hung);
        Self { by_node: beats(&surroundings.leaders), stalls: union(gaps) }
    }

    /// For how long, between two instants, at least one node's answers were missing, or a client's.
    #[must_use]
    pub fn stalled(&self, from: RunTime, until: RunTime) -> Duration {
        let first = self.stalls.partition_point(|(_, end)| *end <= from);
        self.stalls[first..]
            .iter()
            .take_while(|(begin, _)| *begin < until)
            .map(|(begin, end)| until.min(*end).since(from.max(*begin)))
            .sum()
    }

    /// By when every node has answered a probe that was sent after an instant; `None` where one did not in time.
    ///
    /// A node is asked again only when it has answered, so its second answer after the instant is to a question that
    /// was asked after the first one, and so after the instant.
    #[must_use]
    pub fn all_heard_again_after(&self, at: RunTime) -> Option<RunTime> {
        let second_answer = |beats: &Vec<RunTime>| {
            let next = beats.partition_point(|beat| *beat <= at);
            beats.get(next + 1).copied().filter(|heard| heard.since(at) <= 2 * STALL)
        };
        self.by_node.values().map(second_answer).try_fold(at, |latest, heard| heard.map(|heard| heard.max(latest)))
    }
}

/// When each node told who leads.
fn beats(views: &[LeaderView]) -> BTreeMap<Word, Vec<RunTime>> {
    let mut by_node: BTreeMap<Word, Vec<RunTime>> = BTreeMap::new();
    for view in views {
        by_node.entry(view.node.clone()).or_default().push(view.time);
    }
    by_node
}

/// The spans, from the record's first event until `end`, in which a node that ever answered did not, or in which none ever did.
///
/// Nobody listened before the first event, so silence before it is none: a run that is recorded later is judged alike. (That the
/// leadership was settled before the first answer is taken for granted all the less: see [`Context::unsettled`].)
pub(crate) fn stalls(surroundings: &Surroundings, end: RunTime) -> BTreeSet<(RunTime, RunTime)> {
    let by_node = silences(surroundings, end);
    if by_node.is_empty() {
        return BTreeSet::from([(surroundings.begin.unwrap_or_default(), end)]);
    }
    by_node.into_values().flatten().collect()
}

/// The spans of each node that ever answered, from the record's first event until `end`, in which it did not.
pub(crate) fn silences(surroundings: &Surroundings, end: RunTime) -> BTreeMap<Word, Vec<(RunTime, RunTime)>> {
    let begin = surroundings.begin.unwrap_or_default();
    let silent = |beats: Vec<RunTime>| {
        let from = std::iter::once(begin).chain(beats.iter().copied());
        let until = beats.iter().copied().chain(std::iter::once(end));
        from.zip(until).filter(|(from, until)| until.since(*from) > STALL).collect()
    };
    beats(&surroundings.leaders).into_iter().map(|(node, beats)| (node, silent(beats))).collect()
}

/// The spans in which requests hung and no other showed that the cluster could agree on anything.
///
/// A renewal shows nothing, since a leader may answer it from its memory. Of requests that were long over when the oldest that is
/// under way was asked, the spans alone are kept.
#[derive(Debug, Default)]
pub(crate) struct Hangs {
    /// When each request that took long was asked and ended.
    long: Vec<(RunTime, RunTime)>,
    /// When each request ended, and was asked, that showed agreement; in the order of their ends.
    agreed: Vec<(RunTime, RunTime)>,
    settled: Vec<(RunTime, RunTime)>,
}

impl Hangs {
    /// Takes an op that has ended.
    pub(crate) fn take(&mut self, op: &Op) {
        let Some(ended) = op.ended else { return };
        if is_long(&(op.invoked, ended)) && !waits_its_turn(op) {
            self.long.push((op.invoked, ended));
        }
        if shows_agreement(op) {
            self.agreed.push((ended, op.invoked));
        }
    }

    /// The spans, with those of the ops that are still under way at the end.
    pub(crate) fn spans(&self, ops: &Ops, end: RunTime) -> Vec<(RunTime, RunTime)> {
        let open = ops.iter().filter(|op| op.ended.is_none() && !waits_its_turn(op)).map(|op| (op.invoked, end));
        let long = self.long.iter().copied().chain(open.filter(is_long)).collect();
        let mut spans = self.settled.clone();
        spans.extend(union(long).into_iter().flat_map(|span| self.within(span)));
        spans
    }

    /// What no op of those that were asked from an instant on can change is worked out, and the reasons are forgotten.
    pub(crate) fn settle(&mut self, before: RunTime) {
        let (over, open): (Vec<_>, Vec<_>) =
            union(self.long.iter().copied().collect()).into_iter().partition(|(_, until)| *until < before);
        let settled: Vec<_> = over.iter().flat_map(|span| self.within(*span)).collect();
        self.settled.extend(settled);
        let needed_from = open.first().map_or(before, |(from, _)| before.min(*from));
        self.long.retain(|(from, _)| open.iter().any(|(begin, until)| begin <= from && from <= until));
        self.agreed.retain(|(ended, _)| *ended >= needed_from);
    }

    /// How much is kept of ops that may be settled yet.
    pub(crate) fn kept(&self) -> usize {
        self.long.len() + self.agreed.len()
    }

    fn within(&self, (mut from, until): (RunTime, RunTime)) -> Vec<(RunTime, RunTime)> {
        let place = |at: RunTime| self.agreed.partition_point(|(ended, _)| *ended <= at);
        let mut agreed = self.agreed[place(from)..place(until).max(place(from))].to_vec();
        agreed.sort_unstable();
        let mut hung = Vec::new();
        for (ended, invoked) in agreed {
            hung.push((from, ended));
            from = from.max(invoked);
        }
        hung.push((from, until));
        hung.retain(is_long);
        hung
    }
}

fn is_long((from, until): &(RunTime, RunTime)) -> bool {
    until.since(*from) > STALL
}

fn waits_its_turn(op: &Op) -> bool {
    matches!(op.action, Action::Acquire { blocking: true, .. })
}

fn shows_agreement(op: &Op) -> bool {
    match op.action {
        Action::Acquire { .. } => op.outcome == Outcome::Ok || op.failed_with(code::HELD),
        Action::Read { linearizable, .. } => linearizable && op.outcome == Outcome::Ok,
        Action::Register { linearizable, .. } => linearizable && op.outcome == Outcome::Ok,
        Action::Release { .. } => op.outcome == Outcome::Ok,
        Action::Work(_) => op.outcome == Outcome::Ok && op.asks_the_service(),
        Action::Renew { .. } | Action::Other => false,
    }
}

/// Spans that touch or overlap as one, in order and disjoint.
pub(crate) fn union(sorted: BTreeSet<(RunTime, RunTime)>) -> Vec<(RunTime, RunTime)> {
    let mut union: Vec<(RunTime, RunTime)> = Vec::new();
    for (from, until) in sorted {
        match union.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => union.push((from, until)),
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{self, Script, ms, script};

    const CLOCK: script::Fault<'_> = script::Fault(1, "clock", "clock +9 s", "n3");

    fn context(script: Script) -> Context {
        Context::of(&Surroundings::of(&script.history()))
    }

    fn pulse(script: Script, end: u64) -> Pulse {
        Pulse::of(&Surroundings::of(&script.history()), Vec::new(), ms(end))
    }

    #[test]
    fn faults_are_named_while_they_last_and_for_a_while_after() {
        let context = context(script().fault(CLOCK, 1_000..1_100, Some(4_000..4_100)));
        assert_eq!(context.faults_around(ms(999)), Vec::<String>::new());
        assert_eq!(context.faults_around(ms(1_000)), ["clock +9 s on n3, since 1.000 s"]);
        assert_eq!(context.faults_around(ms(14_100)), ["clock +9 s on n3, from 1.000 s to 4.100 s"]);
        assert_eq!(context.faults_around(ms(14_101)), Vec::<String>::new());
    }

    #[test]
    fn a_fault_that_did_not_bite_is_named_as_such() {
        let context = context(script().nemesis(10, EventType::Invoke, FaultPhase::Inject, CLOCK).nemesis(
            20,
            EventType::Info,
            FaultPhase::Inject,
            CLOCK,
        ));
        assert_eq!(
            context.faults_around(ms(30)),
            ["clock +9 s on n3 (which took no effect that was seen), since 0.010 s"]
        );
    }

    #[test]
    fn what_is_not_certain_of_a_fault_is_taken_for_the_longer() {
        let spans = |script: Script| -> Vec<_> {
            context(script).faults.iter().map(|fault| (fault.begun, fault.ended)).collect()
        };
        let healed = |kind| script().fault(CLOCK, 10..20, None).nemesis(50, kind, FaultPhase::Heal, CLOCK);
        assert_eq!(spans(healed(EventType::Invoke)), [(ms(10), None)]);
        assert_eq!(spans(healed(EventType::Info)), [(ms(10), None)]);
        assert_eq!(spans(healed(EventType::Ok)), [(ms(10), Some(ms(50)))]);
        assert_eq!(spans(script().nemesis(50, EventType::Ok, FaultPhase::Heal, CLOCK)), [(ms(0), Some(ms(50)))]);
    }

    #[test]
    fn a_fault_may_be_healed_twice_and_begun_again() {
        let again = script()
            .fault(CLOCK, 10..20, Some(30..40))
            .nemesis(60, EventType::Ok, FaultPhase::Heal, CLOCK)
            .fault(CLOCK, 70..80, None);
        let spans: Vec<_> = context(again).faults.iter().map(|fault| (fault.begun, fault.ended)).collect();
        assert_eq!(spans, [(ms(10), Some(ms(40))), (ms(70), None)]);
    }

    #[test]
    fn leaders_are_told_by_those_who_see_them() {
        let context = context(
            script()
                .leader(100, "n1", Some("n1"), 4)
                .leader(2_000, "n2", Some("n3"), 5)
                .leader(2_010, "n3", Some("n3"), 5)
                .leader(2_020, "n1", None, 4),
        );
        assert_eq!(context.leaders_around(ms(100)), ["n1 led in term 4, said n1"]);
        assert_eq!(
            context.leaders_around(ms(2_100)),
            ["n3 led in term 5, said n2, n3", "nobody led in term 4, said n1"]
        );
        assert_eq!(context.leaders_around(ms(9_000)), Vec::<String>::new());
        assert_eq!(context.leader_changes.len(), 1);
    }

    #[test]
    fn an_election_unsettles_until_its_leader_is_known() {
        let context = context(
            script()
                .leader(100, "n1", Some("n1"), 4)
                .leader(200, "n2", Some("n1"), 4)
                .leader(300, "n2", None, 5)
                .leader(400, "n1", Some("n1"), 4)
                .leader(500, "n2", Some("n2"), 5)
                .leader(600, "n1", Some("n2"), 5),
        );
        assert_eq!(context.unsettled, [ms(100), ms(300), ms(500)]);
        assert_eq!(context.leader_changes, [LeaderChange { seen: ms(500), leader: "n2".to_owned(), term: 5 }]);
    }

    #[test]
    fn stalls_are_what_any_node_missed() {
        let pulse = pulse(
            script().steady(0..1_001, "n1", 4).leader(1_200, "n1", Some("n1"), 4).steady(2_000..3_001, "n1", 4),
            3_100,
        );
        assert_eq!(pulse.stalled(ms(0), ms(3_100)), Duration::from_millis(1_000));
        assert_eq!(pulse.stalled(ms(1_500), ms(1_600)), Duration::from_millis(100));
        assert_eq!(pulse.stalled(ms(2_000), ms(3_000)), Duration::ZERO);
        let without_probes = Pulse::of(&Surroundings::default(), Vec::new(), ms(500));
        assert_eq!(without_probes.stalled(ms(100), ms(500)), Duration::from_millis(400));
    }

    #[test]
    fn nothing_stalls_before_the_record_begins() {
        let first_op = |at: u64| pulse(script().read(1, at..at + 10, None).steady(5_000..6_001, "n1", 4), 6_100);
        assert_eq!(first_op(4_000).stalled(ms(0), ms(6_100)), Duration::from_millis(1_000));
        assert_eq!(first_op(4_500).stalled(ms(0), ms(6_100)), Duration::ZERO);
        let without_probes = pulse(script().read(1, 4_000..4_010, None), 4_010);
        assert_eq!(without_probes.stalled(ms(0), ms(4_010)), Duration::from_millis(10));
    }

    #[test]
    fn a_node_is_heard_again_when_it_answers_for_the_second_time() {
        let pulse = pulse(script().steady(0..2_001, "n1", 4), 2_000);
        assert_eq!(pulse.all_heard_again_after(ms(1_000)), Some(ms(1_400)));
        assert_eq!(pulse.all_heard_again_after(ms(1_900)), None);
    }
}
