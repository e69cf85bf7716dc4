//! Waiting for a condition, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const POLL_EVERY: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer; `None` once the time is over.
pub(super) async fn until<T, F: Future<Output = Option<T>>>(limit: Duration, mut ask: impl FnMut() -> F) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(POLL_EVERY).await;
    }
}

/// Tries again and again until it is done; the last error once the time is over.
pub(super) async fn until_ok<T, E, F: Future<Output = Result<T, E>>>(
    limit: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => sleep(POLL_EVERY).await,
            done_or_over => return done_or_over,
        }
    }
}
