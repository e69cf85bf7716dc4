//! Servers that answer what no server should.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leasehold::NodeId;
use leasehold::clients::ZooKeeper;
use leasehold::clients::zookeeper::Recipe;
use leasehold::servers::zookeeper::ZooKeeperOptions;
use leasehold_workloads::op::Wait;
use leasehold_workloads::service::{Certainty, Connect as _, OpError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::ensemble::run;
use super::{TTL, acquire};

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers one request after the other with these bytes, and then hangs up.
async fn server(answers: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(answer(client, answers.clone()));
        }
    });
    address
}

async fn answer(mut client: TcpStream, answers: Vec<Vec<u8>>) -> std::io::Result<()> {
    for answer in answers {
        let length = client.read_u32().await?;
        client.read_exact(&mut vec![0; length as usize]).await?;
        client.write_all(&answer).await?;
    }
    client.shutdown().await
}

fn int(number: i32) -> [u8; 4] {
    number.to_be_bytes()
}

fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [int(body.len() as i32).as_slice(), &body].concat()
}

/// What a client that connects is told: its session, with a time-out and a password of this length.
fn welcome(session: i64, timeout: i32, password: i32) -> Vec<u8> {
    frame(&[&int(0), &int(timeout), &session.to_be_bytes(), &int(password), &[9; 16]])
}

/// The answer to the request of this number.
fn answered(xid: i32, error: i32, rest: &[u8]) -> Vec<u8> {
    frame(&[&int(xid), &5_i64.to_be_bytes(), &int(error), rest])
}

fn text(text: &str) -> Vec<u8> {
    [int(text.len() as i32).as_slice(), text.as_bytes()].concat()
}

/// Bytes that are no frame, or none that could be meant.
fn nonsense() -> Vec<Vec<u8>> {
    vec![
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        int(i32::MAX).to_vec(),
        int(-1).to_vec(),
        int(i32::MIN).to_vec(),
        [int(40).as_slice(), &[1, 2, 3]].concat(),
        int(0).to_vec(),
        frame(&[&[255; 3]]),
        frame(&[&[255; 64]]),
        Vec::new(),
    ]
}

async fn asked(answers: Vec<Vec<u8>>, recipe: Recipe) -> OpError {
    let address = server(answers.clone()).await;
    let zookeeper = ZooKeeper::new(vec![(NodeId::new(1), address)], recipe, &ZooKeeperOptions::default());
    let wait = if recipe == Recipe::Create { Wait::Never } else { Wait::InQueue };
    let mut service = zookeeper.connect(0, 0);
    let outcome = tokio::time::timeout(PATIENCE, acquire(&mut service, "jobs/7", 1, TTL, wait)).await;
    let outcome = outcome.unwrap_or_else(|_| panic!("no word on {answers:?}"));
    outcome.expect_err("that was no answer")
}

#[track_caller]
fn is_clear(error: &OpError, certainty: Certainty, answer: &[u8]) {
    assert_eq!(error.certainty, certainty, "{error} on {answer:?}");
    let codes = match certainty {
        Certainty::DidNotHappen => ["malformed", "no-session"],
        Certainty::Unknown => ["malformed", "broken"],
    };
    assert!(codes.contains(&error.code) && !error.text.is_empty(), "{error} on {answer:?}");
}

#[test]
fn nonsense_is_told_as_such() {
    let panics = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&panics);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        count.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    run(async {
        let mut welcomes = nonsense();
        welcomes.extend([
            welcome(0, 2_000, 16),
            welcome(77, -1, 16),
            welcome(77, 2_000, i32::MAX),
            welcome(77, 2_000, -1),
            welcome(77, 2_000, 17),
        ]);
        for welcome in welcomes {
            // Whatever it says, there was no session to ask anything in.
            is_clear(&asked(vec![welcome.clone()], Recipe::Create).await, Certainty::DidNotHappen, &welcome);
        }

        let hello = welcome(77, 2_000, 16);
        let mut answers = nonsense();
        answers.extend([
            answered(42, 0, &text("/leasehold/locks/jobs%2F7")),
            answered(1, -7, &[]),
            answered(1, i32::MIN, &[]),
            answered(1, 0, &int(i32::MAX)),
            answered(1, 0, &text("elsewhere\u{0}")[..8]),
            answered(1, 0, &text("/leasehold/locks/jobs%2F6")),
            answered(-1, 0, &[255; 12]),
            answered(-1, 0, &[int(1).as_slice(), &int(7), &int(i32::MAX)].concat()),
            answered(-2, 0, &[]),
        ]);
        for answer in answers {
            let error = asked(vec![hello.clone(), answer.clone()], Recipe::Create).await;
            is_clear(&error, Certainty::Unknown, &answer);
        }

        let queued = answered(1, 0, &text("/leasehold/queues/jobs%2F7/n-0000000000"));
        for list in [
            int(i32::MAX).to_vec(),
            int(1).to_vec(),
            [int(1), int(i32::MAX)].concat(),
            [int(2).as_slice(), &text("n-1"), &[255, 255]].concat(),
            [int(1).as_slice(), &int(2), &[255, 254]].concat(),
        ] {
            let answers = vec![hello.clone(), queued.clone(), answered(2, 0, &list)];
            is_clear(&asked(answers, Recipe::Queue).await, Certainty::Unknown, &list);
        }
    });
    assert_eq!(panics.load(Ordering::SeqCst), 0, "somebody panicked on it");
}
