//! The kinds of faults, one file each.

mod amnesia;
mod clock;
mod disk;
mod election;
mod kill;
mod membership;
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
    &disk::PACKAGE,
    &amnesia::PACKAGE,
    &membership::PACKAGE,
];

/// The package of this name.
#[must_use]
pub fn package(name: &str) -> Option<&'static Package> {
    PACKAGES.into_iter().find(|package| package.name == name)
}
