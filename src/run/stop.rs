//! How the parts of a run learn that it shall end.

use std::time::Duration;

use tokio::sync::watch;

/// How long operations that are under way may still take once the run stops.
const PATIENCE: Duration = Duration::from_millis(500);

/// One listener to the end of the run.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// The other end: says that the run shall end. Dropping it says so, too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// A stopper and its first listener.
#[must_use]
pub fn stop_signal() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Ends the run.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether the run shall end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until the run shall end.
    pub async fn requested(&mut self) {
        // An error means that nobody can request it any more: that is the end as well.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Waits until the run shall end and what is under way has had its time.
    pub async fn requested_and_patience_over(&mut self) {
        self.requested().await;
        tokio::time::sleep(PATIENCE).await;
    }
}
