//! All directed links between the hosts.

use std::time::Instant;

use super::link::{Link, LinkRule};
use super::port::Port;

#[derive(Debug)]
pub(super) struct Links {
    hosts: usize,
    /// By sender, then by receiver.
    links: Vec<Link>,
    strays: u64,
}

impl Links {
    /// Links that forward at once, between the client and so many nodes.
    pub(super) fn between(nodes: u8) -> Self {
        let hosts = 1 + usize::from(nodes);
        Self { hosts, links: (0..hosts * hosts).map(|_| Link::default()).collect(), strays: 0 }
    }

    pub(super) fn at(&mut self, from: Port, to: Port) -> &mut Link {
        &mut self.links[from.index() * self.hosts + to.index()]
    }

    pub(super) fn heal_all(&mut self) {
        self.links.iter_mut().for_each(|link| link.set(LinkRule::default()));
    }

    /// When the next held packet of any link is to go.
    pub(super) fn due(&self) -> Option<Instant> {
        self.links.iter().filter_map(Link::due).min()
    }

    /// Every link, and the index of the host that it leads to.
    pub(super) fn with_receivers(&mut self) -> impl Iterator<Item = (usize, &mut Link)> {
        let hosts = self.hosts;
        self.links.iter_mut().enumerate().map(move |(place, link)| (place % hosts, link))
    }

    /// Counts a packet that is for nobody here.
    pub(super) fn strayed(&mut self) {
        self.strays += 1;
    }

    pub(super) fn strays(&self) -> u64 {
        self.strays
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkRule, Links, Port};
    use std::time::{Duration, Instant};

    #[test]
    fn every_directed_link_has_a_rule_of_its_own() {
        let mut links = Links::between(3);
        let pairs: Vec<_> = Port::all(3).flat_map(|from| Port::all(3).map(move |to| (from, to))).collect();
        for (number, &(from, to)) in pairs.iter().enumerate() {
            links.at(from, to).set(LinkRule::delayed(Duration::from_millis(number as u64)));
        }
        for (number, &(from, to)) in pairs.iter().enumerate() {
            assert_eq!(links.at(from, to).rule().delay, Duration::from_millis(number as u64), "{from} to {to}");
        }
        links.heal_all();
        assert!(pairs.iter().all(|&(from, to)| links.at(from, to).rule() == LinkRule::default()));
    }

    #[test]
    fn the_next_packet_due_is_the_earliest_of_all_links() {
        let (mut links, start) = (Links::between(2), Instant::now());
        let [client, one, two] = Port::all(2).collect::<Vec<_>>()[..] else { unreachable!("three hosts") };
        assert_eq!(links.due(), None);
        for (from, to, ms) in [(client, one, 30), (one, two, 20), (two, one, 40)] {
            let delay = Duration::from_millis(ms);
            links.at(from, to).set(LinkRule::delayed(delay));
            links.at(from, to).admit(b"x", start);
        }
        assert_eq!(links.due(), Some(start + Duration::from_millis(20)));
        let receivers: Vec<_> =
            links.with_receivers().filter(|(_, link)| link.due().is_some()).map(|(to, _)| to).collect();
        assert_eq!(receivers, [one.index(), two.index(), one.index()]);
    }
}
