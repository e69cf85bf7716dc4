//! What makes a kind of fault: its package, its settings in a scenario, and its course in a run.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::de::ValueDeserializer;

use super::{Aim, Condition, Field, Site, Target};
use crate::cluster::ClusterError;
use crate::servers::Ability;

/// One kind of fault, as scenarios name it and `leasehold faults` lists it.
#[derive(Debug)]
pub struct Package {
    /// Its name in scenarios and histories.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Its own settings in a scenario, besides those that all packages have.
    pub settings: &'static [Setting],
    /// How it shows that it took effect.
    pub proof: &'static str,
    /// What it can be aimed at.
    pub aims: Aims,
    /// When it is over.
    pub course: Course,
    /// What the machine must grant for it, besides the sandbox.
    pub needs: &'static [Need],
    /// Its colour in plots, as `0xrrggbb`.
    pub colour: u32,
    /// Reads its settings.
    pub(crate) parse: Parse,
}

/// Reads the settings of a package from a scenario. Errors carry their place in the text.
pub(crate) type Parse = fn(ValueDeserializer<'_>) -> Result<Arc<dyn Fault>, toml::de::Error>;

/// A setting of a package.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in scenarios.
    pub name: &'static str,
    /// What it says, and in which unit; for choices, the words.
    pub says: &'static str,
}

/// What a package can be aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aims {
    /// The nodes that `target` says.
    AtTarget,
    /// The nodes or the client that `target` says.
    AtTargetOrClient,
    /// The leader, always: a scenario must not name a target.
    AtLeader,
}

/// When a fault of a package is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It lasts for the `lasts_ms` of the scenario.
    Lasts,
    /// It is over as soon as it is done.
    Instant,
}

/// What a machine may or may not grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Servers whose clocks are hooked.
    ClockHook,
    /// Control groups by which a server's share of the processor is limited.
    CpuGroup,
    /// Control groups by which a server's memory is limited.
    MemoryGroup,
    /// Servers whose calls to their disks can be held up.
    DiskGate,
}

impl Need {
    /// What is done where the machine does not grant it; `None` where the fault is not possible then.
    #[must_use]
    pub fn instead(self) -> Option<&'static str> {
        match self {
            Self::ClockHook | Self::MemoryGroup | Self::DiskGate => None,
            Self::CpuGroup => Some("short stops (`by = \"slices\"`)"),
        }
    }
}

/// A fault with its settings, before anything is broken.
pub trait Fault: fmt::Debug + Send + Sync {
    /// Its kind.
    fn package(&self) -> &'static Package;

    /// What it does, in a few words: those of the scenarios.
    fn describe(&self) -> String;

    /// The sites that its settings name, besides its target.
    fn sites(&self) -> Vec<Site> {
        Vec::new()
    }

    /// Whether it makes sense to aim it at this, as far as its settings go.
    ///
    /// # Errors
    /// If it does not: why, in words.
    fn takes(&self, _target: &Target) -> Result<(), String> {
        Ok(())
    }

    /// By how many millionths it lets the rate of a node's clock be wrong: negative for a slow one, 0 for most faults. The
    /// run declares it, see [`clock_rate_error_ppm`](super::clock_rate_error_ppm).
    fn clock_rate_ppm(&self) -> i64 {
        0
    }

    /// Whether it moves monotonic clocks, which not every server can bear.
    fn moves_monotonic_clocks(&self) -> bool {
        false
    }

    /// What the servers themselves must be able to do for it.
    fn asks(&self) -> Option<Ability> {
        None
    }

    /// The fault, aimed. Nothing happens yet.
    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection>;
}

/// One fault in its course: it is injected once, kept up until its time is over, and then healed once. It is healed even
/// if the injection failed, since that may have done half of its work.
#[async_trait]
pub trait Injection: Send {
    /// Breaks what is to be broken and returns the proof that it took effect.
    async fn inject(&mut self) -> Result<Value, FaultError>;

    /// What goes on between injection and healing, for faults that move. It is dropped when the fault's time is over, and
    /// must leave things so that [`Injection::heal`] can take them back.
    async fn keep_up(&mut self) {
        std::future::pending::<()>().await;
    }

    /// Takes everything back and returns what shows that.
    async fn heal(&mut self) -> Result<Value, FaultError>;
}

/// Why a fault could not be injected, healed or proven.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The cluster did not do what was asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The fault is in place, but nothing shows that it took effect.
    #[error("no effect: {0}")]
    DidNotBite(String),
    /// The condition for which it waited never came true.
    #[error("never: the condition `{0}` did not come true{hindrance}", hindrance = .0.hindrance())]
    NeverCame(Condition),
    /// Nothing plays the role that the fault aims at.
    #[error("no target: {0}")]
    NoTarget(String),
}

/// For [`Package::parse`]: the fault is its own settings.
pub(super) fn parse<T: Fault + DeserializeOwned + 'static>(
    settings: ValueDeserializer<'_>,
) -> Result<Arc<dyn Fault>, toml::de::Error> {
    Ok(Arc::new(T::deserialize(settings)?))
}
