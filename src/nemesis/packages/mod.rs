//! The kinds of faults, one file each.

mod clock;
mod closed_port;
mod cut;
mod election;
mod flapping;
mod kill;
mod link;
mod partition;
mod pause;

use super::Package;

pub(super) use clock::{Clock, move_all};
#[cfg(test)]
pub(super) use pause::Pause;

/// All packages, in the order in which they are listed.
pub const PACKAGES: [&Package; 8] = [
    &clock::PACKAGE,
    &election::PACKAGE,
    &pause::PACKAGE,
    &kill::PACKAGE,
    &partition::PACKAGE,
    &flapping::PACKAGE,
    &closed_port::PACKAGE,
    &link::PACKAGE,
];

/// The package of this name.
#[must_use]
pub fn package(name: &str) -> Option<&'static Package> {
    PACKAGES.into_iter().find(|package| package.name == name)
}
