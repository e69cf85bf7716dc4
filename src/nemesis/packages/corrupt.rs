//! Changes what servers tell each other, and TCP does not notice.
//!
//! Networks do that: cards and routers with bad memory, kernels that take a checksum for right without looking, a cipher that leaves
//! garbage in whole blocks. No service promises to survive it.
//!
//! It is for links between servers only. What clients ask and are told is theirs, word for word: a client that is told nonsense by the
//! network proves nothing about the servers, and so does one whose request was another when it arrived.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cut::{self, Link, Way, between};
use crate::NodeId;
use crate::cluster::LinkLayer;
use crate::nemesis::package::{Aims, Course, Fault, FaultError, Injection, Package, Setting, parse};
use crate::nemesis::{Aim, Field, wait};
use crate::packets::streams;
use crate::sandbox::{Budget, Change, Damage, LinkCounters, LinkRule, Place, Places, Side, Spoil, SpoilNotes};

pub(super) static PACKAGE: Package = Package {
    name: "corrupt",
    does: "changes packets between the target and the other nodes, so that the servers read what nobody sent",
    settings: &[
        Setting { name: "share", says: "the share of packets with data that are changed, 0 to 1; 1 if not said" },
        Setting { name: "packets", says: "how many at most, on all links together" },
        Setting {
            name: "damage",
            says: "`bit` (one bit is turned), `length` (four bytes that read as a length say something else) or `block` (16 \
                   bytes at a multiple of 16 are garbage, as a bad cipher leaves them)",
        },
        Setting {
            name: "field",
            says: "only in fields of this name, where the stream can be read: of ZooKeeper's followers and leader, for \
                   example `path length`",
        },
        Setting {
            name: "detected",
            says: "`true` leaves the checksum as it was: TCP notices and sends the packet again, and nothing is to come of it",
        },
        Setting { name: "way", says: "`both` (if not said), `out` (what the target sends) or `in` (what it is sent)" },
    ],
    proof: "packets that were changed, by the switch's own count; of the first ones what stood where and what stands there now",
    aims: Aims::AtTarget,
    course: Course::Lasts,
    needs: &[],
    colour: 0xa0_2c_5a,
    parse: parse::<Corrupt>,
};

/// How long to wait for the first packet that is changed. Small shares take longer, and are counted in the end all the same.
const BITE_LIMIT: Duration = Duration::from_secs(5);

/// So many changes stand in a proof.
const SHOWN_MAX: usize = 12;

/// Packets are changed until the end.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Settings")]
struct Corrupt {
    share: f64,
    packets: Option<u64>,
    damage: Damage,
    field: Option<String>,
    detected: bool,
    way: Way,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    share: Option<f64>,
    packets: Option<u64>,
    damage: DamageWord,
    field: Option<String>,
    #[serde(default)]
    detected: bool,
    #[serde(default)]
    way: Way,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DamageWord {
    Bit,
    Length,
    Block,
}

impl TryFrom<Settings> for Corrupt {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        let share = settings.share.unwrap_or(1.0);
        if !(share > 0.0 && share <= 1.0) {
            return Err("`share` is a share, more than 0 and at most 1".to_owned());
        }
        if settings.packets == Some(0) {
            return Err("`packets` must be more than 0".to_owned());
        }
        let damage = match settings.damage {
            DamageWord::Bit => Damage::Bit,
            DamageWord::Length => Damage::Length,
            DamageWord::Block => Damage::Block,
        };
        let Settings { packets, field, detected, way, .. } = settings;
        if let Some(field) = &field
            && !streams::FIELDS.contains(&field.as_str())
        {
            return Err(format!("no stream that can be read has a field `{field}`: there are {}", streams::listed()));
        }
        Ok(Self { share, packets, damage, field, detected, way })
    }
}

impl Corrupt {
    fn links(&self, aim: &Aim, all: &[NodeId]) -> Vec<Link> {
        let (here, nodes) = (aim.sides(), all.iter().map(|&node| node.into()).collect::<Vec<Side>>());
        self.way.of(between(&here, &nodes), &here)
    }

    /// The same for each of the links, but for its notes.
    fn spoil(&self) -> Spoil {
        let places = self.field.clone().map(|wanted| {
            Places(Arc::new(move |ports: [u16; 2], data: &[u8]| {
                let fields = streams::fields(ports, data).into_iter().filter(|(_, name)| *name == wanted);
                fields.map(|(at, name)| Place { at, name }).collect()
            }))
        });
        let budget = Budget::of(self.packets.unwrap_or(u64::MAX));
        let Self { share, damage, detected, .. } = *self;
        Spoil { share, damage, detected, places, budget, notes: SpoilNotes::default() }
    }
}

impl Fault for Corrupt {
    fn package(&self) -> &'static Package {
        &PACKAGE
    }

    fn describe(&self) -> String {
        let how = match self.damage {
            Damage::Bit => "bits",
            Damage::Length => "lengths",
            Damage::Block => "blocks",
        };
        let field = self.field.as_ref().map(|field| format!(" in `{field}`")).unwrap_or_default();
        let share = if self.share < 1.0 { format!(" of {} %", self.share * 100.0) } else { String::new() };
        let most = self.packets.map(|packets| format!(", {packets} at most")).unwrap_or_default();
        let detected = if self.detected { ", detected" } else { "" };
        format!("corrupt ({how}{field}{share}{most}{}{detected})", self.way.in_words())
    }

    fn aimed(&self, field: &Field, aim: Aim) -> Box<dyn Injection> {
        let links = self.links(&aim, &field.cluster.nodes());
        let spoil = self.spoil();
        let spoils = links.into_iter().map(|link| (link, Spoil { notes: SpoilNotes::default(), ..spoil.clone() }));
        Box::new(Changed {
            fault: self.clone(),
            field: field.clone(),
            layer: field.cluster.link_layer(),
            spoils: spoils.collect(),
            before: LinkCounters::default(),
        })
    }
}

struct Changed {
    fault: Corrupt,
    field: Field,
    layer: LinkLayer,
    spoils: Vec<(Link, Spoil)>,
    /// What the links had counted when it began.
    before: LinkCounters,
}

#[async_trait]
impl Injection for Changed {
    async fn inject(&mut self) -> Result<Value, FaultError> {
        if self.spoils.is_empty() {
            return Err(FaultError::NoTarget("there is no such link".to_owned()));
        }
        self.before = self.count();
        self.layer.lay(
            self.spoils.iter().map(|((from, to), spoil)| {
                (*from, *to, LinkRule { spoils: vec![spoil.clone()], ..LinkRule::default() })
            }),
        );
        match wait::until(BITE_LIMIT, || ready((self.changed() > 0).then_some(()))).await {
            Some(()) => Ok(self.proof()),
            None => Err(FaultError::DidNotBite("no packet was changed so far".to_owned())),
        }
    }

    async fn heal(&mut self) -> Result<Value, FaultError> {
        self.layer.lift();
        Ok(self.proof())
    }
}

impl Changed {
    fn count(&self) -> LinkCounters {
        let links: Vec<Link> = self.spoils.iter().map(|&(link, _)| link).collect();
        self.field.cluster.counters(&links)
    }

    /// How many packets were changed by this fault.
    fn changed(&self) -> usize {
        self.spoils.iter().map(|(_, spoil)| spoil.notes.count()).sum()
    }

    fn proof(&self) -> Value {
        let counted = self.count() - self.before;
        let mut shown = Vec::new();
        for (link, spoil) in &self.spoils {
            let name = cut::names(&[*link]).concat();
            shown.extend(spoil.notes.changes().iter().map(|change| in_words(&name, change)));
        }
        let more = self.changed().saturating_sub(SHOWN_MAX);
        shown.truncate(SHOWN_MAX);
        let mut proof = json!({
            "packets": counted.arrived,
            "with_data": counted.spoilable,
            "changed": self.changed(),
            "detected": self.fault.detected,
            "changes": shown,
        });
        if more > 0 {
            proof["changes_not_shown"] = json!(more);
        }
        proof
    }
}

/// `n2 to n3, bytes 32..36 of 97 (path length): 00000012 became 7fffffff`
fn in_words(link: &str, change: &Change) -> String {
    let Change { at, of, before, after, field } = change;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let field = field.as_ref().map(|field| format!(" ({field})")).unwrap_or_default();
    let end = at + after.len();
    format!("{link}, bytes {at}..{end} of {of}{field}: {} became {}", hex(before), hex(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &str) -> Result<Corrupt, String> {
        toml::from_str(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_told_in_the_words_of_the_settings() {
        let told = |settings: &str| read(settings).expect(settings).describe();
        assert_eq!(told("damage = 'bit'"), "corrupt (bits)");
        assert_eq!(
            told("damage = 'length'\nfield = 'path length'\npackets = 1\nway = 'in'"),
            "corrupt (lengths in `path length`, 1 at most, incoming)"
        );
        assert_eq!(told("damage = 'block'\nshare = 0.05\ndetected = true"), "corrupt (blocks of 5 %, detected)");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (settings, why) in [
            ("", "missing field `damage`"),
            ("damage = 'bit'\nshare = 0", "more than 0"),
            ("damage = 'bit'\nshare = 1.5", "at most 1"),
            ("damage = 'bit'\npackets = 0", "more than 0"),
            ("damage = 'bit'\nfield = 'colour'", "`path length`"),
            ("damage = 'bit'\nbetween = 'clients'", "unknown field"),
        ] {
            let error = read(settings).expect_err(settings);
            assert!(error.contains(why), "{settings}: {error}");
        }
    }

    #[test]
    fn only_servers_are_at_its_ends() {
        let all: Vec<NodeId> = NodeId::first(3).collect();
        let links = |settings: &str| {
            cut::names(&read(settings).expect(settings).links(&Aim::at_nodes(all[..1].to_vec()), &all))
        };
        assert_eq!(links("damage = 'bit'"), ["n1 to n2", "n2 to n1", "n1 to n3", "n3 to n1"]);
        assert_eq!(links("damage = 'bit'\nway = 'in'"), ["n2 to n1", "n3 to n1"]);
    }
}
