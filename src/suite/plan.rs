//! The runs of a suite, and how they are shared among machines.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::cell::group_of;
use super::{Cell, CellResult};

/// The runs of a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence.
    pub summary: String,
    /// The runs, in their order.
    pub cells: Vec<Cell>,
}

/// One of several machines that share a suite: `2/3` is the second of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// Which one, counted from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// One machine for all.
    pub const WHOLE: Self = Self { number: 1, of: 1 };
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("`{text}` is no part: write 2/3 for the second of three")),
        }
    }
}

impl Plan {
    /// The same runs, with how long each took before: itself, or else on average those that differ from it in their seeds only.
    #[must_use]
    pub fn measured_by(mut self, earlier: &[CellResult]) -> Self {
        let judged = || earlier.iter().filter(|result| result.verdict.is_some());
        let own: BTreeMap<&str, u64> = judged().map(|result| (&*result.cell, result.took_ms)).collect();
        let mut groups: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for result in judged() {
            let (sum, count) = groups.entry(group_of(&result.cell)).or_default();
            *sum += result.took_ms;
            *count += 1;
        }
        for cell in &mut self.cells {
            let average = groups.get(cell.group()).map(|(sum, count)| sum / count);
            cell.measured_ms = own.get(&*cell.id).copied().or(average);
        }
        self
    }

    /// The runs of one machine. The machines have about as much to do, by how long each run took before, or by its length where
    /// nobody knows; every run is one machine's, and always the same one's.
    #[must_use]
    pub fn of_shard(&self, shard: Shard) -> Vec<&Cell> {
        let mut longest_first: Vec<usize> = (0..self.cells.len()).collect();
        longest_first.sort_by_key(|&index| (Reverse(self.cells[index].cost_ms()), &self.cells[index].id));
        let mut loads = vec![0_u64; shard.of];
        let mut mine = Vec::new();
        for index in longest_first {
            let least = (0..shard.of).min_by_key(|&machine| loads[machine]).expect("there is a machine");
            loads[least] += self.cells[index].cost_ms();
            if least + 1 == shard.number {
                mine.push(index);
            }
        }
        mine.sort_unstable();
        mine.into_iter().map(|index| &self.cells[index]).collect()
    }
}

#[cfg(test)]
mod tests {
    use leasehold_checkers::verdict::Verdict;
    use proptest::prelude::*;

    use super::*;
    use crate::suite::Expectation;

    fn plan(seconds: &[u64]) -> Plan {
        let cell = |(index, &seconds): (usize, &u64)| Cell {
            id: format!("s/etcd@1/{index}"),
            scenario: "s".to_owned(),
            servers: "etcd@1".to_owned(),
            program: None,
            client: None,
            seed: index as u64,
            seconds,
            shortened: false,
            faults: true,
            expect: Expectation::Valid,
            measured_ms: None,
        };
        let cells = seconds.iter().enumerate().map(cell).collect();
        Plan { name: "p".to_owned(), summary: String::new(), cells }
    }

    proptest! {
        #[test]
        fn every_run_is_one_machines(seconds in prop::collection::vec(1_u64..100, 1..60), of in 1_usize..8) {
            let plan = plan(&seconds);
            let shards: Vec<Vec<&Cell>> = (1..=of).map(|number| plan.of_shard(Shard { number, of })).collect();
            let mut ids: Vec<&str> = shards.iter().flatten().map(|cell| &*cell.id).collect();
            ids.sort_unstable();
            let mut all: Vec<&str> = plan.cells.iter().map(|cell| &*cell.id).collect();
            all.sort_unstable();
            prop_assert_eq!(ids, all);
            // No machine has more to do than another by more than the longest run.
            let loads = shards.iter().map(|cells| cells.iter().map(|cell| cell.seconds + 10).sum::<u64>());
            let (least, most) = loads.fold((u64::MAX, 0), |(least, most), load| (least.min(load), most.max(load)));
            prop_assert!(most - least <= seconds.iter().max().expect("there are runs") + 10);
        }
    }

    #[test]
    fn parts_are_balanced_by_what_was_measured() {
        let took = |cell: &str, took_ms: u64| CellResult {
            cell: cell.to_owned(),
            verdict: Some(Verdict::Valid),
            exit: Some(0),
            found: Vec::new(),
            why: String::new(),
            latency: None,
            took_ms,
        };
        let parts = |plan: &Plan| -> Vec<Vec<u64>> {
            let of_part = |number| plan.of_shard(Shard { number, of: 2 }).iter().map(|cell| cell.seed).collect();
            (1..=2).map(of_part).collect()
        };
        let by_length = plan(&[30, 20, 20]);
        assert_eq!(parts(&by_length), [[0].as_slice(), &[1, 2]]);
        let measured = by_length.clone().measured_by(&[took("s/etcd@1/0", 10_000), took("s/etcd@1/1", 90_000)]);
        // The third was not, and is taken for the average of the two.
        assert_eq!(measured.cells[2].measured_ms, Some(50_000));
        assert_eq!(parts(&measured), [[1].as_slice(), &[0, 2]]);
        let failed = CellResult { verdict: None, ..took("s/etcd@1/0", 1) };
        assert_eq!(by_length.clone().measured_by(&[failed, took("other/etcd@1/0", 1)]), by_length);
    }

    #[test]
    fn a_part_is_written_as_a_fraction() {
        assert_eq!("2/3".parse(), Ok(Shard { number: 2, of: 3 }));
        for wrong in ["0/3", "4/3", "1", "1/0", "a/b", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
