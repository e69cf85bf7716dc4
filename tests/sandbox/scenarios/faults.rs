//! What was asked of the links, and what came of it.
//!
//! Bounds are wide where a busy machine has its part in what is measured. What was measured is printed.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::sandbox::{LinkCounters, LinkRule, Network, Port, Sandbox, ServerProcess, Spoil, Switch};

use super::network::{client_socket, round_trip, seen_by, worker_socket};
use super::{DEADLINE, Stage, eventually, on};

/// A network with one node, and a server on it.
fn one_node(stage: &Stage, sandbox: &Sandbox, server: &str) -> (Network, ServerProcess) {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let server = stage.start_ready(&network.spawner(), node, &[server, &on(&network, node).to_string()]);
    (network, server)
}

fn node() -> NodeId {
    NodeId::new(1)
}

fn to_node(switch: &Switch) -> LinkCounters {
    switch.counters(Port::Client, node())
}

/// Sends so many datagrams to the node, as fast as the switch takes them.
fn send_datagrams(network: &Network, count: u64) {
    const AT_A_TIME: u64 = 100;
    let (switch, socket) = (network.switch(), client_socket(DEADLINE));
    socket.connect(on(network, node())).expect("an address");
    let before = to_node(&switch).arrived;
    for sent in (0..count).step_by(AT_A_TIME as usize) {
        (0..AT_A_TIME).for_each(|_| assert!(socket.send(b"datagram").is_ok(), "the way is open"));
        eventually("the switch has them", || to_node(&switch).arrived - before >= sent + AT_A_TIME);
    }
}

pub(super) fn a_cut_leaks_none_of_many(stage: &Stage, sandbox: &Sandbox) -> u8 {
    const MANY: u64 = 100_000;
    let (network, _counter) = one_node(stage, sandbox, "udp-count");
    let switch = network.switch();
    let layer = switch.layer();
    layer.lay([(Port::Client, node(), LinkRule::cut())]);
    let start = Instant::now();
    send_datagrams(&network, MANY);
    let counters = to_node(&switch);
    println!("{MANY} datagrams dropped in {:?}", start.elapsed());
    assert_eq!((counters.arrived, counters.dropped, counters.forwarded), (MANY, MANY, 0));
    layer.lift();
    assert_eq!(seen_by(on(&network, node())), 0);
    0
}

pub(super) fn delays_are_what_was_asked(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, _echo) = one_node(stage, sandbox, "udp-echo");
    let (switch, echo) = (network.switch(), on(&network, node()));
    eventually("the node answers", || {
        let socket = client_socket(Duration::from_millis(100));
        socket.send_to(b"there?", echo).is_ok() && socket.recv(&mut [0; 8]).is_ok()
    });
    let layer = switch.layer();
    let median = |rounds: usize| {
        let mut times: Vec<_> = (0..rounds).map(|_| round_trip(echo)).collect();
        times.sort_unstable();
        (times[0], times[rounds / 2])
    };
    let (_, direct) = median(50);
    for (asked_ms, rounds) in [(1, 50), (5, 50), (50, 20), (200, 5)] {
        let asked = Duration::from_millis(asked_ms);
        layer.lay([(Port::Client, node(), LinkRule::delayed(asked))]);
        let (least, median) = median(rounds);
        println!("asked {asked:?}: at least {least:?}, median {median:?}; without {direct:?}");
        assert!(least >= asked, "{least:?}");
        assert!(median < asked + direct + Duration::from_millis(10), "{median:?}");
    }
    0
}

pub(super) fn losses_are_what_was_asked(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, _counter) = one_node(stage, sandbox, "udp-count");
    let switch = network.switch();
    let layer = switch.layer();
    let (mut seen, mut rule) = (0, LinkRule::default());
    for loss in [0.01, 0.1, 0.5] {
        rule.loss = loss;
        layer.lay([(Port::Client, node(), rule.clone())]);
        let before = to_node(&switch);
        send_datagrams(&network, 20_000);
        let since = to_node(&switch) - before;
        layer.lift();
        let share = since.lost as f64 / since.arrived as f64;
        println!("asked {loss}, got {share}");
        assert!((share - loss).abs() < 0.02, "{share}");
        assert_eq!(since.forwarded + since.lost + since.refused, since.arrived, "nothing else goes missing");
        seen += since.forwarded;
        // The node's own buffer may have been too small for the rush, so it has at most what was forwarded.
        let reported = seen_by(on(&network, node()));
        assert!(reported <= seen && reported > seen / 2, "{reported} of {seen}");
    }
    0
}

pub(super) fn a_rate_is_what_was_asked(stage: &Stage, sandbox: &Sandbox) -> u8 {
    const ASKED: u64 = 4_000_000;
    let (network, _echo) = one_node(stage, sandbox, "tcp-echo");
    let switch = network.switch();
    let mut stream = TcpStream::connect(on(&network, node())).expect("a connection");
    let mut rule = LinkRule::default();
    rule.bytes_per_s = Some(ASKED);
    switch.layer().lay([(Port::Client, node(), rule)]);
    let mut reader = stream.try_clone().expect("a second handle");
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    std::thread::spawn(move || while stream.write_all(&[7; 64 << 10]).is_ok() {});
    eventually("the link is used up", || to_node(&switch).queued_by_rate > 20);
    let (before, start) = (to_node(&switch).forwarded_bytes, Instant::now());
    eventually("it has carried two seconds' worth", || to_node(&switch).forwarded_bytes - before > 2 * ASKED);
    let got = (to_node(&switch).forwarded_bytes - before) as f64 / start.elapsed().as_secs_f64();
    println!("asked {ASKED} bytes/s, got {got:.0}");
    assert!((0.8..1.1).contains(&(got / ASKED as f64)), "{got}");
    0
}

/// What the kernel on the client's side says of segments whose checksum was wrong.
fn checksum_errors() -> u64 {
    let text = fs::read_to_string("/proc/self/net/snmp").expect("it is readable");
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("Tcp: ")).map(str::split_whitespace);
    let (names, mut numbers) = (rows.next().expect("names"), rows.next().expect("numbers"));
    let place = names.clone().position(|name| name == "InCsumErrors").expect("it is counted");
    numbers.nth(place).expect("a number").parse().expect("a number")
}

/// Sends pieces to the node one after the other, and returns how many came back as others.
fn pieces_changed(network: &Network) -> usize {
    let mut stream = TcpStream::connect(on(network, node())).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut changed = 0;
    for number in 0..100_u8 {
        let (piece, mut back) = ([number; 1000], [0; 1000]);
        stream.write_all(&piece).and_then(|()| stream.read_exact(&mut back)).expect("it comes back in the end");
        changed += usize::from(piece != back);
    }
    // Large ones are sent in one piece of up to 64 KiB, for the card to take apart.
    let large: Vec<u8> = (0..1_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut writer = stream.try_clone().expect("a second handle");
    let back = std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&large).and_then(|()| writer.shutdown(Shutdown::Write)).expect("it is sent"));
        let mut back = Vec::with_capacity(large.len());
        stream.read_to_end(&mut back).expect("it comes back");
        back
    });
    assert_eq!(back.len(), large.len());
    changed + large.iter().zip(&back).filter(|(sent, back)| sent != back).count()
}

pub(super) fn corruption_is_seen_by_whom_it_should(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, _echo) = one_node(stage, sandbox, "tcp-echo");
    let switch = network.switch();
    let (layer, from_node) = (switch.layer(), || switch.counters(node(), Port::Client));
    assert_eq!(pieces_changed(&network), 0);

    let mut rule = LinkRule::default();
    rule.spoils = vec![Spoil { detected: false, ..Spoil::detected_bits(0.2) }];
    layer.lay([(node(), Port::Client, rule)]);
    let changed = pieces_changed(&network);
    println!("undetected: {} packets, {changed} pieces changed", from_node().corrupted_undetected);
    assert!(changed > 5, "{changed}");
    assert_eq!(checksum_errors(), 0, "the kernel noticed nothing");

    let mut rule = LinkRule::default();
    rule.spoils = vec![Spoil::detected_bits(0.1)];
    layer.lay([(node(), Port::Client, rule)]);
    assert_eq!(pieces_changed(&network), 0, "the kernel noticed all");
    let (corrupted, errors) = (from_node().corrupted, checksum_errors());
    println!("detected: {corrupted} packets, {errors} found by the kernel");
    assert!(corrupted > 5 && errors == corrupted, "{corrupted} spoilt, {errors} found");
    0
}

pub(super) fn all_packets_are_captured(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, _echo) = one_node(stage, sandbox, "udp-echo");
    let (switch, path) = (network.switch(), stage.folder.join("packets.pcapng"));
    let capture = switch.capture(&path, 1 << 20).expect("a file");
    let layer = switch.layer();
    layer.lay([(Port::Worker(3), node(), LinkRule::cut())]);
    round_trip(on(&network, node()));
    worker_socket(3).send_to(b"lost", on(&network, node())).expect("the way is open");
    eventually("it was dropped", || switch.counters(Port::Worker(3), node()).dropped == 1);
    let captured = capture.finish().expect("it is whole");
    // There and back, each with a sender and a receiver, and one that did not arrive.
    assert_eq!((captured.entries, captured.missed, captured.full_after), (5, 0, None));
    let file = fs::read(&path).expect("the file");
    let count = |bytes: &[u8]| file.windows(bytes.len()).filter(|window| *window == bytes).count();
    assert_eq!((count(b"ping"), count(b"lost"), count(b"client"), count(b"n1\0\0")), (4, 1, 1, 1));
    0
}
