use super::*;

const MS: Duration = Duration::from_millis(1);

/// A link and what it has delivered: the first byte of each packet.
struct Bench {
    link: Link,
    start: Instant,
    delivered: Vec<u8>,
}

impl Bench {
    fn new(rule: LinkRule) -> Self {
        Self { link: Link::new(0, rule, Dice::new(1, 1)), start: Instant::now(), delivered: Vec::new() }
    }

    fn send(&mut self, first: u8, at: Duration) {
        self.send_bytes(vec![first; 100], at);
    }

    fn send_bytes(&mut self, mut packet: Vec<u8>, at: Duration) {
        let delivered = &mut self.delivered;
        self.link.admit(&mut packet, self.start + at, &mut |frame| {
            delivered.push(frame[0]);
            true
        });
    }

    fn set(&mut self, rule: LinkRule, at: Duration) {
        self.link.set(rule, self.start + at);
    }

    /// What has been delivered by then.
    fn by(&mut self, at: Duration) -> Vec<u8> {
        let delivered = &mut self.delivered;
        self.link.release(self.start + at, &mut |frame| {
            delivered.push(frame[0]);
            true
        });
        self.delivered.clone()
    }

    fn counters(&self) -> LinkCounters {
        self.link.counters()
    }
}

#[test]
fn a_link_without_a_rule_forwards_at_once() {
    let mut bench = Bench::new(LinkRule::default());
    bench.send(1, MS);
    assert_eq!(bench.delivered, [1]);
    assert_eq!(
        bench.counters(),
        LinkCounters { arrived: 1, forwarded: 1, forwarded_bytes: 100, ..LinkCounters::default() }
    );
}

#[test]
fn a_cut_link_drops_and_counts() {
    let mut bench = Bench::new(LinkRule::cut());
    bench.send(1, MS);
    assert!(bench.by(1000 * MS).is_empty());
    assert_eq!(bench.counters(), LinkCounters { arrived: 1, dropped: 1, ..LinkCounters::default() });
}

#[test]
fn packets_are_held_for_the_delay_and_not_less() {
    let mut bench = Bench::new(LinkRule::delayed(50 * MS));
    bench.send(1, Duration::ZERO);
    bench.send(2, MS);
    assert_eq!(bench.link.next_due(), Some(bench.start + 50 * MS));
    assert!(bench.by(50 * MS - Duration::from_nanos(1)).is_empty());
    assert_eq!(bench.by(50 * MS), [1]);
    assert_eq!(bench.by(51 * MS), [1, 2]);
    let counters = bench.counters();
    assert_eq!((counters.delayed, counters.let_go, counters.held_for), (2, 2, 100 * MS));
}

#[test]
fn a_shorter_delay_keeps_the_order() {
    let mut bench = Bench::new(LinkRule::delayed(10_000 * MS));
    bench.send(1, Duration::ZERO);
    bench.set(LinkRule::default(), MS);
    bench.send(2, MS);
    assert_eq!(bench.by(MS), [1, 2]);
    bench.send(3, MS);
    assert_eq!(bench.delivered, [1, 2, 3]);
    assert_eq!(bench.counters().reordered, 0);
}

#[test]
fn a_cut_drops_what_is_on_its_way() {
    let mut bench = Bench::new(LinkRule::delayed(50 * MS));
    bench.send(1, Duration::ZERO);
    bench.set(LinkRule::cut(), MS);
    bench.set(LinkRule::default(), 2 * MS);
    assert!(bench.by(100 * MS).is_empty());
    assert_eq!((bench.counters().delayed, bench.counters().dropped), (1, 1));
}

#[test]
fn a_boundless_delay_is_a_delay() {
    let mut bench = Bench::new(LinkRule::delayed(Duration::MAX));
    bench.send(1, Duration::ZERO);
    assert!(bench.by(1_000_000 * MS).is_empty());
    bench.set(LinkRule::default(), 2_000_000 * MS);
    assert_eq!(bench.by(2_000_000 * MS), [1]);
}

#[test]
fn a_full_link_drops_the_newest() {
    let mut bench = Bench::new(LinkRule::delayed(50 * MS));
    bench.send_bytes(vec![7; MOST_HELD_BYTES / 2], Duration::ZERO);
    bench.send_bytes(vec![8; MOST_HELD_BYTES / 2], Duration::ZERO);
    assert_eq!((bench.counters().delayed, bench.counters().dropped), (1, 1));
    assert_eq!(bench.by(50 * MS), [7]);
    bench.send_bytes(vec![9; MOST_HELD_BYTES / 2], 60 * MS);
    assert_eq!(bench.counters().delayed, 2, "there is room again");
}

#[test]
fn jitter_spreads_the_delays_and_keeps_the_order() {
    for spread in [Spread::Uniform, Spread::Bell] {
        let jitter = super::super::rule::Jitter { most: 10 * MS, spread };
        let mut bench = Bench::new(LinkRule { jitter, ..LinkRule::delayed(20 * MS) });
        let mut waits = Vec::new();
        // Far enough apart not to wait for each other.
        for number in 0..1000 {
            let sent = 100 * MS * number;
            bench.send(number as u8, sent);
            waits.push(bench.link.next_due().expect("it is held") - bench.start - sent);
            bench.by(sent + 99 * MS);
        }
        assert!(waits.iter().all(|wait| (10 * MS..=30 * MS).contains(wait)), "{spread:?}");
        let near = waits.iter().filter(|&&wait| wait.abs_diff(20 * MS) < 10 * MS / 3).count();
        let expected = if spread == Spread::Uniform { 280..390 } else { 630..740 };
        assert!(expected.contains(&near), "{spread:?}: {near} of 1000 lie within a third of the bound");

        (0..200).for_each(|number| bench.send(number, 200_000 * MS + MS * u32::from(number)));
        bench.delivered.clear();
        assert!(bench.by(300_000 * MS).is_sorted());
        assert_eq!(bench.counters().reordered, 0);
    }
}

#[test]
fn losses_and_copies_come_in_the_share_that_was_asked_for() {
    let mut bench = Bench::new(LinkRule { loss: 0.1, duplicate: 0.2, ..LinkRule::default() });
    (0..10_000).for_each(|_| bench.send(1, MS));
    let LinkCounters { arrived, forwarded, lost, duplicated, .. } = bench.counters();
    assert_eq!(arrived, 10_000);
    assert!((900..1100).contains(&lost), "{lost}");
    assert!((1650..1950).contains(&duplicated), "{duplicated}");
    assert_eq!(forwarded, arrived - lost + duplicated, "nothing else goes missing");
}

#[test]
fn some_step_out_of_the_line_where_that_is_asked_for() {
    let rule = LinkRule { reorder: 0.1, reorder_by: 5 * MS, ..LinkRule::delayed(MS) };
    let mut bench = Bench::new(rule);
    (0..200).for_each(|number| bench.send(number, MS * u32::from(number)));
    let delivered = bench.by(1000 * MS);
    assert_eq!(delivered.len(), 200);
    assert!(!delivered.is_sorted());
    assert!((8..35).contains(&bench.counters().reordered), "{}", bench.counters().reordered);
}

#[test]
fn a_rate_lets_so_many_bytes_through_and_queues_a_second_of_them() {
    let mut bench = Bench::new(LinkRule { bytes_per_s: Some(1_000_000), ..LinkRule::default() });
    (0..20_000).for_each(|_| bench.send(1, Duration::ZERO));
    let counters = bench.counters();
    assert_eq!(counters.queued_by_rate + counters.dropped, 20_000);
    assert!((1_000_000..1_000_400).contains(&(counters.queued_by_rate * 100)), "{}", counters.queued_by_rate);
    assert_eq!(bench.by(500 * MS).len(), 5_000);
    bench.set(LinkRule::default(), 500 * MS);
    assert_eq!(bench.by(500 * MS).len(), counters.queued_by_rate as usize, "a heal lets all go");
}

#[test]
fn a_rate_and_a_delay_add_up() {
    let mut bench = Bench::new(LinkRule { bytes_per_s: Some(1_000), ..LinkRule::delayed(50 * MS) });
    bench.send(1, Duration::ZERO); // 100 bytes take 100 ms.
    bench.send(2, Duration::ZERO);
    assert!(bench.by(149 * MS).is_empty());
    assert_eq!(bench.by(150 * MS), [1]);
    assert_eq!(bench.by(250 * MS), [1, 2]);
}

#[test]
fn a_closed_port_is_closed_to_tcp_alone() {
    let packet = |protocol: u8, port: u16| {
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        packet[3] = 40;
        packet[9] = protocol;
        packet[22..24].copy_from_slice(&port.to_be_bytes());
        packet[32] = 0x50;
        packet
    };
    let mut bench = Bench::new(LinkRule::closed(&[2379]));
    for (protocol, port, dropped) in [(6, 2379, 1), (6, 2380, 1), (17, 2379, 1), (6, 2379, 2)] {
        bench.send_bytes(packet(protocol, port), MS);
        assert_eq!(bench.counters().dropped, dropped, "{protocol} {port}");
    }
    bench.set(LinkRule::delayed(50 * MS), MS);
    bench.send_bytes(packet(6, 2379), MS);
    bench.set(LinkRule { delay: 50 * MS, ..LinkRule::closed(&[2379]) }, 2 * MS);
    assert_eq!(bench.counters().dropped, 3, "what is on its way is dropped as well");
}

#[test]
fn the_same_dice_make_the_same_losses() {
    let fates = || {
        let mut bench = Bench::new(LinkRule { loss: 0.5, ..LinkRule::default() });
        (0..100).for_each(|number| bench.send(number, MS));
        bench.delivered
    };
    assert_eq!(fates(), fates());
}
