//! A cluster that runs already and is not ours.
//!
//! ```text
//! endpoints   what the user named: which service, where, over TLS or not
//! relay       our own end of every connection, which speaks TLS and can be cut and delayed
//! arrival     whether it is what was named, serves, and lets us in
//! told        what it tells of itself: its version, and the settings that its promises depend on
//! marks       what others do to it, as they tell us
//! promises    what may be proven of a cluster to which things may happen unseen
//! ```
//!
//! Nothing here starts, stops or changes a server.

mod arrival;
mod endpoints;
mod marks;
mod promises;
mod relay;
mod told;

pub use arrival::{Arrival, ArrivalError, arrive, not_let_in, origin};
pub use endpoints::{Endpoints, NotEndpoints, Target};
pub use marks::{MarkSource, Marks, follow};
pub use promises::with_unseen_faults;
pub use relay::{RelayLayer, Relays, Tls, TlsError, TlsFiles, worker_address};
pub use told::Told;
