//! Reading a server's wall clock from its log.
//!
//! A ZooKeeper server tells the time to nobody but its log. It logs every command of four letters with the address that it
//! came from, so a command makes it write down the time, and the line is found again by that address.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

/// How the server is told to write the time, in Java's letters: RFC 3339.
pub(super) const FORMAT: &str = "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'";

/// The steps in which it is written.
pub(super) const STEP: Duration = Duration::from_millis(1);

/// The line was written a moment ago, so it stands near the end.
const LOOK_BACK_BYTES: u64 = 64 * 1024;

/// When the server, by its own clock, noted the command that came from this address; `None` if it has not yet.
pub(super) fn noted(log: &Path, asked_from: SocketAddr) -> io::Result<Option<Timestamp>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOOK_BACK_BYTES)))?;
    let mut end = Vec::new();
    file.take(LOOK_BACK_BYTES).read_to_end(&mut end)?;
    Ok(find(&String::from_utf8_lossy(&end), asked_from))
}

/// `2026-11-21T22:23:55.123Z [NIOWorkerThread-1] INFO org.… - Processing srvr command from /10.77.0.100:41234`
fn find(log: &str, asked_from: SocketAddr) -> Option<Timestamp> {
    let from = format!("command from /{asked_from}");
    let line = log.lines().rev().find(|line| line.trim_end().ends_with(&from))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2026-11-21T22:23:54.000Z [main] INFO org.apache.X - starting
2026-11-21T22:23:55.123Z [NIOWorkerThread-1] INFO org.apache.Y - Processing srvr command from /10.77.0.100:41234
2026-11-21T22:23:56.000Z [NIOWorkerThread-1] INFO org.apache.Y - Processing srvr command from /10.77.0.100:4123
";

    #[test]
    fn the_line_of_the_command_tells_the_time() {
        let asked_from = "10.77.0.100:41234".parse().expect("an address");
        assert_eq!(find(LOG, asked_from), Some("2026-11-21T22:23:55.123Z".parse().expect("a time")));
        assert_eq!(find(LOG, "10.77.0.100:1234".parse().expect("an address")), None);
        assert_eq!(find("junk command from /10.77.0.100:41234", asked_from), None);
    }
}
