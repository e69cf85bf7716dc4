//! The live line of a run, on a terminal only.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run::{Recorder, Stop};

const EVERY: Duration = Duration::from_millis(200);

/// Shows how far the run is until it stops.
pub(super) async fn show(recorder: Recorder, length: Duration, mut stop: Stop) {
    if !std::io::stderr().is_terminal() {
        return stop.requested().await;
    }
    let bar = ProgressBar::with_draw_target(Some(length.as_millis() as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
        bar.set_style(style);
    }
    let clock = recorder.clock();
    while !stop.is_requested() {
        let (elapsed, tally) = (clock.now(), recorder.tally());
        bar.set_position((elapsed.as_nanos() / 1_000_000).min(length.as_millis() as u64));
        bar.set_message(format!(
            "{:.0} of {} s · {} ok, {} refused, {} unknown · {} so far",
            elapsed.as_secs_f64(),
            length.as_secs(),
            tally.ok,
            tally.fail,
            tally.info,
            anomalies(tally.anomalies)
        ));
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.requested() => {}
        }
    }
    bar.finish_and_clear();
}

fn anomalies(number: usize) -> String {
    match number {
        0 => "no anomaly".to_owned(),
        1 => "1 ANOMALY".to_owned(),
        more => format!("{more} ANOMALIES"),
    }
}
