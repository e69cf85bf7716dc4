//! What servers can be asked to do besides serving, which not every kind and version can.

use super::Deployment;

/// Something that the servers themselves must be able to do for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// The leader hands over to another when it is asked.
    HandOver,
    /// A node can be made to lead, by asking or by force.
    LeadAgain,
    /// Members are removed and added while the cluster runs.
    Membership,
    /// The state is given out, and put back, while the cluster runs.
    Snapshot,
    /// A server is started as a cluster of its own, with the data that it has.
    ForceNewCluster,
}

/// The servers of a run cannot do what one of its faults asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotOffered(&'static str);

impl Ability {
    pub(super) const NO_HAND_OVER_BY_CONSUL: &'static str =
        "Consul 1.8 cannot be asked to hand over: choose `how = \"pause\"` or `how = \"cut\"`";
    pub(super) const NO_HAND_OVER_BY_ZOOKEEPER: &'static str =
        "a ZooKeeper leader cannot be asked to hand over: choose `how = \"pause\"` or `how = \"cut\"`";
    pub(super) const NO_SNAPSHOTS: &'static str = "of the services only Consul restores a snapshot while it runs: choose `amnesia`, which puts back a server's data";
}

impl Deployment {
    /// Whether these servers can do it.
    ///
    /// # Errors
    /// If they cannot: what to do instead.
    pub fn offers(&self, ability: Ability) -> Result<(), NotOffered> {
        let why_not = match (ability, self) {
            (Ability::HandOver, Self::Consul { .. }) => Ability::NO_HAND_OVER_BY_CONSUL,
            (Ability::HandOver, Self::ZooKeeper { .. }) => Ability::NO_HAND_OVER_BY_ZOOKEEPER,
            (Ability::LeadAgain, Self::ZooKeeper { .. }) => {
                "ZooKeeper elects who knows most, which nobody can choose: choose `how = \"pause\"` or `how = \"cut\"`"
            }
            (Ability::Membership, Self::ZooKeeper { options, .. }) if !options.reconfig => {
                "ZooKeeper changes its members while it runs from 3.5 on only: choose such servers, or another package"
            }
            (Ability::Snapshot, Self::Etcd { .. } | Self::ZooKeeper { .. }) => Ability::NO_SNAPSHOTS,
            (Ability::ForceNewCluster, Self::Consul { .. } | Self::ZooKeeper { .. }) => {
                "only etcd has a flag by which a server forgets the others: choose `how = \"rollback\"` or `how = \"wipe\"`"
            }
            _ => return Ok(()),
        };
        Err(NotOffered(why_not))
    }
}
