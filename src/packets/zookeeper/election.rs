//! What servers send to each other's election port: the number of the sender, then votes, each in a frame.

use super::jute::{Jute, framed};
use crate::packets::{FieldKind, Packet};

/// The first word of a connection, as 3.4 and later understand it: who calls.
fn caller(server: i64) -> Packet {
    Packet::builder().long("server", server).note("who says it calls").build()
}

/// A vote of `server` for itself.
#[must_use]
pub fn vote(server: i64) -> Packet {
    const LOOKING: i32 = 0;
    let vote = Packet::builder()
        .opcode("state", LOOKING, "looking")
        .long("leader", server)
        .long("zxid", 0)
        .long("election epoch", 1)
        .long("peer epoch", 0)
        .build();
    Packet::builder().packet(caller(server)).packet(framed(vote)).build()
}

/// A frame too long for the oldest form of a vote and too short for the others, and with nothing but zeros in it.
#[must_use]
pub fn short_vote(server: i64) -> Packet {
    let vote =
        Packet::builder().field("vote", FieldKind::Bytes, &[0; 30]).note("28, or 36 and more, are votes").build();
    Packet::builder().packet(caller(server)).packet(framed(vote)).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_comes_before_the_frame() {
        assert_eq!(short_vote(3).hex(), format!("00000000000000030000001e{}", "00".repeat(30)));
        assert_eq!(vote(2).bytes().len(), 8 + 4 + 36);
    }
}
