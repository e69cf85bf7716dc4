//! stub
use super::RegisterHistory;
use super::problem::Problem;
use crate::linear::{Budget, Witness};
pub(super) fn of(_: &RegisterHistory, _: &Problem, _: usize, _: &Budget<'_>) -> Witness {
    Witness { ops: vec![], stuck_at: 0, states_before: vec![], explanation: String::new() }
}
