//! What is sent to ZooKeeper servers. Everything is written in jute: numbers with their most significant byte first, texts and
//! buffers behind their length in four bytes, where -1 stands for none at all.
//!
//! The layout is that of `zookeeper.jute` in ZooKeeper's sources; the requests of this list are the same from 3.4 to 3.9.

mod answers;
mod election;
mod jute;
pub mod learner;
mod reading;
mod requests;

pub use answers::in_words;
pub use election::{short_vote, vote};
pub use reading::{unread_greeting, unread_request};
pub use requests::{Request, handshake, reframed};

use crate::packets::Packet;

/// The server with the highest number in a cluster of three, in whose name votes are sent.
const VOTER: i64 = 3;

/// The message of this name: a request, `vote` or `short vote`.
#[must_use]
pub fn message(name: &str) -> Option<Packet> {
    match name {
        "vote" => Some(vote(VOTER)),
        "short vote" => Some(short_vote(VOTER)),
        request => Request::named(request).map(Request::packet),
    }
}
