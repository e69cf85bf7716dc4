//! What servers of each kind must not answer.

use leasehold_workloads::script::Dice;

/// What a server answers, and how.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) manner: Manner,
    pub(super) bytes: Vec<u8>,
    /// What comes after it again and again, where it is endless.
    pub(super) more: Vec<u8>,
    /// Whoever asks may have to wait until its time is over.
    pub(super) goes_on: bool,
    /// It is what a server of its kind may say to some questions.
    pub(super) is_plausible: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It hangs up before anything is said.
    HangUp,
    /// It answers, and hangs up.
    Once,
    /// It answers whatever it hears.
    EachTime,
    /// It listens.
    Silent,
    /// It never stops.
    Endless,
    /// Nor does this one, one byte at a time.
    Drip,
}

fn answer(name: &str, manner: Manner, bytes: impl Into<Vec<u8>>) -> Answer {
    let goes_on = matches!(manner, Manner::Silent | Manner::Drip | Manner::Endless);
    Answer { name: name.to_owned(), manner, bytes: bytes.into(), more: vec![0], goes_on, is_plausible: false }
}

fn endless(name: &str, bytes: impl Into<Vec<u8>>, more: impl Into<Vec<u8>>) -> Answer {
    Answer { more: more.into(), ..answer(name, Manner::Endless, bytes) }
}

/// What no server of any kind answers.
fn of_any_kind() -> Vec<Answer> {
    let mut dice = Dice::new(66, 6);
    let mut random = |length: usize| (0..length).map(|_| dice.index(256) as u8).collect::<Vec<u8>>();
    vec![
        answer("hangs up", Manner::HangUp, ""),
        answer("says nothing and leaves", Manner::Once, ""),
        answer("is silent", Manner::Silent, ""),
        answer("16 random bytes", Manner::Once, random(16)),
        answer("4 KiB of random bytes", Manner::Once, random(4 << 10)),
        endless("random bytes for ever", random(64), random(16 << 10)),
        endless("zeros for ever", "", vec![0; 16 << 10]),
        endless("letters for ever", "", vec![b'a'; 16 << 10]),
        answer("zeros one by one", Manner::Drip, vec![0]),
        answer("the greatest length", Manner::Once, i32::MAX.to_be_bytes()),
        answer("SSH", Manner::Once, "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ]
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn json(body: &str) -> Answer {
    let shown: String = body.chars().take(60).collect();
    answer(&format!("the JSON {shown}"), Manner::EachTime, http("200 OK", "", body.as_bytes()))
}

fn of_http() -> Vec<Answer> {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = [b"4000\r\n".as_slice(), &[b'['; 0x4000], b"\r\n"].concat();
    let header = format!("X-Many: {}\r\n", "a".repeat(4 << 10));
    let slow = Answer { more: b"1\r\n[\r\n".to_vec(), ..answer("a body of drips", Manner::Drip, CHUNKED) };
    let mut all = of_any_kind();
    all.extend([
        endless("a body without an end", CHUNKED, chunk),
        endless("headers without an end", "HTTP/1.1 200 OK\r\n", header),
        endless("a header without an end", "HTTP/1.1 200 OK\r\nX-One: ", "a".repeat(4 << 10)),
        endless(
            "a chunk of 2^63",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n",
            "a".repeat(4 << 10),
        ),
        slow,
        answer("a body that breaks off", Manner::Once, "HTTP/1.1 200 OK\r\nContent-Length: 2147483647\r\n\r\n{"),
        answer("a length below zero", Manner::Once, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
        answer("two lengths", Manner::Once, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}1"),
        answer(
            "odd headers",
            Manner::Once,
            http("200 \u{1}", "X-Etcd-Index: \u{ff}\r\nX-Consul-Index: \u{ff}\r\nDate: never\r\n", b"{}"),
        ),
        answer("another place", Manner::EachTime, http("301 Moved", "Location: http://127.0.0.1:1/\r\n", b"")),
        answer("no content", Manner::EachTime, "HTTP/1.1 204 No Content\r\n\r\n"),
        answer("an error that is no text", Manner::EachTime, http("500 No", "", &[0xff, 0x1b, b'[', 0, 7])),
        answer("an early hint", Manner::Once, "HTTP/1.1 103 Early Hints\r\n\r\n"),
        answer("HTTP/2 to whom speaks HTTP/1", Manner::Once, settings()),
        json(""),
        json("null"),
        json("{}"),
        json("7"),
        // Consul says so when a key was written.
        Answer { is_plausible: true, ..json("true ") },
        json("\"true\""),
        json("{\"health\":null}"),
        json(&"[".repeat(100_000)),
        json(&"{\"a\":".repeat(100_000)),
        json("{\"errorCode\":\"x\",\"message\":7}"),
        json("{\"errorCode\":105,\"message\":null,\"cause\":null,\"index\":-1}"),
        json(&format!("\"{}\"", "\u{1b}[31m".repeat(2_000))),
    ]);
    all
}

/// The keys and values of etcd's first interface.
pub(super) fn etcd_v2() -> Vec<Answer> {
    let mut all = of_http();
    all.extend([
        json(r#"{"action":null,"node":null}"#),
        json(r#"{"action":"get","node":{"key":7,"value":[],"modifiedIndex":"x"}}"#),
        json(r#"{"action":"get","node":{"key":"/leasehold/jobs/7","dir":true,"nodes":null}}"#),
        json(r#"{"action":"create","node":{"key":"/x","value":"p1.1","ttl":-1,"modifiedIndex":18446744073709551616}}"#),
    ]);
    let written =
        json(r#"{"action":"create","node":{"key":"/x","value":null,"expiration":"never","modifiedIndex":1}}"#);
    all.push(Answer { is_plausible: true, ..written });
    all
}

/// Consul's sessions and keys.
pub(super) fn consul() -> Vec<Answer> {
    let mut all = of_http();
    all.push(Answer { is_plausible: true, ..json("[]") });
    // A key, of which everything but its name is odd.
    let odd = r#"[{"LockIndex":1,"Key":"x","Flags":0,"Value":"!","Session":"a","CreateIndex":1,"ModifyIndex":-1}]"#;
    all.push(Answer { is_plausible: true, ..json(odd) });
    all.extend([
        json(r#"{"ID":null}"#),
        json(r#"{"ID":"../../kv/x?dc=y"}"#),
        json(r#"[null]"#),
        json(r#"[{"Key":null,"Value":null,"Session":7}]"#),
        json(r#"{"Stats":{"consul":null,"raft":{}},"Servers":null}"#),
        json(r#"{"Stats":{"consul":{"leader_addr":"\u0000"},"raft":{"term":"99999999999999999999"}},"Servers":[{"Name":7}]}"#),
    ]);
    all
}

// ---------------------------------------------------------------------------------------------------------------------
// HTTP/2
// ---------------------------------------------------------------------------------------------------------------------

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A server's first word.
fn settings() -> Vec<u8> {
    [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 1, 0, &[])].concat()
}

/// `:status 200` and `content-type: application/grpc`.
fn grpc_headers(flags: u8) -> Vec<u8> {
    let block = [&[0x88, 0x5f, 16][..], b"application/grpc"].concat();
    [settings(), frame(HEADERS, flags, 1, &block)].concat()
}

fn message(length: u32, rest: &[u8]) -> Vec<u8> {
    [&[0][..], &length.to_be_bytes(), rest].concat()
}

fn h2(name: &str, bytes: impl Into<Vec<u8>>) -> Answer {
    answer(name, Manner::Once, bytes)
}

/// gRPC, and what it stands on.
pub(super) fn etcd_v3() -> Vec<Answer> {
    let said = |payload: &[u8]| [grpc_headers(END_HEADERS), frame(DATA, 0, 1, payload)].concat();
    let mut all = of_any_kind();
    all.extend([
        h2("HTTP/1 to whom speaks HTTP/2", http("200 OK", "", b"{}")),
        h2("settings and no more", settings()),
        h2("settings of odd length", frame(SETTINGS, 0, 0, &[1, 2, 3])),
        h2("settings of a stream", frame(SETTINGS, 0, 7, &[])),
        h2("a frame of 16 MiB", [settings(), vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]].concat()),
        h2("a frame without a kind", [settings(), frame(0xee, 0xff, 1, &[0xff; 64])].concat()),
        h2("headers that are none", [settings(), frame(HEADERS, END_HEADERS, 1, &[0xff; 64])].concat()),
        h2(
            "a table that grows",
            [settings(), frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xff, 0xff, 0xff, 0xff, 0x0f])].concat(),
        ),
        h2("a stream of nobody's", [settings(), frame(DATA, 0, 9_999, b"x")].concat()),
        h2("a promise", [settings(), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x88])].concat()),
        h2("a window of 2^31", [settings(), frame(WINDOW_UPDATE, 0, 0, &[0xff; 4])].concat()),
        h2("a window of nothing", [settings(), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat()),
        h2("a farewell", [settings(), frame(GOAWAY, 0, 0, &[0xff; 8])].concat()),
        h2("a reset", [settings(), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])].concat()),
        h2("a message of 2^31-1 bytes", said(&message(i32::MAX as u32, b"x"))),
        h2("a message of 2^32-1 bytes", said(&message(u32::MAX, b"x"))),
        h2("a message that is packed", said(&[1, 0, 0, 0, 4, 0x1f, 0x8b, 0, 0])),
        h2("a message of garbage", said(&message(16, &[0xff; 16]))),
        h2(
            "a field of 2^63 bytes",
            said(&message(11, &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1])),
        ),
        h2("no message", [grpc_headers(END_HEADERS), frame(HEADERS, END_HEADERS | END_STREAM, 1, &[])].concat()),
        h2("headers alone", grpc_headers(END_HEADERS | END_STREAM)),
        endless("settings for ever", settings(), frame(SETTINGS, 0, 0, &[]).repeat(1_000)),
        endless("pings for ever", settings(), frame(PING, 0, 0, &[7; 8]).repeat(1_000)),
        endless(
            "headers for ever",
            [settings(), frame(HEADERS, 0, 1, &[0x88])].concat(),
            frame(CONTINUATION, 0, 1, &[&[0x00, 1, b'a', 0x7f, 0x80, 0x7e][..], &[b'a'; 16_000]].concat()),
        ),
        endless("a message without an end", said(&message(i32::MAX as u32, b"")), frame(DATA, 0, 1, &[0; 16_000])),
        Answer { more: frame(PING, 0, 0, &[7; 8]), ..answer("pings one byte at a time", Manner::Drip, settings()) },
    ]);
    // What does not end a stream leaves whoever asked waiting, and after an error of HTTP/2 the library connects anew by itself: on a
    // busy machine the time of the operation may be over before it gives up.
    all.iter_mut().for_each(|answer| answer.goes_on = true);
    all
}

// ---------------------------------------------------------------------------------------------------------------------
// ZooKeeper
// ---------------------------------------------------------------------------------------------------------------------

fn jute(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [(body.len() as i32).to_be_bytes().as_slice(), &body].concat()
}

/// A session is granted.
fn welcome(session: i64, timeout_ms: i32, password_bytes: i32) -> Vec<u8> {
    let numbers = [0_i32.to_be_bytes(), timeout_ms.to_be_bytes()].concat();
    jute(&[&numbers, &session.to_be_bytes(), &password_bytes.to_be_bytes(), &[9; 16], &[0]])
}

/// Frames of jute; `tests/zookeeper_clients/hostile.rs` has many more of what comes after the welcome.
pub(super) fn zookeeper() -> Vec<Answer> {
    let welcomed = |rest: &[u8]| [welcome(77, 2_000, 16), rest.to_vec()].concat();
    let int = |number: i32| number.to_be_bytes().to_vec();
    let mut all = of_any_kind();
    all.extend([
        answer("HTTP", Manner::Once, http("400 Bad Request", "", b"")),
        answer("a length below zero", Manner::Once, int(-1)),
        answer("the least length", Manner::Once, int(i32::MIN)),
        answer("half a frame", Manner::Once, [int(40), vec![1, 2, 3]].concat()),
        answer("a password of 2^31-1 bytes", Manner::Once, welcome(77, 2_000, i32::MAX)),
        answer("a password of -1 bytes", Manner::Once, welcome(77, 2_000, -1)),
        answer("a time-out of -1", Manner::Once, welcome(77, -1, 16)),
        answer("no session", Manner::Once, welcome(0, 2_000, 16)),
        answer("a welcome and a length of 2^31-1", Manner::Once, welcomed(&int(i32::MAX))),
        answer("a welcome each time", Manner::EachTime, welcome(77, 2_000, 16)),
        endless("welcomes for ever", "", welcome(77, 2_000, 16)),
        endless("a welcome, and frames of nothing", welcome(77, 2_000, 16), jute(&[&[0; 16]])),
        endless(
            "a welcome, and watches for ever",
            welcome(77, 2_000, 16),
            jute(&[&int(-1), &[0; 12], &int(1), &int(3), &int(2), b"/a"]),
        ),
        Answer {
            more: jute(&[&int(-2), &[0; 12]]),
            ..answer("pongs one byte at a time", Manner::Drip, welcome(77, 2_000, 16))
        },
        answer("four letters", Manner::Once, "Zxid: 7\nMode: leader\n"),
        answer("a number of 80 bits", Manner::Once, "Zxid: 0xffffffffffffffffffff\nMode: leader\n"),
    ]);
    all
}
