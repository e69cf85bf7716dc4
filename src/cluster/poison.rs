//! What malformed packets need to know of a cluster: where to send them, and what they did to its processes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;

use super::{Cluster, ClusterError};
use crate::NodeId;
use crate::packets::Port;
use crate::sandbox::{Network, ThreadNames};

impl Cluster {
    /// Where a packet is to be sent. It is the address of a server that this run has started, and lies in the sandbox: that is looked
    /// at once more, whatever this cluster was made from.
    ///
    /// # Errors
    /// If the address is anybody else's, or servers of this kind have no such port.
    pub fn address_for_packets(&self, node: NodeId, port: Port) -> Result<SocketAddr, ClusterError> {
        let own = self.own(node)?;
        let address = own.addresses.iter().find(|(known, _)| *known == node).map(|(_, address)| *address);
        let address = address.ok_or(ClusterError::NoSuchNode(node))?;
        if Network::node_at(address) != Some(node) {
            return Err(ClusterError::OutsideTheSandbox { node, address });
        }
        let port = own.deployment.port(port).ok_or(ClusterError::NoSuchPort { node, port })?;
        Ok((address, port).into())
    }

    /// The threads of a node's process, with their names. A Java thread's is cut off after 15 letters.
    ///
    /// # Errors
    /// If it does not run.
    pub fn thread_names(&self, node: NodeId) -> Result<ThreadNames, ClusterError> {
        self.member(node)?.thread_names()
    }

    /// How long a node's log is, in bytes.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn log_length(&self, node: NodeId) -> Result<u64, ClusterError> {
        let log = self.member(node)?.log();
        log.metadata().map(|found| found.len()).map_err(|source| ClusterError::Log { node, source })
    }

    /// The lines of a node's log after its first bytes that tell of something dying; at most a few.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn last_words(&self, node: NodeId, after_bytes: u64) -> Result<Vec<String>, ClusterError> {
        let text = read_from(self.member(node)?.log(), after_bytes);
        text.map(|text| telling(&text)).map_err(|source| ClusterError::Log { node, source })
    }
}

fn read_from(log: &std::path::Path, after_bytes: u64) -> io::Result<String> {
    const MOST_BYTES: u64 = 256 * 1024;
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(after_bytes))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines that tell of a death: of a thread of Java's, or of a Go program with the function in which it happened.
fn telling(log: &str) -> Vec<String> {
    const MOST_LINES: usize = 3;
    const LONGEST: usize = 200;
    const SIGNS: [&str; 9] = [
        " died",
        "OutOfMemoryError",
        "BufferUnderflow",
        "StackOverflow",
        "panic:",
        "fatal error:",
        // etcd's, in text and in JSON.
        " C | ",
        "\"level\":\"panic\"",
        "\"level\":\"fatal\"",
    ];
    let lines: Vec<&str> = log.lines().collect();
    let cut = |text: &str, longest| text.chars().take(longest).collect::<String>();
    let is_telling = |line: &str| SIGNS.iter().any(|sign| line.contains(sign));
    let told = lines.iter().enumerate().filter(|(_, line)| is_telling(line)).map(|(at, line)| {
        // Programs die of the same words in many places.
        let is_go = ["panic:", "fatal error:"].iter().any(|sign| line.trim_start().starts_with(sign));
        match go_function(&lines[at + 1..]).filter(|_| is_go) {
            Some(function) => format!("{} in {}", cut(line, LONGEST / 2), cut(function, LONGEST / 2)),
            None => cut(line, LONGEST),
        }
    });
    told.take(MOST_LINES).collect()
}

/// The innermost function of the program's own in the stack that Go writes after the word on what is wrong.
fn go_function<'a>(after: &[&'a str]) -> Option<&'a str> {
    const DEEPEST: usize = 100;
    let begins = after.iter().take(DEEPEST).position(|line| line.starts_with("goroutine ") && line.ends_with(':'))?;
    let stack = after[begins + 1..].iter().take(DEEPEST).take_while(|line| !line.is_empty());
    stack
        .filter(|line| !line.starts_with('\t') && !line.starts_with("created by "))
        .map(|frame| without_arguments(frame))
        .find(|name| is_of_a_program(name))
}

/// `(*till).sell(_, …)` without its end: a parenthesis before a star is a part of the name.
fn without_arguments(frame: &str) -> &str {
    let arguments = frame.match_indices('(').find(|(at, _)| !frame[at + 1..].starts_with('*'));
    arguments.map_or(frame, |(at, _)| &frame[..at])
}

/// The packages of Go's own library come from no host; and a log that panics for somebody is not the one that is wrong.
fn is_of_a_program(function: &str) -> bool {
    let is_from_a_host = function.split_once('/').is_some_and(|(host, _)| host.contains('.'));
    let is_a_log =
        function.starts_with("go.uber.org/zap") || function.ends_with("Panicf") || function.ends_with("Panic");
    (is_from_a_host || function.starts_with("main.")) && !is_a_log
}

#[cfg(test)]
mod tests {
    use super::telling;

    #[test]
    fn deaths_are_told_from_the_rest_of_a_log() {
        let log = "INFO all is well\nERROR Thread Thread[ProcessThread(sid:3 cport:-1):,5,main] died\n\
                   java.lang.OutOfMemoryError: Requested array size exceeds VM limit\n\tat java.base/x\n";
        assert_eq!(telling(log).len(), 2);
        assert_eq!(telling("WARN a studied silence\n"), Vec::<String>::new());
        let critical = "2026-01-01 C | mvcc/backend: cannot put key into bucket (key required)";
        assert_eq!(telling(critical), [critical]);
        assert_eq!(telling(&format!("panic: {}", "x".repeat(900)))[0].len(), 200);
    }

    #[test]
    fn a_panic_is_told_with_the_function_in_which_it_happened() {
        let log = "panic: sold out\n\ngoroutine 7 [running]:\npanic({0x1, 0x2})\n\t/lib/a.go:1\n\
                   strings.Repeat({0x1})\n\t/lib/b.go:2\nexample.org/shop.(*diary).Panicf(0x3)\n\t/shop/c.go:3\n\
                   example.org/shop.(*till).sell(_, {0x4, 0x5})\n\t/shop/d.go:4 +0x6\n\
                   example.org/shop.main(0x1)\n\t/shop/e.go:5\n\n{\"level\":\"info\"}\n";
        assert_eq!(telling(log), ["panic: sold out in example.org/shop.(*till).sell"]);
        assert_eq!(telling("panic: sold out\n\ngoroutine 7 [running]:\n"), ["panic: sold out"], "cut off");
        let own = "fatal error: no change\n\nruntime stack:\nruntime.f({0x1})\n\t/lib/f.go:1\n\n\
                   goroutine 9 [running]:\nruntime.g()\n\t/lib/g.s:1\nmain.open(...)\n\t/shop/h.go:7\n";
        assert_eq!(telling(own), ["fatal error: no change in main.open"]);
        let nobody =
            "panic: one\n\ngoroutine 9 [running]:\nruntime.g()\n\t/lib/g.s:1\ncreated by example.org/shop.open\n";
        assert_eq!(telling(nobody), ["panic: one"], "who began it is not where it happened");
        let other = "panic: one\nWARN going on\nexample.org/not.a.frame(1)\n";
        assert_eq!(telling(other), ["panic: one"]);
    }
}
