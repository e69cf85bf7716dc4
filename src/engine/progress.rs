//! What a run looks like while it is under way, on a terminal only.

use std::io::IsTerminal;
use std::time::Duration;

use console::style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use leasehold_checkers::history::RunTime;

use crate::cluster::Leader;
use crate::run::{Leadership, Recorder, Stop, Tally};

const EVERY: Duration = Duration::from_millis(200);
/// Over how long rates are counted.
const RATE_OVER: Duration = Duration::from_secs(2);

/// Shows how far the run is, what its clients are told, who leads, which faults are active and what is broken so far, until it stops.
pub(super) async fn show(recorder: Recorder, leadership: Leadership, length: Duration, mut stop: Stop) {
    if !std::io::stderr().is_terminal() {
        return stop.requested().await;
    }
    let bar = ProgressBar::with_draw_target(Some(length.as_millis() as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
        bar.set_style(style);
    }
    let clock = recorder.clock();
    let mut rates = Rates::default();
    while !stop.is_requested() {
        let (elapsed, tally) = (clock.now(), recorder.tally());
        rates.note(elapsed, &tally);
        bar.set_position((elapsed.as_nanos() / 1_000_000).min(length.as_millis() as u64));
        let time = format!("{:.0} of {} s", elapsed.as_secs_f64(), length.as_secs());
        let lines = lines(&tally, &rates, leadership.leader());
        bar.set_message(format!("{time}\n{}", lines.join("\n")));
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.requested() => {}
        }
    }
    bar.finish_and_clear();
}

/// What stands below the bar. None may be wider than the terminal: it is cut there.
fn lines(tally: &Tally, rates: &Rates, leader: Option<Leader>) -> Vec<String> {
    let [ok, fail, info] = rates.per_second();
    let leader =
        leader.map_or_else(|| "nobody leads".to_owned(), |Leader { node, term }| format!("{node}, term {term}"));
    let faults: Vec<&str> = tally.faults.values().map(String::as_str).collect();
    let name = |name: &str| style(format!("{name:<9}")).for_stderr().dim().to_string();
    let mut lines = vec![
        format!(
            "{}{} ok ({ok:.0}/s), {} refused ({fail:.0}/s), {} unknown ({info:.0}/s)",
            name("ops"),
            tally.ok,
            tally.fail,
            tally.info
        ),
        format!("{}{leader}", name("leader")),
        match faults[..] {
            [] => format!("{}none now", name("faults")),
            _ => format!("{}{}", name("faults"), style(faults.join("; ")).for_stderr().yellow()),
        },
        format!("{}{}", name("broken"), broken(tally.found.anomalies)),
    ];
    lines.extend(tally.found.first.iter().map(|first| format!("{}{first}", name(""))));
    let width = usize::from(console::Term::stderr().size().1).saturating_sub(1).max(20);
    lines.iter().map(|line| console::truncate_str(line, width, "…").into_owned()).collect()
}

fn broken(anomalies: usize) -> String {
    match anomalies {
        0 => "nothing so far".to_owned(),
        1 => style("1 anomaly so far").for_stderr().red().bold().to_string(),
        more => style(format!("{more} anomalies so far")).for_stderr().red().bold().to_string(),
    }
}

/// How many operations ended, at some instants of the last seconds.
#[derive(Debug, Default)]
struct Rates(Vec<(RunTime, [u64; 3])>);

impl Rates {
    fn note(&mut self, at: RunTime, tally: &Tally) {
        self.0.retain(|(then, _)| then.after(RATE_OVER) >= at);
        self.0.push((at, [tally.ok, tally.fail, tally.info]));
    }

    /// Of each outcome.
    fn per_second(&self) -> [f64; 3] {
        let (Some((from, before)), Some((to, now))) = (self.0.first(), self.0.last()) else { return [0.0; 3] };
        let seconds = (to.as_secs_f64() - from.as_secs_f64()).max(EVERY.as_secs_f64());
        [0, 1, 2].map(|outcome| (now[outcome] - before[outcome]) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;
    use crate::run::Found;

    fn tally(ok: u64) -> Tally {
        let found = Found { anomalies: 1, first: Some("process 3 still held `jobs/7`".to_owned()) };
        Tally { ok, fail: 1, info: 0, faults: [(0, "clock +9 s on n2".to_owned())].into(), found }
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let mut rates = Rates::default();
        for (tenths, ok) in [(0, 0), (10, 500), (20, 520), (30, 540), (40, 560)] {
            rates.note(RunTime(tenths * 100_000_000), &tally(ok));
        }
        assert_eq!(rates.per_second(), [20.0, 0.0, 0.0]);
    }

    #[test]
    fn it_names_the_leader_the_faults_and_what_is_broken() {
        let leader = Leader { node: NodeId::new(2), term: 3 };
        let lines = lines(&tally(7), &Rates::default(), Some(leader));
        let plain: Vec<String> = lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
        assert_eq!(
            plain,
            [
                "ops      7 ok (0/s), 1 refused (0/s), 0 unknown (0/s)",
                "leader   n2, term 3",
                "faults   clock +9 s on n2",
                "broken   1 anomaly so far",
                "         process 3 still held `jobs/7`",
            ]
        );
    }
}
