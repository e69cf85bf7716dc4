//! What a scenario says of bad links.

use std::time::Duration;

use serde::Deserialize;

use super::{BadLink, Between, Way};
use crate::sandbox::{Jitter, LinkRule, Spread};

const DEFAULT_REORDER_MS: u64 = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    delay_jitter_ms: u64,
    #[serde(default)]
    delay_spread: SpreadWord,
    #[serde(default)]
    loss: f64,
    #[serde(default)]
    duplicate: f64,
    #[serde(default)]
    reorder: f64,
    reorder_ms: Option<u64>,
    bytes_per_s: Option<u64>,
    #[serde(default)]
    corrupt: f64,
    #[serde(default)]
    between: Between,
    #[serde(default)]
    way: Way,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SpreadWord {
    #[default]
    Uniform,
    Bell,
}

impl TryFrom<Settings> for BadLink {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        for (name, share) in [
            ("loss", settings.loss),
            ("duplicate", settings.duplicate),
            ("reorder", settings.reorder),
            ("corrupt", settings.corrupt),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("`{name}` is a share, from 0 to 1"));
            }
        }
        if settings.delay_jitter_ms > settings.delay_ms {
            return Err(
                "`delay_jitter_ms` must not be more than `delay_ms`: no packet arrives before it is sent".to_owned()
            );
        }
        if settings.bytes_per_s == Some(0) {
            return Err("`bytes_per_s` must be more than 0; the package `partition` lets nothing through".to_owned());
        }
        if settings.reorder_ms.is_some() && settings.reorder == 0.0 {
            return Err("`reorder_ms` needs `reorder`: the share of packets that others overtake".to_owned());
        }
        let mut rule = LinkRule::delayed(Duration::from_millis(settings.delay_ms));
        rule.jitter = Jitter {
            most: Duration::from_millis(settings.delay_jitter_ms),
            spread: match settings.delay_spread {
                SpreadWord::Uniform => Spread::Uniform,
                SpreadWord::Bell => Spread::Bell,
            },
        };
        rule.loss = settings.loss;
        rule.duplicate = settings.duplicate;
        rule.reorder = settings.reorder;
        if settings.reorder > 0.0 {
            rule.reorder_by = Duration::from_millis(settings.reorder_ms.unwrap_or(DEFAULT_REORDER_MS));
        }
        rule.bytes_per_s = settings.bytes_per_s;
        let link = Self { rule, corrupt: settings.corrupt, between: settings.between, way: settings.way };
        if link.asked().is_empty() {
            return Err(
                "a bad link needs something that is bad about it: `leasehold faults` lists the settings".to_owned()
            );
        }
        Ok(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (settings, why) in [
            ("", "needs something"),
            ("loss = 1.5", "`loss` is a share"),
            ("delay_ms = 1\ndelay_jitter_ms = 2", "must not be more than"),
            ("bytes_per_s = 0", "more than 0"),
            ("delay_ms = 1\nreorder_ms = 2", "needs `reorder`"),
            ("delay = 1", "unknown field"),
        ] {
            let error = toml::from_str::<BadLink>(settings).expect_err(settings).to_string();
            assert!(error.contains(why), "{settings}: {error}");
        }
    }
}
