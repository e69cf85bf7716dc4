//! What is sent to ZooKeeper servers. Everything is written in jute: numbers with their most significant byte first, texts and
//! buffers behind their length in four bytes, where -1 stands for none at all.
//!
//! The layout is that of `zookeeper.jute` in ZooKeeper's sources; the requests of this list are the same from 3.4 to 3.9.

mod election;
mod jute;
pub mod learner;
mod requests;

pub use election::{notification, unread_notification};
pub use requests::{Request, handshake, reframed};
