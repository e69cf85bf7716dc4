//! Histories of simulated clients, for benches and tests: the same seed gives the same history for ever.
//!
//! Clients that are never idle share one correct object. With a register, each event takes one tick of one nanosecond; at each tick
//! a client chosen at random goes one step further: it calls, its operation takes effect, or it is answered. An operation
//! that is never answered takes effect at its time or not at all, and its client goes on under a new number.

mod lock;
mod random;
mod register;

pub use lock::LockWorkload;
pub use random::Random;
pub use register::{Domain, RegisterWorkload};

use super::Call;
use crate::history::RunTime;

/// What all workloads have.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The seed.
    pub seed: u64,
    /// How many operations.
    pub ops: usize,
    /// How many clients.
    pub clients: usize,
    /// How many operations in a thousand are never answered.
    pub unanswered_per_mille: u64,
    /// Whether one answer, in the last fifth, is made wrong.
    pub broken: bool,
}

/// What the simulation asks and is told.
trait Object {
    type Asked: Copy;
    type Told: Copy;

    /// What a client asks next; `None` lets it wait.
    fn ask(&mut self, client: usize, random: &mut Random) -> Option<Self::Asked>;

    /// The operation takes effect.
    fn apply(&mut self, client: usize, asked: Self::Asked) -> Self::Told;

    /// What is recorded of an operation, answered or not; `None` if nothing.
    fn record(&self, asked: Self::Asked, told: Option<Self::Told>) -> Option<Self::Told>;
}

enum Doing<A, T> {
    Nothing,
    Called { asked: A, call: usize },
    Applied { asked: A, call: usize, told: T },
}

/// The client, the call, the return and what is recorded.
type Record<T> = (u64, RunTime, Option<RunTime>, Option<T>);

fn simulate<O: Object>(object: &mut O, load: &Load, random: &mut Random) -> Vec<Call<O::Told>> {
    let mut doing: Vec<_> = (0..load.clients).map(|_| Doing::Nothing).collect();
    let mut names: Vec<u64> = (0..load.clients as u64).collect();
    let mut next_name = load.clients as u64;
    let mut records: Vec<Record<O::Told>> = Vec::with_capacity(load.ops);
    let mut under_way = 0;
    let mut waited = 0;
    let mut tick = 0;
    while (records.len() < load.ops && waited < 1_000 * load.clients) || under_way > 0 {
        tick += 1;
        let client = random.below(load.clients as u64) as usize;
        doing[client] = match std::mem::replace(&mut doing[client], Doing::Nothing) {
            Doing::Nothing if records.len() < load.ops => match object.ask(client, random) {
                Some(asked) => {
                    waited = 0;
                    under_way += 1;
                    records.push((names[client], RunTime(tick), None, None));
                    Doing::Called { asked, call: records.len() - 1 }
                }
                None => {
                    waited += 1;
                    Doing::Nothing
                }
            },
            Doing::Nothing => Doing::Nothing,
            Doing::Called { asked, call } => {
                let is_lost = random.below(1_000) < load.unanswered_per_mille;
                let happens = !is_lost || random.below(2) == 0;
                let told = happens.then(|| object.apply(client, asked));
                match told {
                    Some(told) if !is_lost => Doing::Applied { asked, call, told },
                    _ => {
                        records[call].3 = object.record(asked, None);
                        names[client] = next_name;
                        next_name += 1;
                        under_way -= 1;
                        Doing::Nothing
                    }
                }
            }
            Doing::Applied { asked, call, told } => {
                records[call].2 = Some(RunTime(tick));
                records[call].3 = object.record(asked, Some(told));
                under_way -= 1;
                Doing::Nothing
            }
        };
    }
    let told =
        records.into_iter().filter_map(|(process, called, returned, told)| Some((process, called, returned, told?)));
    told.enumerate()
        .map(|(op, (process, called, returned, action))| Call { op, process, called, returned, action })
        .collect()
}
