//! Malformed packets: what a client or a corrupted link can send, written down field by field.
//!
//! A [`Packet`] knows the name of each of its bytes, so that what is changed in one can be said in words. The grammars build
//! well-formed packets; what is wrong with one is done to it afterwards.

mod case;
pub mod consul;
pub mod etcd;
mod http;
mod meaning;
pub mod mutants;
pub mod mutate;
mod packet;
mod reader;
mod sending;
pub mod streams;
pub mod undone;
pub mod zookeeper;

pub use case::{Case, CaseError, Port, bytes_of, names};
pub use meaning::Notation;
pub(crate) use packet::hex;
pub use packet::{Builder, Field, FieldKind, NoSuchField, Packet};
pub use sending::{Reply, send, send_datagram, send_within};

/// How it is told of all the threads of a server that its process has ended; how it did comes behind it.
pub(crate) const WHOLE_PROCESS: &str = "all of them: the process ";
