//! All directed links between the hosts, and the layers of rules that lie over them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use leasehold_workloads::script::Dice;

use super::counters::LinkCounters;
use super::link::{Deliver, Link};
use super::port::{Port, Side};
use super::rule::LinkRule;

/// From whom to whom.
pub(super) type Ends = (Port, Port);

/// The rules of one layer: what each side sends to the other.
pub(super) type Rules = Vec<(Side, Side, LinkRule)>;

/// Keeps the dice of the links apart from those of the workers.
const DICE: u64 = 0x6c69_6e6b;

/// A link comes about with its first packet: of a thousand workers, most talk to one node only.
#[derive(Debug)]
pub(super) struct Links {
    /// Where the IP packet begins in a frame.
    ip_offset: usize,
    links: HashMap<Ends, Link>,
    /// By their numbers, so in the order in which they were made.
    layers: BTreeMap<u64, Rules>,
    /// The links that hold packets back, by when they are to let go the next one.
    waiting: BTreeSet<(Instant, Ends)>,
    seed: u64,
    strays: u64,
}

impl Links {
    /// No links yet, on a medium that puts so much before each packet.
    pub(super) fn new(ip_offset: usize) -> Self {
        Self { ip_offset, links: HashMap::new(), layers: BTreeMap::new(), waiting: BTreeSet::new(), seed: 0, strays: 0 }
    }

    pub(super) fn ip_offset(&self) -> usize {
        self.ip_offset
    }

    /// Every link rolls dice of its own by this seed, from now on.
    pub(super) fn reseed(&mut self, seed: u64) {
        self.seed = seed;
        for (&ends, link) in &mut self.links {
            link.reroll(dice(seed, ends));
        }
    }

    /// Puts these rules in the place of those that the layer had.
    pub(super) fn lay(&mut self, layer: u64, rules: Rules) {
        self.layers.insert(layer, rules);
        self.update();
    }

    pub(super) fn lift(&mut self, layer: u64) {
        if self.layers.remove(&layer).is_some() {
            self.update();
        }
    }

    fn update(&mut self) {
        let now = Instant::now();
        for (&ends, link) in &mut self.links {
            let before = link.next_due();
            link.set(rule(&self.layers, ends), now);
            wait_for(&mut self.waiting, ends, before, link.next_due());
        }
    }

    /// Deals with a packet that has come in.
    pub(super) fn admit(&mut self, ends: Ends, frame: &mut [u8], deliver: Deliver<'_>) {
        let Self { ip_offset, links, layers, seed, waiting, .. } = self;
        let link = links.entry(ends).or_insert_with(|| Link::new(*ip_offset, rule(layers, ends), dice(*seed, ends)));
        let before = link.next_due();
        link.admit(frame, Instant::now(), deliver);
        wait_for(waiting, ends, before, link.next_due());
    }

    /// Delivers the held packets whose time has come.
    pub(super) fn release(&mut self, deliver: &mut dyn FnMut(Port, &[u8]) -> bool) {
        if self.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(&(due, ends)) = self.waiting.first()
            && due <= now
        {
            self.waiting.pop_first();
            let link = self.links.get_mut(&ends).expect("links stay");
            link.release(now, &mut |frame| deliver(ends.1, frame));
            wait_for(&mut self.waiting, ends, None, link.next_due());
        }
    }

    /// When the next held packet of any link is to go.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.first().map(|&(due, _)| due)
    }

    pub(super) fn rule(&self, ends: Ends) -> LinkRule {
        rule(&self.layers, ends)
    }

    /// What became of the packets from one side to the other.
    pub(super) fn counters(&self, from: Side, to: Side) -> LinkCounters {
        let links = self.links.iter().filter(|((sender, receiver), _)| from.is(*sender) && to.is(*receiver));
        links.fold(LinkCounters::default(), |sum, (_, link)| sum + link.counters())
    }

    /// Counts a packet that is for nobody here.
    pub(super) fn strayed(&mut self) {
        self.strays += 1;
    }

    pub(super) fn strays(&self) -> u64 {
        self.strays
    }
}

/// What all layers together ask of a link.
fn rule(layers: &BTreeMap<u64, Rules>, (from, to): Ends) -> LinkRule {
    let rules = layers.values().flatten().filter(|(sender, receiver, _)| sender.is(from) && receiver.is(to));
    rules.fold(LinkRule::default(), |sum, (_, _, rule)| sum.and(rule))
}

fn dice(seed: u64, (from, to): Ends) -> Dice {
    Dice::new(seed ^ DICE, u64::from(from.number()) << 32 | u64::from(to.number()))
}

fn wait_for(waiting: &mut BTreeSet<(Instant, Ends)>, ends: Ends, before: Option<Instant>, after: Option<Instant>) {
    if before != after {
        before.map(|due| waiting.remove(&(due, ends)));
        after.map(|due| waiting.insert((due, ends)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    fn node(number: u8) -> Port {
        Port::Node(NodeId::new(number))
    }

    fn ports() -> Vec<Port> {
        vec![Port::Client, node(1), node(2), node(3), Port::Worker(0), Port::Worker(999)]
    }

    fn send(links: &mut Links, from: Port, to: Port) -> bool {
        let mut delivered = false;
        links.admit((from, to), &mut [0; 64], &mut |_| {
            delivered = true;
            true
        });
        delivered
    }

    #[test]
    fn every_directed_link_has_a_rule_of_its_own() {
        let mut links = Links::new(0);
        let pairs: Vec<_> =
            ports().into_iter().flat_map(|from| ports().into_iter().map(move |to| (from, to))).collect();
        let delay = |number: usize| MS * number as u32;
        let rules = pairs
            .iter()
            .enumerate()
            .map(|(number, &(from, to))| (from.into(), to.into(), LinkRule::delayed(delay(number))));
        links.lay(1, rules.collect());
        for (number, &ends) in pairs.iter().enumerate() {
            assert_eq!(links.rule(ends).delay, delay(number), "{ends:?}");
        }
        links.lift(1);
        assert!(pairs.iter().all(|&ends| links.rule(ends) == LinkRule::default()));
    }

    #[test]
    fn a_layer_that_is_lifted_leaves_the_others() {
        let mut links = Links::new(0);
        let (from, to) = (node(1), node(2));
        links.lay(1, vec![(from.into(), to.into(), LinkRule::cut())]);
        links.lay(2, vec![(from.into(), to.into(), LinkRule::cut()), (to.into(), from.into(), LinkRule::cut())]);
        links.lift(1);
        assert!(!send(&mut links, from, to) && !send(&mut links, to, from));
        links.lay(2, vec![(to.into(), from.into(), LinkRule::cut())]);
        assert!(send(&mut links, from, to) && !send(&mut links, to, from), "a layer laid anew is another");
        links.lift(2);
        assert!(send(&mut links, to, from));
        assert_eq!(links.counters(to.into(), from.into()).dropped, 2);
    }

    #[test]
    fn a_rule_for_all_workers_holds_for_those_to_come_and_for_nobody_else() {
        let mut links = Links::new(0);
        links.lay(1, vec![(Side::Workers, node(1).into(), LinkRule::cut())]);
        assert!(!send(&mut links, Port::Worker(7), node(1)) && !send(&mut links, Port::Worker(8), node(1)));
        assert!(send(&mut links, Port::Worker(7), node(2)) && send(&mut links, Port::Client, node(1)));
        assert_eq!(links.counters(Side::Workers, node(1).into()).dropped, 2);
    }

    #[test]
    fn held_packets_go_in_the_order_of_all_links() {
        let mut links = Links::new(0);
        let delays = [(Port::Client, node(1), 3), (node(1), node(2), 2), (node(2), node(1), 4)];
        let rules = delays.map(|(from, to, ms)| (from.into(), to.into(), LinkRule::delayed(MS * ms)));
        links.lay(1, rules.to_vec());
        let start = Instant::now();
        for (from, to, _) in delays {
            assert!(!send(&mut links, from, to));
        }
        let mut receivers = Vec::new();
        while let Some(due) = links.due() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            links.release(&mut |to, _| {
                receivers.push(to);
                true
            });
        }
        assert_eq!(receivers, [node(2), node(1), node(1)]);
        assert!(start.elapsed() >= 4 * MS);
    }
}
