use std::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::sandbox::LinkRule;

const PATIENCE: Duration = Duration::from_secs(5);
const A_WHILE: Duration = Duration::from_millis(150);

/// A server that sends back what it is sent, and tells of each piece.
async fn echo() -> (Target, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut chunk = vec![0; CHUNK];
                while let Ok(count @ 1..) = stream.read(&mut chunk).await {
                    let _ = tell.send(chunk[..count].to_vec());
                    let _ = stream.write_all(&chunk[..count]).await;
                }
                let _ = tell.send(Vec::new());
            });
        }
    });
    (Target { host: "127.0.0.1".to_owned(), port, tls: false }, heard)
}

async fn worker(relays: &Relays, worker: u64) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((worker_address(worker).expect("an address"), 0).into()).expect("the address is ours");
    socket.connect(relays.doors()[0].1).await.expect("the door is open")
}

async fn says(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut chunk = vec![0; CHUNK];
    let count = timeout(A_WHILE, client.read(&mut chunk)).await.ok()?.expect("it can be read");
    Some(chunk[..count].to_vec())
}

async fn waits_for(client: &mut TcpStream, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    timeout(PATIENCE, client.read_exact(&mut got)).await.expect("in time").expect("it can be read");
    assert_eq!(got, expected);
}

fn side(worker: u16) -> Side {
    Port::Worker(worker).into()
}

fn node() -> Side {
    NodeId::new(1).into()
}

#[tokio::test]
async fn what_is_cut_is_held_until_it_is_healed_and_only_for_those_it_is_meant_for() {
    let (target, _heard) = echo().await;
    let relays = Relays::open(&[target], None).await.expect("doors");
    let (mut first, mut second) = (worker(&relays, 0).await, worker(&relays, 1).await);
    let layer = relays.layer();
    layer.lay(vec![(side(0), node(), LinkRule::cut())]);
    first.write_all(b"one").await.expect("it can be sent");
    second.write_all(b"two").await.expect("it can be sent");
    waits_for(&mut second, b"two").await;
    assert_eq!(says(&mut first).await, None);
    assert_eq!(relays.counters(side(0), node()).dropped, 1);
    layer.lift();
    waits_for(&mut first, b"one").await;

    // The other way, on a connection that is there already.
    layer.lay(vec![(node(), side(0), LinkRule::cut())]);
    first.write_all(b"three").await.expect("it can be sent");
    assert_eq!(says(&mut first).await, None);
    assert_eq!(relays.counters(side(0), node()).forwarded, 2);
    layer.lift();
    waits_for(&mut first, b"three").await;
}

#[tokio::test]
async fn what_a_client_has_sent_that_hangs_up_is_never_delivered() {
    let (target, mut heard) = echo().await;
    let relays = Relays::open(&[target], None).await.expect("doors");
    let mut known = worker(&relays, 0).await;
    known.write_all(b"before").await.expect("it can be sent");
    waits_for(&mut known, b"before").await;
    let layer = relays.layer();
    layer.lay(vec![(side(0), node(), LinkRule::cut())]);
    let mut new = worker(&relays, 0).await;
    for client in [&mut known, &mut new] {
        client.write_all(b"late").await.expect("it can be sent");
    }
    let arrived = async {
        while relays.counters(side(0), node()).dropped < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, arrived).await.expect("in time");
    drop((known, new));
    assert_eq!(heard.recv().await.as_deref(), Some(&b"before"[..]));
    // Its end is told to the server, and nothing else.
    assert_eq!(timeout(PATIENCE, heard.recv()).await.expect("in time").as_deref(), Some(&b""[..]));
    layer.lift();
    assert!(timeout(A_WHILE, heard.recv()).await.is_err());
}

#[tokio::test]
async fn a_delay_holds_each_piece_for_so_long_and_keeps_their_order() {
    let (target, _heard) = echo().await;
    let relays = Relays::open(&[target], None).await.expect("doors");
    let mut client = worker(&relays, 3).await;
    client.write_all(b"x").await.expect("it can be sent");
    waits_for(&mut client, b"x").await;
    relays.layer().lay(vec![(Side::Workers, node(), LinkRule::delayed(A_WHILE))]);
    let start = Instant::now();
    for piece in [b"a", b"b", b"c"] {
        client.write_all(piece).await.expect("it can be sent");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    waits_for(&mut client, b"abc").await;
    // They wait side by side, not one after the other.
    assert!((A_WHILE..3 * A_WHILE).contains(&start.elapsed()), "{:?}", start.elapsed());
    let counters = relays.counters(side(3), node());
    assert!(counters.let_go >= 1 && counters.held_for >= A_WHILE, "{counters:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_shows_as_the_end_and_the_relay_knows_why() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port").local_addr().expect("an address");
    let target = Target { host: "127.0.0.1".to_owned(), port: closed.port(), tls: false };
    let relays = Relays::open(&[target], None).await.expect("doors");
    let mut client = worker(&relays, 0).await;
    client.write_all(b"x").await.expect("it can be sent");
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, client.read_to_end(&mut rest)).await.expect("in time");
    assert!(ended.is_err() || rest.is_empty());
    let complaint = relays.complaint(NodeId::new(1)).expect("it knows");
    assert!(complaint.contains("connection refused"), "{complaint}");
}

#[test]
fn workers_are_told_apart_by_their_addresses() {
    for number in [0, 1, 255, 256, 65_534] {
        let address = worker_address(number).expect("an address");
        assert_eq!(u64::from(port_at((address, 7).into()).number()), 1 << 16 | number);
    }
    assert_eq!(worker_address(65_535), None);
    assert_eq!(port_at(([127, 0, 0, 1], 7).into()), Port::Client);
}
