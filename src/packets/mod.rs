//! Malformed packets: what a client or a corrupted link can send, written down field by field.
//!
//! A [`Packet`] knows the name of each of its bytes, so that what is changed in one can be said in words. The grammars build
//! well-formed packets; what is wrong with one is done to it afterwards.

mod packet;
mod reader;
pub mod streams;
pub mod zookeeper;

pub use packet::{Builder, Field, FieldKind, NoSuchField, Packet};
