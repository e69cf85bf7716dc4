//! Many readers, and a writer that never rests: no reading may mix two settings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::super::clocks::{CLOCKS, Clocks};
use super::super::line::Line;
use super::super::{ClockHook, Skew};
use super::probe::{clock, clock_by_syscall, say};
use super::program::{Program, SECOND};

const READERS: usize = 4;
const CHANGES: i64 = 100_000;
const SETTINGS: i64 = 1000;

/// Setting `k` makes the clock show twice the time plus `k` times this.
const STEP: i64 = 10 * SECOND;
/// Where one setting's reference differs from the next's. It is no multiple of the step, so that one setting's offset
/// with another's reference shows a time that belongs to no setting.
const REFERENCE_STEP: i64 = 1007 * SECOND;

fn setting(k: i64) -> Clocks {
    let reference_ns = k * REFERENCE_STEP;
    let double = Line::through(reference_ns, Skew { offset_ns: reference_ns + k * STEP, rate_ppm: 1_000_000 });
    let mut clocks = Clocks([Line::default(); CLOCKS]);
    clocks.0[libc::CLOCK_REALTIME as usize] = double;
    clocks
}

#[test]
fn no_reading_mixes_two_settings() {
    let mut program = Program::start("storm", |pid| {
        let hook = ClockHook::inject(pid, Skew::default())?;
        hook.publish(setting(0)).map(|()| hook)
    });
    assert_eq!(program.answer(), "ready");
    for change in 0..CHANGES {
        program.hook.publish(setting(change % SETTINGS)).expect("it runs");
    }
    program.ask();
    let outcome = program.answer();
    let settings_seen: i64 = outcome.parse().unwrap_or_else(|_| panic!("{outcome}"));
    assert!(settings_seen > 100, "the readers saw only {settings_seen} settings: this proves nothing");
}

/// The side of the program: reads until it is asked, then says how many settings it has seen, or what else.
pub(super) fn read_without_pause() {
    let done = AtomicBool::new(false);
    let real_ahead = clock_by_syscall() - clock(libc::CLOCK_MONOTONIC);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read_until(&done, real_ahead))).collect();
        say("ready");
        std::io::stdin().read_line(&mut String::new()).expect("the test asks in text");
        done.store(true, Ordering::Relaxed);
        let mut seen = vec![false; SETTINGS as usize];
        for reader in readers {
            match reader.join().expect("a reader does not panic") {
                Ok(settings) => seen.iter_mut().zip(settings).for_each(|(all, one)| *all |= one),
                Err(mixed) => {
                    return say(&format!("a reader saw {mixed} ns, which no setting shows"));
                }
            }
        }
        say(&seen.iter().filter(|&&seen| seen).count().to_string());
    });
}

/// The monotonic clock is not moved, and so tells each reader what the wall clock of each setting would show.
fn read_until(done: &AtomicBool, real_ahead: i64) -> Result<Vec<bool>, i64> {
    let mut seen = vec![false; SETTINGS as usize];
    while !done.load(Ordering::Relaxed) {
        let before = clock(libc::CLOCK_MONOTONIC) + real_ahead;
        let shown = clock(libc::CLOCK_REALTIME) - 2 * before;
        let late = clock(libc::CLOCK_MONOTONIC) + real_ahead - before;
        // A reader that was held up between two readings has nothing to say.
        if late > SECOND {
            continue;
        }
        let k = (shown + SECOND).div_euclid(STEP);
        let beyond = shown - k * STEP;
        if !(0..SETTINGS).contains(&k) || !(-SECOND / 100..=2 * late + SECOND / 100).contains(&beyond) {
            return Err(shown);
        }
        seen[k as usize] = true;
    }
    Ok(seen)
}
