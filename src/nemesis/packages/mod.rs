//! The kinds of faults, one file each.

mod amnesia;
mod clock;
mod closed_port;
mod corrupt;
mod cut;
mod disk;
mod election;
mod flapping;
mod kill;
mod link;
mod membership;
mod out_of_memory;
mod packet;
mod partition;
mod pause;
mod recovery;
mod restart_storm;
mod slow_cpu;
mod snapshot;

use super::Package;

pub(super) use clock::{Clock, at_rest};
#[cfg(test)]
pub(super) use pause::Pause;

/// All packages, in the order in which they are listed.
pub const PACKAGES: [&Package; 20] = [
    &clock::PACKAGE,
    &election::PACKAGE,
    &pause::PACKAGE,
    &kill::PACKAGE,
    &partition::PACKAGE,
    &flapping::PACKAGE,
    &closed_port::PACKAGE,
    &link::PACKAGE,
    &corrupt::PACKAGE,
    &clock::DRIFT,
    &clock::STROBE,
    &clock::RESET,
    &restart_storm::PACKAGE,
    &slow_cpu::PACKAGE,
    &out_of_memory::PACKAGE,
    &disk::PACKAGE,
    &amnesia::PACKAGE,
    &membership::PACKAGE,
    &packet::PACKAGE,
    &snapshot::PACKAGE,
];

/// The package of this name.
#[must_use]
pub fn package(name: &str) -> Option<&'static Package> {
    PACKAGES.into_iter().find(|package| package.name == name)
}
