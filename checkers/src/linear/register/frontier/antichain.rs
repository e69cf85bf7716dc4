//! Configurations, and sets of them in which none dominates another.

use super::Unanswered;
use super::mask::Mask;
use super::uses::Uses;

/// What one way of ordering the operations so far has come to.
#[derive(Clone, Copy)]
pub(super) struct Config<M> {
    /// The register's value.
    pub(super) value: u32,
    /// Which effects of unanswered operations it used, as numbered by [`Uses`].
    pub(super) uses: u32,
    /// The writes and swaps under way whose effect was seen.
    pub(super) used: M,
    /// The operations under way that have nothing left to demand: they could return.
    pub(super) settled: M,
}

impl<M: Mask> Config<M> {
    /// Rule R5: whether each continuation of the other, at the same value, is one of this as well.
    fn dominates(&self, other: &Self, unanswered: Unanswered, uses: &Uses) -> bool {
        self.used.is_within(other.used)
            && other.settled.is_within(self.settled)
            && (self.uses == other.uses
                || match unanswered {
                    Unanswered::AnyNumberOfTimes => true,
                    Unanswered::Sparingly | Unanswered::OnceByTotal => uses.total(self.uses) <= uses.total(other.uses),
                    Unanswered::OnceEach => uses.is_within(self.uses, other.uses),
                })
    }
}

/// A set of configurations in which none dominates another, each with a label.
#[derive(Clone)]
pub(super) struct Antichain<M> {
    by_value: Vec<Vec<(Config<M>, u32)>>,
    /// The values that may have configurations.
    touched: Vec<u32>,
    /// How many configurations were compared with others, as a measure of work.
    pub(super) compared: usize,
}

impl<M: Mask> Antichain<M> {
    pub(super) fn new(values: u32) -> Self {
        Self { by_value: (0..values).map(|_| Vec::new()).collect(), touched: Vec::new(), compared: 0 }
    }

    pub(super) fn make_room(&mut self, values: usize) {
        self.by_value.resize_with(values.max(self.by_value.len()), Vec::new);
    }

    /// Adds a configuration unless one of the set dominates it, and tells whether it did. `evicted` is told the labels
    /// of those that it dominates, which leave the set.
    pub(super) fn insert(
        &mut self,
        config: Config<M>,
        label: u32,
        unanswered: Unanswered,
        uses: &Uses,
        mut evicted: impl FnMut(u32),
    ) -> bool {
        let same_value = &mut self.by_value[config.value as usize];
        self.compared += 1 + same_value.len();
        if same_value.is_empty() {
            self.touched.push(config.value);
        } else if same_value.iter().any(|(other, _)| other.dominates(&config, unanswered, uses)) {
            return false;
        } else {
            same_value.retain(|(other, label)| {
                let dominated = config.dominates(other, unanswered, uses);
                if dominated {
                    evicted(*label);
                }
                !dominated
            });
        }
        same_value.push((config, label));
        true
    }

    /// Empties the set.
    pub(super) fn clear(&mut self) {
        for value in self.touched.drain(..) {
            self.by_value[value as usize].clear();
        }
    }

    /// Empties the set into a list, and the labels into another.
    pub(super) fn drain_into(&mut self, list: &mut Vec<Config<M>>, labels: &mut Vec<u32>) {
        list.clear();
        labels.clear();
        for value in self.touched.drain(..) {
            for (config, label) in self.by_value[value as usize].drain(..) {
                list.push(config);
                labels.push(label);
            }
        }
    }
}
