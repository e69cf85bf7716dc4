//! Makes links bad: slow, lossy, narrow, or worse.

mod settings;

use std::future::ready;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::cut::{Link, Way, between};
use crate::NodeId;
use crate::cluster::LinkLayer;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, Setting, parse};
use crate::nemesis::{Aim, Field, Target, wait};
use crate::sandbox::{LinkCounters, LinkRule, Side, Spoil};
use settings::Settings;

pub(super) static PACKAGE: Package = Package {
    name: "link",
    does: "delays, loses, repeats, reorders, throttles or spoils packets of the target, as many of these at once as are set",
    settings: &[
        Setting { name: "delay_ms", says: "how long each packet is held back, on its way in one direction" },
        Setting { name: "delay_jitter_ms", says: "by how much a packet's delay may differ from that, to either side" },
        Setting {
            name: "delay_spread",
            says: "`uniform` (if not said) or `bell` (normal, cut off at three deviations)",
        },
        Setting { name: "loss", says: "the share of packets that are lost, 0 to 1" },
        Setting { name: "duplicate", says: "the share of packets that arrive twice" },
        Setting { name: "reorder", says: "the share of packets that others overtake" },
        Setting { name: "reorder_ms", says: "for how long those are held back; 10 if not said" },
        Setting { name: "bytes_per_s", says: "how much gets through each link in a second" },
        Setting {
            name: "corrupt",
            says: "the share of packets with data of which TCP finds a bit turned, and drops them; `corrupt` can do more",
        },
        Setting { name: "between", says: "`peers` (the target and the other nodes, if not said), `clients` or `both`" },
        Setting { name: "way", says: "`both` (if not said), `out` (what the target sends) or `in` (what it is sent)" },
    ],
    proof: "packets that met each of these, by the switch's own count, and the shares, delay and rate that came of it",
    aims: Aims::AtTargetOrClient,
    course: Course::Lasts,
    needs: &[],
    colour: 0x5b_6c_b0,
    parse: parse::<BadLink>,
};

/// How long to wait until everything that was asked for has been seen once. Small shares take longer, and are counted in the
/// end all the same.
const BITE_LIMIT: Duration = Duration::from_secs(3);

/// Links are bad until the end.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Settings")]
struct BadLink {
    rule: LinkRule,
    /// The share of packets that are spoilt. The rest of the spoiling is made anew for each fault.
    corrupt: f64,
    between: Between,
    way: Way,
}

/// Whose links are bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Between {
    /// Those between the target and the other nodes.
    #[default]
    Peers,
    /// Those between the target and the clients.
    Clients,
    /// All of these.
    Both,
}

/// One thing that is bad about a link.
struct Asked {
    name: &'static str,
    /// In words.
    what: String,
    /// How many packets met it.
    met: fn(&LinkCounters) -> u64,
}

impl BadLink {
    fn asked(&self) -> Vec<Asked> {
        let rule = &self.rule;
        let share = |share: f64| format!("{} %", share * 100.0);
        let mut asked = Vec::new();
        let mut add = |is_asked: bool, name, what: String, met| {
            if is_asked {
                asked.push(Asked { name, what: format!("{name} {what}"), met });
            }
        };
        let jitter = match rule.jitter.most {
            Duration::ZERO => String::new(),
            most => format!(" ± {}", most.as_millis()),
        };
        let delay = format!("{}{jitter} ms", rule.delay.as_millis());
        // Only one that was let go shows for how long it had been held.
        add(!rule.delay.is_zero(), "delay", delay, |counters| counters.let_go);
        add(rule.loss > 0.0, "loss", share(rule.loss), |counters| counters.lost);
        add(rule.duplicate > 0.0, "duplicate", share(rule.duplicate), |counters| counters.duplicated);
        add(rule.reorder > 0.0, "reorder", share(rule.reorder), |counters| counters.reordered);
        let rate = rule.bytes_per_s.map(|bytes_per_s| format!("{bytes_per_s} bytes/s"));
        add(rate.is_some(), "rate", rate.unwrap_or_default(), |counters| counters.queued_by_rate);
        add(self.corrupt > 0.0, "corrupt", share(self.corrupt), |counters| counters.corrupted);
        asked
    }

    /// Those of the target; a client's are those to the nodes.
    fn links(&self, aim: &Aim, all: &[NodeId]) -> Vec<Link> {
        let sides = |nodes: &[NodeId]| nodes.iter().map(|&node| node.into()).collect::<Vec<Side>>();
        let (here, mut there) = (aim.sides(), Vec::new());
        if self.between != Between::Clients {
            there.extend(sides(all));
        }
        if self.between != Between::Peers {
            there.push(Side::Workers);
        }
        self.way.of(between(&here, &there), &here)
    }

    /// What the links do.
    fn rule(&self) -> LinkRule {
        let mut rule = self.rule.clone();
        rule.spoils.extend((self.corrupt > 0.0).then(|| Spoil::detected_bits(self.corrupt)));
        rule
    }
}

impl Fault for BadLink {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        let asked: Vec<String> = self.asked().into_iter().map(|asked| asked.what).collect();
        let to = match self.between {
            Between::Peers => "",
            Between::Clients => ", to clients",
            Between::Both => ", to clients too",
        };
        format!("link ({}{to}{})", asked.join(", "), self.way.in_words())
    }

    fn takes(&self, target: &Target) -> Result<(), String> {
        if target.is_client() && self.between != Between::Peers {
            return Err(format!(
                "`between` is about nodes, and `{target}` is a client: its links are those to the nodes"
            ));
        }
        Ok(())
    }

    fn leaves_servers_alone(&self, target: &Target) -> bool {
        target.is_client() && self.rule == LinkRule::delayed(self.rule.delay)
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        Box::new(Spoilt {
            fault: self.clone(),
            field: field.clone(),
            layer: field.cluster.link_layer(),
            links: self.links(&aim, &field.cluster.nodes()),
            start: None,
        })
    }
}

struct Spoilt {
    fault: BadLink,
    field: Field,
    layer: LinkLayer,
    links: Vec<Link>,
    /// When it began, and what each link had counted by then.
    start: Option<(Instant, Vec<LinkCounters>)>,
}

#[async_trait]
impl Injection for Spoilt {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        if self.links.is_empty() {
            return Err(FaultError::NoTarget("there is no such link".to_owned()));
        }
        self.start = Some((Instant::now(), self.count()));
        let rule = self.fault.rule();
        self.layer.lay(self.links.iter().map(|&(from, to)| (from, to, rule.clone())));
        let limit = BITE_LIMIT + self.fault.rule.delay + self.fault.rule.jitter.most;
        let all_met = wait::until(limit, || ready(self.not_met().is_empty().then_some(()))).await;
        let not_met = self.not_met();
        if all_met.is_none() && not_met.len() == self.fault.asked().len() {
            return Err(FaultError::DidNotBite(format!("no packet met {}", not_met.join(", "))));
        }
        Ok(self.proof())
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        let proof = self.proof();
        self.layer.lift();
        Ok(proof)
    }
}

impl Spoilt {
    fn count(&self) -> Vec<LinkCounters> {
        self.links.iter().map(|&link| self.field.cluster.counters(&[link])).collect()
    }

    /// What each link has counted since the beginning, and how long ago that was.
    fn since_the_beginning(&self) -> (Duration, Vec<LinkCounters>) {
        let Some((start, before)) = &self.start else { return (Duration::ZERO, Vec::new()) };
        let counters = self.count().into_iter().zip(before).map(|(now, &before)| now - before).collect();
        (start.elapsed(), counters)
    }

    /// What no packet has met so far.
    fn not_met(&self) -> Vec<&'static str> {
        let all = sum(&self.since_the_beginning().1);
        self.fault.asked().into_iter().filter(|asked| (asked.met)(&all) == 0).map(|asked| asked.name).collect()
    }

    /// What was asked for and what came of it. Whatever other faults ask of the same links has its part in the latter.
    fn proof(&self) -> Value {
        let (elapsed, counters) = self.since_the_beginning();
        let (all, rule) = (sum(&counters), &self.fault.rule);
        let mut got = Map::new();
        got.insert("packets".to_owned(), json!(all.arrived));
        if !rule.delay.is_zero() {
            let mean_ms = all.held_for.as_secs_f64() * 1e3 / all.let_go.max(1) as f64;
            got.insert("delayed".to_owned(), json!({ "packets": all.delayed, "asked_ms": rule.delay.as_millis() as u64, "mean_ms": rounded(mean_ms) }));
        }
        for (name, asked, count, of) in [
            ("lost", rule.loss, all.lost, all.arrived),
            ("duplicated", rule.duplicate, all.duplicated, all.arrived - all.lost),
            ("reordered", rule.reorder, all.reordered, all.arrived - all.lost),
            ("corrupted", self.fault.corrupt, all.corrupted, all.spoilable),
        ] {
            if asked > 0.0 {
                let share = rounded(count as f64 / of.max(1) as f64);
                got.insert(name.to_owned(), json!({ "packets": count, "asked_share": asked, "share": share }));
            }
        }
        if let Some(asked) = rule.bytes_per_s {
            let busiest = counters.iter().map(|link| link.forwarded_bytes).max().unwrap_or_default();
            let bytes_per_s = (busiest as f64 / elapsed.as_secs_f64().max(1e-3)) as u64;
            got.insert("rate".to_owned(), json!({ "queued": all.queued_by_rate, "asked_bytes_per_s": asked, "busiest_link_bytes_per_s": bytes_per_s }));
        }
        let not_met = self.not_met();
        if !not_met.is_empty() {
            got.insert("not_met_so_far".to_owned(), json!(not_met));
        }
        got.into()
    }
}

fn sum(counters: &[LinkCounters]) -> LinkCounters {
    counters.iter().fold(LinkCounters::default(), |sum, &one| sum + one)
}

/// To a ten-thousandth: nobody measures better here.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(settings: &str) -> BadLink {
        toml::from_str(settings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(settings: &str) -> Vec<String> {
        let all: Vec<NodeId> = NodeId::first(3).collect();
        super::super::cut::names(&link(settings).links(&Aim::at_nodes(all[..1].to_vec()), &all))
    }

    #[test]
    fn settings_go_together_in_one_fault() {
        let link = link("delay_ms = 20\ndelay_jitter_ms = 5\nloss = 0.01\nbytes_per_s = 1000");
        assert_eq!(link.describe(), "link (delay 20 ± 5 ms, loss 1 %, rate 1000 bytes/s)");
        assert_eq!((link.rule.loss, link.rule.bytes_per_s), (0.01, Some(1000)));
    }

    #[test]
    fn the_links_are_those_of_the_target() {
        assert_eq!(names("loss = 0.1"), ["n1 to n2", "n2 to n1", "n1 to n3", "n3 to n1"]);
        assert_eq!(names("loss = 0.1\nway = 'out'"), ["n1 to n2", "n1 to n3"]);
        assert_eq!(names("loss = 0.1\nbetween = 'clients'"), ["n1 to clients", "clients to n1"]);
        assert_eq!(names("loss = 0.1\nbetween = 'both'\nway = 'in'"), ["n2 to n1", "n3 to n1", "clients to n1"]);
        assert_eq!(names("loss = 0.1").len(), 4);
    }
}
