//! The ids of leases, by which a place in a queue leads back to its owner.

use leasehold_workloads::op::Owner;

/// How the leases of a run are called. Clusters that serve one run only need no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leases {
    /// What stands above the owner, who has the lower bits.
    run: i64,
}

/// The bits of an owner: 8 million processes, each with 16 million attempts.
const OF_OWNERS: u32 = 47;

/// The numbers of runs that have a place above it, so that no id is negative.
const OF_RUNS: u16 = 0x7fff;

impl Leases {
    /// Those of the run with this number, of which 15 bits count.
    pub(super) fn of_run(number: u16) -> Self {
        Self { run: i64::from(number & OF_RUNS) << OF_OWNERS }
    }

    /// The id of the lease of this acquisition.
    pub(super) fn id(self, owner: Owner) -> i64 {
        self.run | owner.lease_id()
    }

    /// Whether this lease is certainly of this run: of runs without a number nobody knows.
    pub(super) fn are_of(self, lease: i64) -> bool {
        self.run != 0 && self.owner(lease).is_some()
    }

    /// The acquisition that uses this lease; `None` if it is none of this run's.
    pub(super) fn owner(self, lease: i64) -> Option<Owner> {
        let is_ours = self.run == 0 || lease >> OF_OWNERS == self.run >> OF_OWNERS;
        Owner::from_lease_id(lease ^ self.run).filter(|_| is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leases_of_two_runs_differ_and_lead_back_to_their_owners() {
        let owner = Owner { process: 1_017, attempt: 3 };
        let ids = [0, 1, 2, 0x7fff].map(|number| (Leases::of_run(number), Leases::of_run(number).id(owner)));
        for (index, (leases, id)) in ids.into_iter().enumerate() {
            assert!(id > 0);
            assert_eq!(leases.owner(id), Some(owner));
            assert!(ids[..index].iter().all(|(_, other)| *other != id));
        }
        assert_eq!(Leases::of_run(2).owner(ids[1].1), None);
        assert!(Leases::of_run(1).are_of(ids[1].1) && !Leases::of_run(2).are_of(ids[1].1));
        assert!(!Leases::default().are_of(ids[0].1));
        assert_eq!(Leases::of_run(1).owner(ids[0].1), None);
        assert_eq!(ids[0].1, owner.lease_id());
    }
}
