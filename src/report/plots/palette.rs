//! The colours. All sets stay apart for the colour-blind (after Okabe and Ito, and Tol), and red is kept for broken
//! promises alone.

use leasehold_checkers::history::Outcome;

use super::picture::{Ink, Type};
use crate::report::story::Story;

pub(super) const TEXT: Ink = Ink::new(0x1b_1f_24);
pub(super) const QUIET: Ink = Ink::new(0x57_60_6a);
pub(super) const GRID: Ink = Ink::new(0xd8_de_e4);
pub(super) const LANE: Ink = Ink::new(0xf3_f5_f7);
/// Text on a light bar: dark whatever the page's colours are.
pub(super) const ON_LIGHT: Ink = Ink::new(0x1b_1f_25);
pub(super) const WHITE: Ink = Ink::new(0xff_ff_ff);
pub(super) const BROKEN: Ink = Ink::new(0xc9_14_2b);
pub(super) const FINE: Ink = Ink::new(0x0b_6b_4f);
pub(super) const UNSURE: Ink = Ink::new(0x8a_5a_00);

pub(super) const TITLE: Type = Type { size: 27.0, bold: true };
pub(super) const HEAD: Type = Type { size: 19.0, bold: true };
pub(super) const BODY: Type = Type { size: 18.0, bold: false };
pub(super) const STRONG: Type = Type { size: 18.0, bold: true };
pub(super) const SMALL: Type = Type { size: 16.0, bold: false };
pub(super) const TAG: Type = Type { size: 16.0, bold: true };

const PROCESSES: [Ink; 8] = [
    Ink::new(0x00_72_b2),
    Ink::new(0xe6_9f_00),
    Ink::new(0x00_9e_73),
    Ink::new(0x88_66_c2),
    Ink::new(0x56_b4_e9),
    Ink::new(0x8c_8c_1a),
    Ink::new(0x33_22_88),
    Ink::new(0xd4_86_b5),
];

/// The colour of a client.
pub(super) fn process(number: u64) -> Ink {
    PROCESSES[(number % PROCESSES.len() as u64) as usize]
}

/// The colour of a node.
pub(super) const fn node(index: usize) -> Ink {
    PROCESSES[index % PROCESSES.len()]
}

/// The colour of a fault's package: its own for those that everybody meets, one of the others by its place.
pub(super) fn package_of(story: &Story<'_>, package: &str) -> Ink {
    let place = story.faults.iter().position(|fault| fault.package == package).unwrap_or(0);
    self::package(package, place)
}

fn package(name: &str, place: usize) -> Ink {
    const OTHERS: [Ink; 4] = [Ink::new(0x6b_7a_00), Ink::new(0x00_6f_8a), Ink::new(0x7a_54_36), Ink::new(0x50_50_78)];
    let own = crate::nemesis::package(name).map(|package| Ink::new(package.colour));
    own.unwrap_or(OTHERS[place % OTHERS.len()])
}

/// The colour of an outcome.
pub(super) const fn outcome(outcome: Outcome) -> Ink {
    match outcome {
        Outcome::Ok => Ink::new(0x00_72_b2),
        Outcome::Fail => Ink::new(0xe6_9f_00),
        Outcome::Info | Outcome::Open => Ink::new(0xa0_2c_8c),
    }
}
