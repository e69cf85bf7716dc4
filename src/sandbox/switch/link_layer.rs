//! What one fault asks of the links.

use super::{LinkRule, Side, Switch};

/// What one fault asks of the links, on top of what others ask. As long as two layers lie over a link, it suffers from
/// both; none that is lifted undoes another.
///
/// A layer that is dropped stays: what is broken when a run stops is not healed by that.
#[derive(Debug)]
pub struct LinkLayer {
    switch: Switch,
    number: u64,
}

impl LinkLayer {
    pub(super) fn new(switch: Switch, number: u64) -> Self {
        Self { switch, number }
    }

    /// Puts these rules, each for what the first side sends to the second, in the place of those that this layer had
    /// before. No packet sees some of them and not the others. When the call returns, they hold for every packet that has
    /// not arrived yet, those that a link is holding back included.
    ///
    /// # Panics
    /// If the network has no such node.
    pub fn lay<A: Into<Side>, B: Into<Side>>(&self, rules: impl IntoIterator<Item = (A, B, LinkRule)>) {
        let rules: Vec<_> = rules
            .into_iter()
            .map(|(from, to, rule)| (self.switch.known(from.into()), self.switch.known(to.into()), rule))
            .collect();
        let number = self.number;
        self.switch.ask(move |board| board.links.lay(number, rules));
    }

    /// Takes this layer away. What only it held back is delivered.
    pub fn lift(&self) {
        let number = self.number;
        self.switch.ask(move |board| board.links.lift(number));
    }
}
