//! The ids of leases, by which a place in a queue leads back to its owner.

use leasehold_workloads::op::Owner;

/// Of which sign the ids of leases are. etcd itself chooses positive ones, and takes any that a client chooses but 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseIds {
    /// As etcd's own.
    #[default]
    Positive,
    /// etcd 3.3.25, 3.5.0 and 3.5.1 forget such leases as they restart (issue 12535).
    Negative,
}

/// How the leases of a run are called. Clusters that serve one run only need no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leases {
    /// What stands above the owner, who has the lower bits.
    run: i64,
    sign: LeaseIds,
}

/// The bits of an owner: 8 million processes, each with 16 million attempts.
const OF_OWNERS: u32 = 47;

/// The numbers of runs that have a place above it, so that no id is negative.
const OF_RUNS: u16 = 0x7fff;

impl Leases {
    /// The same of the run with this number, of which 15 bits count.
    pub(super) fn of_run(self, number: u16) -> Self {
        Self { run: i64::from(number & OF_RUNS) << OF_OWNERS, ..self }
    }

    /// The same with this sign.
    pub(super) fn with_sign(self, sign: LeaseIds) -> Self {
        Self { sign, ..self }
    }

    /// The id of the lease of this acquisition.
    pub(super) fn id(self, owner: Owner) -> i64 {
        self.signed(self.run | owner.lease_id())
    }

    /// Whether this lease is certainly of this run: of runs without a number nobody knows.
    pub(super) fn are_of(self, lease: i64) -> bool {
        self.run != 0 && self.owner(lease).is_some()
    }

    /// The acquisition that uses this lease; `None` if it is none of this run's.
    pub(super) fn owner(self, lease: i64) -> Option<Owner> {
        let lease = self.signed(lease);
        let is_ours = self.run == 0 || lease >> OF_OWNERS == self.run >> OF_OWNERS;
        Owner::from_lease_id(lease ^ self.run).filter(|_| is_ours)
    }

    /// To the id from what is positive in it, and back.
    fn signed(self, id: i64) -> i64 {
        match self.sign {
            LeaseIds::Positive => id,
            LeaseIds::Negative => id.wrapping_neg(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leases_of_two_runs_differ_and_lead_back_to_their_owners() {
        let owner = Owner { process: 1_017, attempt: 3 };
        let ids = [0, 1, 2, 0x7fff]
            .map(|number| (Leases::default().of_run(number), Leases::default().of_run(number).id(owner)));
        for (index, (leases, id)) in ids.into_iter().enumerate() {
            assert!(id > 0);
            assert_eq!(leases.owner(id), Some(owner));
            assert!(ids[..index].iter().all(|(_, other)| *other != id));
        }
        assert_eq!(Leases::default().of_run(2).owner(ids[1].1), None);
        assert!(Leases::default().of_run(1).are_of(ids[1].1) && !Leases::default().of_run(2).are_of(ids[1].1));
        assert!(!Leases::default().are_of(ids[0].1));
        assert_eq!(Leases::default().of_run(1).owner(ids[0].1), None);
        assert_eq!(ids[0].1, owner.lease_id());
    }

    #[test]
    fn leases_of_either_sign_lead_back_to_their_owners() {
        let owner = Owner { process: 1_017, attempt: 3 };
        for leases in [Leases::default(), Leases::default().of_run(0x7fff)] {
            let negative = leases.with_sign(LeaseIds::Negative);
            assert_eq!(negative.id(owner), -leases.id(owner));
            assert_eq!(negative.owner(negative.id(owner)), Some(owner));
            assert_eq!((negative.owner(leases.id(owner)), leases.owner(negative.id(owner))), (None, None));
            for foreign in [i64::MIN, 0] {
                assert_eq!((leases.owner(foreign), negative.owner(foreign)), (None, None));
            }
        }
    }
}
