//! The faults of a scenario: what all packages have in common is read here, the rest by the package itself.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Source;
use crate::nemesis::{Aims, Course, FaultPlan, PACKAGES, Package, TARGET_WORDS, Target, package};
use crate::scenario::ScenarioError;
use crate::scenario::error::did_you_mean;
use crate::servers::Runtime;

const MAX_TIMES: u32 = 10_000;

/// The settings that all packages have, whatever their own are.
const COMMON: [&str; 6] = ["target", "at_ms", "lasts_ms", "every_ms", "times", "jitter_ms"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    target: Option<Spanned<String>>,
    at_ms: u64,
    lasts_ms: Option<Spanned<u64>>,
    every_ms: Option<Spanned<u64>>,
    times: Option<Spanned<u32>>,
    #[serde(default)]
    jitter_ms: u64,
}

/// Reads the tables `[[nemesis]]` of a cluster of so many nodes, whose servers are written for this runtime.
pub(super) fn plans(
    source: &Source,
    nemesis: Option<Spanned<DeValue<'_>>>,
    nodes: u8,
    runtime: Runtime,
) -> Result<Vec<FaultPlan>, ScenarioError> {
    let Some(nemesis) = nemesis else { return Ok(Vec::new()) };
    let at = nemesis.span();
    let wrong = |at| source.wrong(at, "faults are tables `[[nemesis]]`, one for each");
    let DeValue::Array(tables) = nemesis.into_inner() else { return Err(wrong(at)) };
    tables
        .into_iter()
        .map(|table| match (table.span(), table.into_inner()) {
            (at, DeValue::Table(table)) => plan(source, at, table, nodes, runtime),
            (at, _) => Err(wrong(at)),
        })
        .collect()
}

fn plan(
    source: &Source,
    at: Range<usize>,
    mut settings: DeTable<'_>,
    nodes: u8,
    runtime: Runtime,
) -> Result<FaultPlan, ScenarioError> {
    let package = package_of(source, &at, &mut settings)?;
    refuse_unknown(source, package, &settings)?;
    let (common, own): (DeTable<'_>, DeTable<'_>) =
        settings.into_iter().partition(|(name, _)| COMMON.contains(&name.get_ref().as_ref()));
    let read = |table| ValueDeserializer::from(Spanned::new(at.clone(), DeValue::Table(table)));
    let common = Common::deserialize(read(common)).map_err(|error| source.refused(&error))?;
    let fault = (package.parse)(read(own)).map_err(|error| source.refused(&error))?;
    if fault.moves_monotonic_clocks() {
        runtime.bears_moved_monotonic_clocks().map_err(|reason| source.wrong(at.clone(), reason))?;
    }
    let times = times(source, &common)?;
    Ok(FaultPlan {
        fault,
        target: target(source, package, &common, nodes)?,
        at: Duration::from_millis(common.at_ms),
        lasts: lasts(source, &at, package, &common)?,
        times,
        every: match times {
            1 => Duration::ZERO,
            _ => source.millis(&at, "every_ms", &common.every_ms)?,
        },
        jitter: Duration::from_millis(common.jitter_ms),
    })
}

fn package_of(
    source: &Source,
    at: &Range<usize>,
    settings: &mut DeTable<'_>,
) -> Result<&'static Package, ScenarioError> {
    let known = PACKAGES.map(|package| package.name);
    let listed = known.map(|name| format!("`{name}`")).join(", ");
    let Some(word) = settings.remove("package") else {
        return Err(source.wrong(at.clone(), format!("`package` is missing here: one of {listed}")));
    };
    let name = word.get_ref().as_str().unwrap_or_default();
    package(name).ok_or_else(|| {
        let hint = did_you_mean(name, &known);
        source.wrong(word.span(), format!("unknown package `{name}`, expected one of {listed}{hint}"))
    })
}

fn refuse_unknown(source: &Source, package: &Package, settings: &DeTable<'_>) -> Result<(), ScenarioError> {
    let known: Vec<&str> = package.settings.iter().map(|setting| setting.name).chain(COMMON).collect();
    let Some((name, _)) = settings.iter().find(|(name, _)| !known.contains(&name.get_ref().as_ref())) else {
        return Ok(());
    };
    let listed: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    Err(source.wrong(
        name.span(),
        format!(
            "`{}` is no setting of the package `{}`, which has {}{}",
            name.get_ref(),
            package.name,
            listed.join(", "),
            did_you_mean(name.get_ref(), &known)
        ),
    ))
}

fn lasts(source: &Source, at: &Range<usize>, package: &Package, common: &Common) -> Result<Duration, ScenarioError> {
    match (package.course, &common.lasts_ms) {
        (Course::Lasts, lasts) => source.millis(at, "lasts_ms", lasts),
        (Course::Instant, None) => Ok(Duration::ZERO),
        (Course::Instant, Some(lasts)) => {
            Err(source.wrong(lasts.span(), format!("a fault of the package `{}` has no length", package.name)))
        }
    }
}

fn times(source: &Source, common: &Common) -> Result<u32, ScenarioError> {
    match (&common.times, &common.every_ms) {
        (None, None) => Ok(1),
        (None, Some(every)) => Err(source.wrong(every.span(), "`every_ms` needs `times`: how often to repeat it")),
        (Some(times), _) if (1..=MAX_TIMES).contains(times.get_ref()) => Ok(*times.get_ref()),
        (Some(times), _) => Err(source.wrong(times.span(), format!("`times` must be from 1 to {MAX_TIMES}"))),
    }
}

fn target(source: &Source, package: &Package, common: &Common, nodes: u8) -> Result<Target, ScenarioError> {
    let Some(word) = &common.target else {
        return Ok(Target::Leader);
    };
    if package.aims == Aims::AtLeader {
        return Err(source.wrong(word.span(), format!("the package `{}` always aims at the leader", package.name)));
    }
    let target = word.get_ref().parse().map_err(|message| {
        let known = TARGET_WORDS.map(|word| format!("`{word}`")).join(", ");
        let hint = did_you_mean(word.get_ref(), &TARGET_WORDS);
        source.wrong(word.span(), format!("{message}, expected one of {known} or a node like `n1`{hint}"))
    })?;
    match target {
        Target::Node(node) if node.number() > nodes => {
            Err(source.wrong(word.span(), format!("there is no node {node}: the cluster has {nodes}")))
        }
        target => Ok(target),
    }
}
