//! What the network and its switch promise.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::sandbox::{LinkRule, Network, Port, Sandbox, Side, Switch};

use super::{DEADLINE, Stage, eventually, exit_of, on};
use crate::servers::REPORT;

/// So few datagrams fit any receive buffer.
const DATAGRAMS: u64 = 100;

/// A socket on the client's side, on which a missing answer is soon an error.
pub(super) fn client_socket(patience: Duration) -> UdpSocket {
    let socket = UdpSocket::bind("10.77.0.100:0").expect("the client's address is here");
    socket.set_read_timeout(Some(patience)).expect("a timeout");
    socket
}

/// Asks until it is answered: only the first datagram to a host that has just come up may be lost.
pub(super) fn ask(to: SocketAddr, question: &[u8]) -> Vec<u8> {
    let socket = client_socket(Duration::from_millis(500));
    let mut answer = [0; 64];
    let start = Instant::now();
    loop {
        socket.send_to(question, to).expect("the way is open");
        match socket.recv(&mut answer) {
            Ok(length) => return answer[..length].to_vec(),
            Err(error) => assert!(start.elapsed() < DEADLINE, "{to} does not answer: {error}"),
        }
    }
}

pub(super) fn seen_by(counter: SocketAddr) -> u64 {
    String::from_utf8(ask(counter, REPORT)).expect("a number").parse().expect("a number")
}

/// Has `from` send datagrams to `to`, and waits until the switch has dealt with every one of them.
pub(super) fn send_datagrams(stage: &Stage, network: &Network, from: NodeId, to: NodeId) {
    let switch = network.switch();
    let before = dealt_with(&switch, from, to);
    let (source, target) = (format!("{}:0", network.address(from)), on(network, to).to_string());
    let (sender, _) = stage.start(&network.spawner(), from, &["udp-send", &source, &target, &DATAGRAMS.to_string()]);
    assert!(exit_of(&sender).success(), "{from} can send");
    eventually("the switch has dealt with all datagrams", || dealt_with(&switch, from, to) - before >= DATAGRAMS);
}

fn dealt_with(switch: &Switch, from: NodeId, to: NodeId) -> u64 {
    let counters = switch.counters(from, to);
    assert_eq!(counters.refused, 0, "the machine can carry a few datagrams");
    counters.forwarded + counters.dropped
}

pub(super) fn hosts_reach_each_other(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let network = stage.network(sandbox, 3);
    let counters: Vec<_> = network
        .nodes()
        .map(|node| stage.start_ready(&network.spawner(), node, &["udp-count", &on(&network, node).to_string()]))
        .collect();
    let mut expected = [0; 3];
    for from in network.nodes() {
        for to in network.nodes() {
            if from != to {
                send_datagrams(stage, &network, from, to);
                expected[usize::from(to.number()) - 1] += DATAGRAMS;
            }
        }
    }
    let seen: Vec<_> = network.nodes().map(|node| seen_by(on(&network, node))).collect();
    assert_eq!(seen, expected);
    assert!(counters.iter().all(|counter| counter.try_exited().expect("an answer").is_none()));
    assert_eq!(network.switch().strays(), 0, "nobody talks to anybody else");
    0
}

pub(super) fn a_one_way_cut_leaks_nothing(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let network = stage.network(sandbox, 3);
    let switch = network.switch();
    let [one, two, three] = network.nodes().collect::<Vec<_>>()[..] else { unreachable!("three nodes") };
    let _counters: Vec<_> = network
        .nodes()
        .map(|node| stage.start_ready(&network.spawner(), node, &["udp-count", &on(&network, node).to_string()]))
        .collect();

    let layer = switch.layer();
    layer.lay([(one, two, LinkRule::cut())]);
    send_datagrams(stage, &network, one, two);
    send_datagrams(stage, &network, two, one);
    send_datagrams(stage, &network, one, three);
    assert_eq!(seen_by(on(&network, two)), 0, "nothing comes through the cut");
    assert_eq!(seen_by(on(&network, one)), DATAGRAMS, "the other direction is open");
    assert_eq!(seen_by(on(&network, three)), DATAGRAMS, "the other links are open");
    let cut = switch.counters(one, two);
    assert_eq!((cut.forwarded, cut.dropped), (0, DATAGRAMS), "the counters prove it");

    layer.lift();
    send_datagrams(stage, &network, one, two);
    assert_eq!(seen_by(on(&network, two)), DATAGRAMS, "healed is healed");
    0
}

/// A socket of a worker.
pub(super) fn worker_socket(worker: u16) -> UdpSocket {
    let address = Network::worker_address(worker.into()).expect("there are addresses for so many");
    let socket = UdpSocket::bind((address, 0)).expect("the worker's address is here");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    socket
}

pub(super) fn each_worker_has_links_of_its_own(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let (switch, echo) = (network.switch(), on(&network, node));
    let _echo = stage.start_ready(&network.spawner(), node, &["udp-echo", &echo.to_string()]);
    ask(echo, b"warm up");
    let workers = [0, 1, 254, 255, 999].map(|worker| (worker, worker_socket(worker)));
    let answered = |socket: &UdpSocket| {
        socket.send_to(b"ping", echo).expect("the way is open");
        socket.recv(&mut [0; 8]).is_ok()
    };
    for (worker, socket) in &workers {
        assert!(answered(socket), "worker {worker}");
        assert_eq!(switch.counters(Port::Worker(*worker), node).forwarded, 1);
        assert_eq!(switch.counters(node, Port::Worker(*worker)).forwarded, 1);
    }
    let (answers, requests) = (switch.layer(), switch.layer());
    answers.lay([(node, Port::Worker(1), LinkRule::cut())]);
    requests.lay([(Side::Workers, node, LinkRule::cut())]);
    assert!(workers.iter().all(|(_, socket)| !answered(socket)), "no request gets through");
    assert_eq!(switch.counters(Side::Workers, node).dropped, 5);
    requests.lift();
    for (worker, socket) in &workers {
        assert_eq!(answered(socket), *worker != 1, "worker {worker}: one has no answers");
    }
    assert_eq!(switch.counters(node, Port::Worker(1)).dropped, 1);
    answers.lift();
    assert!(workers.iter().all(|(_, socket)| answered(socket)));
    0
}

pub(super) fn delay_is_no_shorter_than_said(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, delay) = (stage.network(sandbox, 1), Duration::from_millis(50));
    let (switch, node) = (network.switch(), NodeId::new(1));
    let _echo = stage.start_ready(&network.spawner(), node, &["udp-echo", &on(&network, node).to_string()]);
    ask(on(&network, node), b"warm up");

    let direct = round_trip(on(&network, node));
    switch.layer().lay([(Port::Client, node, LinkRule::delayed(delay))]);
    let one_way: Vec<_> = (0..5).map(|_| round_trip(on(&network, node))).collect();
    switch.layer().lay([(node, Port::Client, LinkRule::delayed(delay))]);
    let both_ways: Vec<_> = (0..5).map(|_| round_trip(on(&network, node))).collect();
    println!("direct {direct:?}, one way {one_way:?}, both ways {both_ways:?}");
    assert!(one_way.iter().all(|&time| time >= delay), "{one_way:?}");
    assert!(both_ways.iter().all(|&time| time >= delay * 2), "{both_ways:?}");
    assert_eq!(switch.counters(Port::Client, node).delayed, 10);
    assert_eq!(switch.counters(node, Port::Client).delayed, 5);
    assert_eq!(switch.rule(node.into(), Port::Client), LinkRule::delayed(delay));
    0
}

pub(super) fn round_trip(to: SocketAddr) -> Duration {
    let socket = client_socket(DEADLINE);
    let start = Instant::now();
    socket.send_to(b"ping", to).expect("the way is open");
    socket.recv(&mut [0; 8]).expect("an answer");
    start.elapsed()
}

pub(super) fn healing_releases_what_is_held(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let switch = network.switch();
    let _counter = stage.start_ready(&network.spawner(), node, &["udp-count", &on(&network, node).to_string()]);
    let layer = switch.layer();
    layer.lay([(Port::Client, node, LinkRule::delayed(Duration::from_secs(3600)))]);
    let socket = client_socket(DEADLINE);
    for _ in 0..DATAGRAMS {
        socket.send_to(b"late", on(&network, node)).expect("the way is open");
    }
    eventually("the link holds all of them", || switch.counters(Port::Client, node).delayed == DATAGRAMS);
    assert_eq!(switch.counters(Port::Client, node).forwarded, 0);
    layer.lift();
    assert_eq!(seen_by(on(&network, node)), DATAGRAMS);
    0
}

pub(super) fn bulk_passes_unharmed(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 2), NodeId::new(2));
    let _echo = stage.start_ready(&network.spawner(), node, &["tcp-echo", &on(&network, node).to_string()]);
    let sent: Vec<u8> = (0..16_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut stream = TcpStream::connect(on(&network, node)).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut writer = stream.try_clone().expect("a second handle");
    let start = Instant::now();
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).expect("all is sent");
            writer.shutdown(Shutdown::Write).expect("the end is sent");
        });
        let mut received = Vec::with_capacity(sent.len());
        stream.read_to_end(&mut received).expect("all comes back");
        received
    });
    println!("16 MiB there and back in {:?}", start.elapsed());
    assert!(received == sent, "what comes back is what was sent");
    0
}

pub(super) fn tcp_recovers_after_a_heal(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let switch = network.switch();
    let _echo = stage.start_ready(&network.spawner(), node, &["tcp-echo", &on(&network, node).to_string()]);
    let mut stream = TcpStream::connect(on(&network, node)).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut echo = [0; 4];
    stream.write_all(b"here").and_then(|()| stream.read_exact(&mut echo)).expect("an echo");

    let layer = switch.layer();
    layer.lay([(Port::Client, node, LinkRule::cut())]);
    stream.write_all(b"lost").expect("the socket takes it");
    // Six attempts would take 12.6 s without the limit on the back-off, and less than 6 s with it.
    eventually("six attempts were dropped", || switch.counters(Port::Client, node).dropped >= 6);
    layer.lift();
    let healed = Instant::now();
    stream.read_exact(&mut echo).expect("an echo after the heal");
    println!("recovered {:?} after the heal", healed.elapsed());
    if Path::new("/proc/sys/net/ipv4/tcp_rto_max_ms").exists() {
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/tcp_rto_max_ms").expect("it is readable").trim(), "1000");
    }
    0
}
