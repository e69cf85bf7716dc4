//! How a worker is made to stand still.
//!
//! A worker that stands still is not polled: its script, its timers and its view of the network stop at once and go on
//! together. What the kernel and the transport do on behalf of its connection is not stopped here.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The number of a worker. Its processes come and go, the worker stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

impl WorkerId {
    /// The number of its port at the switch.
    ///
    /// # Panics
    /// If there are more workers than ports: scenarios have fewer.
    #[must_use]
    pub fn port(self) -> u16 {
        u16::try_from(self.0).expect("there are fewer workers than ports")
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a worker passes through each time that it is to do something. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By how many faults it is shut.
    shut_by: u32,
    /// Since when the worker has been seen to stand before it.
    stands_since: Option<Instant>,
    /// For how long it stood before it up to now, without the present time.
    stood: Duration,
    waker: Option<Waker>,
    /// What stands still with the worker.
    companion: Option<Companion>,
}

/// Told `true` when it is to stand still, `false` when it goes on.
struct Companion(Box<dyn Fn(bool) + Send>);

impl fmt::Debug for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Companion")
    }
}

impl Gate {
    /// Whatever the worker has beside it is told when to stand still (`true`) and when to go on (`false`).
    pub fn accompanied_by(&self, companion: impl Fn(bool) + Send + 'static) {
        self.state().companion = Some(Companion(Box::new(companion)));
    }

    /// Shuts it, once more.
    pub fn shut(&self) {
        let mut state = self.state();
        state.shut_by += 1;
        state.tell_companion();
        // It comes to the gate and finds it shut, so that we know.
        state.wake();
    }

    /// Takes back one [`Gate::shut`]; the last one opens it. Returns for how long the worker stood before it without a
    /// break.
    pub fn open(&self) -> Duration {
        let mut state = self.state();
        state.shut_by = state.shut_by.saturating_sub(1);
        let stood = state.standing();
        if state.shut_by == 0 {
            state.go_on();
        }
        stood
    }

    /// Opens it for good, whoever shut it.
    pub fn unlock(&self) {
        let mut state = self.state();
        state.shut_by = 0;
        state.go_on();
    }

    /// Since when the worker has been standing before it; `None` if it does not.
    #[must_use]
    pub fn stands_since(&self) -> Option<Instant> {
        self.state().stands_since
    }

    /// This future, which does nothing while the gate is shut.
    pub async fn behind<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(
            |context| if self.lets_through(context) { future.as_mut().poll(context) } else { Poll::Pending },
        )
        .await
    }

    /// Completes once the worker has been awake for so long from now on: the time that it stands still does not count.
    pub async fn awake_for(&self, length: Duration) {
        let (start, stood_before) = (tokio::time::Instant::now(), self.stood());
        loop {
            let stood = self.stood().saturating_sub(stood_before);
            let due = start + length + stood;
            tokio::time::sleep_until(due).await;
            if self.stood().saturating_sub(stood_before) == stood {
                return;
            }
        }
    }

    /// For how long it has stood in all.
    fn stood(&self) -> Duration {
        let state = self.state();
        state.stood + state.standing()
    }

    fn lets_through(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        if state.shut_by == 0 {
            return true;
        }
        state.stands_since.get_or_insert_with(Instant::now);
        false
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change of the state can be interrupted by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gates of all workers. Clones are the same gates.
#[derive(Clone, Debug)]
pub struct Gates(Arc<[Gate]>);

impl Gates {
    /// So many gates, all open.
    #[must_use]
    pub fn of(workers: usize) -> Self {
        Self(std::iter::repeat_with(Gate::default).take(workers).collect())
    }

    /// The gate of this worker.
    ///
    /// # Panics
    /// If there is no such worker.
    #[must_use]
    pub fn gate(&self, worker: WorkerId) -> Gate {
        self.0[usize::try_from(worker.0).expect("workers are few")].clone()
    }

    /// Opens all of them for good.
    pub fn unlock(&self) {
        self.0.iter().for_each(Gate::unlock);
    }
}

impl State {
    fn standing(&self) -> Duration {
        self.stands_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn go_on(&mut self) {
        self.stood += self.standing();
        self.stands_since = None;
        self.tell_companion();
        self.wake();
    }

    fn tell_companion(&self) {
        if let Some(Companion(tell)) = &self.companion {
            tell(self.shut_by > 0);
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::sleep;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A worker that counts as fast as it can.
    fn counter(gate: &Gate) -> (Arc<AtomicU64>, tokio::task::JoinHandle<()>) {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let worker = tokio::spawn(gate.clone().behind(async move {
            loop {
                counted.fetch_add(1, Ordering::SeqCst);
                sleep(MS).await;
            }
        }));
        (count, worker)
    }

    async fn until(mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + 5_000 * MS;
        while !condition() {
            assert!(Instant::now() < deadline, "in vain");
            sleep(MS).await;
        }
    }

    #[tokio::test]
    async fn a_worker_stands_until_the_last_fault_lets_go() {
        let gate = Gate::default();
        let (count, worker) = counter(&gate);
        until(|| count.load(Ordering::SeqCst) > 2).await;
        gate.shut();
        gate.shut();
        until(|| gate.stands_since().is_some()).await;
        let before = count.load(Ordering::SeqCst);
        sleep(30 * MS).await;
        assert!(gate.open() >= 30 * MS);
        sleep(30 * MS).await;
        assert_eq!(count.load(Ordering::SeqCst), before);
        assert!(gate.open() >= 60 * MS);
        until(|| count.load(Ordering::SeqCst) > before + 2).await;
        assert_eq!(gate.stands_since(), None);
        worker.abort();
    }

    #[test]
    fn what_accompanies_a_worker_stands_until_the_last_fault_lets_go() {
        let gate = Gate::default();
        let stands = Arc::new(Mutex::new(false));
        let told = Arc::clone(&stands);
        gate.accompanied_by(move |still| *told.lock().expect("nobody panicked") = still);
        let stands = || *stands.lock().expect("nobody panicked");
        gate.shut();
        gate.shut();
        gate.open();
        assert!(stands());
        gate.open();
        assert!(!stands());
    }

    #[tokio::test]
    async fn a_limit_does_not_run_while_its_worker_stands() {
        let gate = Gate::default();
        let start = Instant::now();
        let waited = {
            let gate = gate.clone();
            tokio::spawn(gate.clone().behind(async move {
                gate.awake_for(100 * MS).await;
                Instant::now()
            }))
        };
        gate.shut();
        until(|| gate.stands_since().is_some()).await;
        let stood_from = Instant::now();
        sleep(200 * MS).await;
        gate.open();
        let ended = waited.await.expect("it does not panic");
        assert!(ended - start >= 300 * MS - (stood_from - start), "{:?}", ended - start);
    }

    #[tokio::test]
    async fn what_happened_meanwhile_is_seen_at_the_end() {
        let gate = Gate::default();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let seen = tokio::spawn(gate.clone().behind(async move {
            receiver.await.expect("it is sent");
            Instant::now()
        }));
        gate.shut();
        until(|| gate.stands_since().is_some()).await;
        sender.send(()).expect("it is received");
        sleep(50 * MS).await;
        let opened = Instant::now();
        gate.open();
        assert!(seen.await.expect("it does not panic") >= opened);
    }
}
