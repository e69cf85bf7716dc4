//! The TOML shape of a suite.

use std::path::{Path, PathBuf};

use leasehold_workloads::scenarios::SUITES;
use serde::Deserialize;

use super::{Cell, Expectation, Plan, SuiteError};
use crate::scenario::Scenario;
use crate::servers::ServerSpec;

const MOST_CELLS: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    summary: String,
    cells: Vec<Block>,
}

/// All combinations of what it lists.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    scenarios: Vec<String>,
    /// Left out: each scenario's own.
    servers: Option<Vec<String>>,
    /// A client program of the user's own in place of our adapter.
    client: Option<PathBuf>,
    #[serde(default)]
    seeds: Seeds,
    seconds: Option<u64>,
    #[serde(default = "with_faults")]
    faults: bool,
    expect: Expectation,
}

fn with_faults() -> bool {
    true
}

/// Which seeds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seeds {
    /// These.
    Listed(Vec<u64>),
    /// From the first to the last: `"1..10"`.
    Range(String),
}

impl Default for Seeds {
    fn default() -> Self {
        Self::Listed(vec![1])
    }
}

impl Seeds {
    fn all(&self) -> Result<Vec<u64>, String> {
        match self {
            Self::Listed(seeds) if seeds.is_empty() => Err("`seeds` names none".to_owned()),
            Self::Listed(seeds) => Ok(seeds.clone()),
            Self::Range(text) => {
                let ends =
                    text.split_once("..").and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
                match ends {
                    Some((first, last)) if first <= last && last - first < MOST_CELLS as u64 => {
                        Ok((first..=last).collect())
                    }
                    _ => Err(format!("`{text}` is no range of seeds: write \"1..10\" for ten of them")),
                }
            }
        }
    }
}

impl Plan {
    /// The suite of this name, or in the file at this path.
    ///
    /// # Errors
    /// If there is none, or its text makes no suite.
    pub fn load(name_or_path: &str) -> Result<Self, SuiteError> {
        if let Some(named) = SUITES.iter().find(|named| named.name == name_or_path) {
            return Self::parse(named.name, named.name, named.toml);
        }
        if !name_or_path.contains('/') && !name_or_path.ends_with(".toml") {
            let known = SUITES.iter().map(|named| named.name).collect::<Vec<_>>().join(", ");
            return Err(SuiteError::Unknown { name: name_or_path.to_owned(), known });
        }
        let path = Path::new(name_or_path);
        let text =
            std::fs::read_to_string(path).map_err(|source| SuiteError::Unreadable { path: path.to_owned(), source })?;
        let name = path.file_stem().map_or_else(|| "suite".into(), std::ffi::OsStr::to_string_lossy);
        Self::parse(&name, name_or_path, &text)
    }

    /// A suite from its text; `origin` is what errors call it.
    ///
    /// # Errors
    /// If the text makes no suite.
    pub fn parse(name: &str, origin: &str, text: &str) -> Result<Self, SuiteError> {
        let wrong = |message: String| SuiteError::Wrong { origin: origin.to_owned(), message };
        let file: File = toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        let mut cells: Vec<(usize, Cell)> = Vec::new();
        for block in &file.cells {
            cells.extend(block.cells(&wrong)?);
            if cells.len() > MOST_CELLS {
                return Err(wrong(format!("it has more than {MOST_CELLS} runs")));
            }
        }
        // A suite that is cut short has made all runs with fewer seeds, and not some runs with all.
        cells.sort_by_key(|&(turn, _)| turn);
        let cells: Vec<Cell> = cells.into_iter().map(|(_, cell)| cell).collect();
        let mut ids: Vec<&str> = cells.iter().map(|cell| &*cell.id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(wrong(format!("the run {} stands in it twice", twice[0])));
        }
        if cells.is_empty() {
            return Err(wrong("it has no runs".to_owned()));
        }
        Ok(Self { name: name.to_owned(), summary: file.summary, cells })
    }
}

impl Block {
    /// Its runs, each with the place of its seed among them.
    fn cells(&self, wrong: &impl Fn(String) -> SuiteError) -> Result<Vec<(usize, Cell)>, SuiteError> {
        let seeds = self.seeds.all().map_err(wrong)?;
        if let Some(seconds @ (0 | 86_401..)) = self.seconds {
            return Err(wrong(format!("`seconds` must be from 1 to 86400, and not {seconds}")));
        }
        if let Expectation::Invalid { kinds, .. } | Expectation::Known { kinds, .. } = &self.expect
            && kinds.is_empty()
        {
            return Err(wrong("`expect` names no kind of anomaly".to_owned()));
        }
        let client = self.client.as_deref().and_then(Path::file_stem);
        let client = client.map(|stem| format!("-by-{}", stem.to_string_lossy())).unwrap_or_default();
        let mut cells = Vec::new();
        for scenario_name in &self.scenarios {
            let scenario = Scenario::load(scenario_name)?;
            let own = vec![scenario.servers.to_string()];
            for servers in self.servers.as_ref().unwrap_or(&own) {
                let spec: ServerSpec = servers.parse().map_err(|error| wrong(format!("{error}")))?;
                let needed = scenario.service.software().name();
                if spec.service != needed {
                    return Err(wrong(format!("{} is about {needed}, and {spec} is none", scenario.name)));
                }
                for (turn, &seed) in seeds.iter().enumerate() {
                    let faults = if self.faults { "" } else { "-no-faults" };
                    let cell = Cell {
                        id: format!("{}{client}{faults}/{spec}/{seed}", scenario.name),
                        scenario: scenario_name.clone(),
                        servers: spec.to_string(),
                        program: None,
                        client: self.client.clone(),
                        seed,
                        seconds: self.seconds.unwrap_or(scenario.duration.as_secs()),
                        shortened: self.seconds.is_some(),
                        faults: self.faults,
                        expect: self.expect.clone(),
                        measured_ms: None,
                    };
                    cells.push((turn, cell));
                }
            }
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Kind;

    const GOOD: &str = r#"
summary = "s"

[[cells]]
scenarios = ["etcd-v3-calm", "etcd-v3-leader-change"]
servers = ["etcd@3.4.23", "etcd@3.5.30"]
seeds = "1..3"
expect = "valid"

[[cells]]
scenarios = ["etcd-v2-early-expiry"]
expect = { invalid = { kinds = ["premature-expiry"], also = ["double-acquisition"] } }
"#;

    fn parse(text: &str) -> Result<Plan, SuiteError> {
        Plan::parse("s", "s.toml", text)
    }

    #[test]
    fn a_block_is_all_combinations_of_what_it_lists() {
        let plan = parse(GOOD).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.cells.len(), 2 * 2 * 3 + 1);
        assert_eq!(plan.cells[0].id, "etcd-v3-calm/etcd@3.4.23/1");
        assert_eq!(plan.cells[0].group(), "etcd-v3-calm/etcd@3.4.23");
        let seeds: Vec<u64> = plan.cells.iter().map(|cell| cell.seed).collect();
        assert_eq!(seeds, [1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3], "the first of everything comes first");
        assert_eq!(plan.cells[0].arguments().join(" "), "run etcd-v3-calm --servers etcd@3.4.23 --seed 1");
        let early = &plan.cells[4];
        assert_eq!((early.servers.as_str(), early.seed, early.seconds), ("etcd@3.4.23", 1, 20));
        let Expectation::Invalid { kinds, also } = &early.expect else { panic!("it is expected to be invalid") };
        assert_eq!((&kinds[..], &also[..]), (&[Kind::PrematureExpiry][..], &[Kind::DoubleAcquisition][..]));
    }

    #[test]
    fn a_client_of_ones_own_stands_in_the_name_and_the_command() {
        let plan = parse(&GOOD.replacen("seeds =", "client = \"./my-locks.py\"\nseeds =", 1));
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.cells[0].id, "etcd-v3-calm-by-my-locks/etcd@3.4.23/1");
        let command = "run etcd-v3-calm --servers etcd@3.4.23 --client ./my-locks.py --seed 1";
        assert_eq!(plan.cells[0].arguments().join(" "), command);
    }

    #[test]
    fn what_makes_no_suite_is_told() {
        let error_of = |from: &str, to: &str| {
            assert!(GOOD.contains(from));
            parse(&GOOD.replacen(from, to, 1)).expect_err("it is wrong").to_string()
        };
        assert!(error_of("etcd-v3-calm", "etcd-v3-clam").contains("did you mean"));
        assert!(error_of("\"1..3\"", "\"3..1\"").contains("is no range of seeds"));
        assert!(error_of("\"1..3\"", "[]").contains("names none"));
        assert!(error_of("\"1..3\"", "[1, 1]").contains("stands in it twice"));
        assert!(error_of("\"etcd@3.4.23\"", "\"consul@1.8.7\"").contains("is about etcd"));
        assert!(error_of("premature-expiry", "premature").contains("premature-expiry"));
        assert!(error_of("seeds", "seconds = 0\nseeds").contains("`seconds` must be"));
        assert!(error_of("summary", "sumary").contains("summary"));
    }

    #[test]
    fn the_suites_that_come_along_can_be_read() {
        for named in SUITES {
            Plan::load(named.name).unwrap_or_else(|error| panic!("{error}"));
        }
        assert!(Plan::load("nonesuch").expect_err("there is none").to_string().contains("smoke"));
    }
}
