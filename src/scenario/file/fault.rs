//! The faults of a scenario: what all packages have in common is read here, the rest by the package itself.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Source;
use crate::cluster::Topology;
use crate::nemesis::{
    Aims, Begins, CLIENT_WORDS, CONDITION_FORMS, Condition, Course, FaultPlan, Happened, PACKAGES, Package, Site,
    TARGET_WORDS, Target, package,
};
use crate::scenario::ScenarioError;
use crate::scenario::error::did_you_mean;
use crate::servers::Software;

const MAX_TIMES: u32 = 10_000;

/// How long a condition is not looked for after a fault has been healed, if the scenario does not say it.
const COOLDOWN: Duration = Duration::from_secs(1);

/// The settings that all packages have, whatever their own are.
const COMMON: [&str; 10] =
    ["target", "at_ms", "lasts_ms", "every_ms", "within_ms", "when", "cooldown_ms", "times", "jitter_ms", "phase"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    target: Option<Spanned<String>>,
    at_ms: Option<u64>,
    lasts_ms: Option<Spanned<u64>>,
    every_ms: Option<Spanned<u64>>,
    within_ms: Option<Spanned<u64>>,
    when: Option<Spanned<String>>,
    cooldown_ms: Option<Spanned<u64>>,
    times: Option<Spanned<u32>>,
    jitter_ms: Option<Spanned<u64>>,
    phase: Option<Spanned<u32>>,
}

/// What the faults of a scenario may be about.
pub(super) struct Scope<'a> {
    /// How many nodes there are.
    pub nodes: u8,
    /// Which stand in which data centre.
    pub topology: &'a Topology,
    /// The locks.
    pub keys: Vec<String>,
    /// What the servers are.
    pub software: Software,
}

/// Reads the tables `[[nemesis]]`.
pub(super) fn plans(
    source: &Source,
    nemesis: Option<Spanned<DeValue<'_>>>,
    scope: &Scope<'_>,
) -> Result<Vec<FaultPlan>, ScenarioError> {
    let Some(nemesis) = nemesis else { return Ok(Vec::new()) };
    let at = nemesis.span();
    let wrong = |at| source.wrong(at, "faults are tables `[[nemesis]]`, one for each");
    let DeValue::Array(tables) = nemesis.into_inner() else { return Err(wrong(at)) };
    let count = tables.len();
    (1..)
        .zip(tables)
        .map(|(number, table)| match (table.span(), table.into_inner()) {
            (at, DeValue::Table(table)) => plan(source, at, table, Place { scope, number, of: count }),
            (at, _) => Err(wrong(at)),
        })
        .collect()
}

/// Which table of how many it is.
#[derive(Clone, Copy)]
struct Place<'a> {
    scope: &'a Scope<'a>,
    number: u32,
    of: usize,
}

fn plan(
    source: &Source,
    at: Range<usize>,
    mut settings: DeTable<'_>,
    place: Place<'_>,
) -> Result<FaultPlan, ScenarioError> {
    let package = package_of(source, &at, &mut settings)?;
    refuse_unknown(source, package, &settings)?;
    let (common, own): (DeTable<'_>, DeTable<'_>) =
        settings.into_iter().partition(|(name, _)| COMMON.contains(&name.get_ref().as_ref()));
    let read = |table| ValueDeserializer::from(Spanned::new(at.clone(), DeValue::Table(table)));
    let common = Common::deserialize(read(common)).map_err(|error| source.refused(&error))?;
    let fault = (package.parse)(read(own)).map_err(|error| source.refused(&error))?;
    for site in fault.sites() {
        check_site(source, &at, &site, place.scope)?;
    }
    let target = target(source, package, &common, place.scope)?;
    let target_at = common.target.as_ref().map_or(at.clone(), Spanned::span);
    fault.takes(&target).map_err(|message| source.wrong(target_at, message))?;
    fault.takes_servers(place.scope.software).map_err(|message| source.wrong(at.clone(), message))?;
    if fault.moves_monotonic_clocks() {
        place
            .scope
            .software
            .runtime()
            .bears_moved_monotonic_clocks()
            .map_err(|reason| source.wrong(at.clone(), reason))?;
    }
    Ok(FaultPlan {
        fault,
        target,
        phase: common.phase.as_ref().map(|phase| *phase.get_ref()),
        begins: begins(source, &at, &common, place)?,
        lasts: lasts(source, &at, package, &common)?,
    })
}

/// When it begins: at set times, at random ones, or on a condition. Each has settings that the others have not.
fn begins(source: &Source, at: &Range<usize>, common: &Common, place: Place<'_>) -> Result<Begins, ScenarioError> {
    let times = times(source, common)?;
    if let Some(when) = &common.when {
        let owner = "a fault that waits for a condition";
        source.reject(owner, "every_ms", &common.every_ms)?;
        source.reject(owner, "within_ms", &common.within_ms)?;
        source.reject(owner, "jitter_ms", &common.jitter_ms)?;
        return Ok(Begins::When {
            condition: condition(source, when, place)?,
            at: Duration::from_millis(common.at_ms.unwrap_or(0)),
            times: times.unwrap_or(1),
            cooldown: common.cooldown_ms.as_ref().map_or(COOLDOWN, |ms| Duration::from_millis(*ms.get_ref())),
        });
    }
    source.reject("a fault without `when`", "cooldown_ms", &common.cooldown_ms)?;
    let begin = common.at_ms.ok_or_else(|| source.wrong(at.clone(), "`at_ms` or `when` is missing here"))?;
    let begin = Duration::from_millis(begin);
    if common.within_ms.is_some() {
        let owner = "a fault at random times, which has `within_ms`";
        source.reject(owner, "every_ms", &common.every_ms)?;
        source.reject(owner, "jitter_ms", &common.jitter_ms)?;
        let within = source.millis(at, "within_ms", &common.within_ms)?;
        return Ok(Begins::Within { at: begin, within, times: times.unwrap_or(1) });
    }
    let every = match (times, &common.every_ms) {
        (None, Some(every)) => {
            return Err(source.wrong(every.span(), "`every_ms` needs `times`: how often to repeat it"));
        }
        (None | Some(1), _) => Duration::ZERO,
        (Some(_), _) => source.millis(at, "every_ms", &common.every_ms)?,
    };
    let jitter = common.jitter_ms.as_ref().map_or(Duration::ZERO, |ms| Duration::from_millis(*ms.get_ref()));
    Ok(Begins::Every { at: begin, every, times: times.unwrap_or(1), jitter })
}

fn condition(source: &Source, when: &Spanned<String>, place: Place<'_>) -> Result<Condition, ScenarioError> {
    let wrong = |message: String| Err(source.wrong(when.span(), message));
    let condition: Condition = when.get_ref().parse().or_else(|error| {
        let forms = CONDITION_FORMS.map(|form| format!("`{form}`")).join(", ");
        let hint = did_you_mean(when.get_ref(), &CONDITION_FORMS);
        wrong(format!("{error}; conditions look like {forms}{hint}"))
    })?;
    match condition {
        Condition::After(Happened::Fault(number), _) if number == place.number => {
            wrong(format!("fault {number} is this one, and it cannot wait for its own end"))
        }
        Condition::After(Happened::Fault(number), _) if number == 0 || number as usize > place.of => {
            wrong(format!("there is no fault {number}: the scenario has {} tables `[[nemesis]]`", place.of))
        }
        condition => match condition.node() {
            Some(node) => check_site(source, &when.span(), &Site::Node(node), place.scope).map(|()| condition),
            None => Ok(condition),
        },
    }
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

fn times(source: &Source, common: &Common) -> Result<Option<u32>, ScenarioError> {
    match &common.times {
        None => Ok(None),
        Some(times) if (1..=MAX_TIMES).contains(times.get_ref()) => Ok(Some(*times.get_ref())),
        Some(times) => Err(source.wrong(times.span(), format!("`times` must be from 1 to {MAX_TIMES}"))),
    }
}

fn target(source: &Source, package: &Package, common: &Common, scope: &Scope<'_>) -> Result<Target, ScenarioError> {
    let Some(word) = &common.target else {
        return Ok(Target::Leader);
    };
    let wrong = |message: String| Err(source.wrong(word.span(), message));
    if package.aims == Aims::AtLeader {
        return wrong(format!("the package `{}` always aims at the leader", package.name));
    }
    let target: Target = word.get_ref().parse().or_else(|message| {
        let known: Vec<&str> = TARGET_WORDS.into_iter().chain(CLIENT_WORDS).collect();
        let listed = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let hint = did_you_mean(word.get_ref(), &known);
        wrong(format!("{message}, expected one of {listed}, a node like `n1` or a data centre like `dc:east`{hint}"))
    })?;
    if target.is_client() && package.aims != Aims::AtTargetOrClient {
        return wrong(format!(
            "`{target}` is a client, and the package `{}` aims at nodes; `holder-node` is the node that it talks to",
            package.name
        ));
    }
    if let Some(key) = target.key().filter(|key| !scope.keys.iter().any(|known| known == key)) {
        let known: Vec<&str> = scope.keys.iter().map(String::as_str).collect();
        let hint = did_you_mean(key, &known);
        return wrong(format!("there is no lock `{key}`: the workload has {}{hint}", shown(&known)));
    }
    match &target {
        Target::Node(node) => check_site(source, &word.span(), &Site::Node(*node), scope)?,
        Target::Dc(name) => check_site(source, &word.span(), &Site::Dc(name.clone()), scope)?,
        _ => {}
    }
    Ok(target)
}

/// Whether a site is one of this cluster's.
fn check_site(source: &Source, at: &Range<usize>, site: &Site, scope: &Scope<'_>) -> Result<(), ScenarioError> {
    let Scope { nodes, topology, .. } = scope;
    match site {
        Site::Node(node) if node.number() > *nodes => {
            Err(source.wrong(at.clone(), format!("there is no node {node}: the cluster has {nodes}")))
        }
        Site::Dc(name) if !topology.dcs.contains_key(name) => {
            let known: Vec<&str> = topology.dcs.keys().map(String::as_str).collect();
            let hint = did_you_mean(name, &known);
            Err(source.wrong(at.clone(), format!("there is no data centre `{name}` under `[topology]`{hint}")))
        }
        _ => Ok(()),
    }
}

/// The first and the last of many names.
fn shown(names: &[&str]) -> String {
    match names {
        [first, .., last] => format!("`{first}` to `{last}`"),
        names => names.iter().map(|name| format!("`{name}`")).collect(),
    }
}
