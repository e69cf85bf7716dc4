//! The end of a server's log, for error messages.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const LINES: usize = 12;
const BYTES: u64 = 8 * 1024;

/// What to say of a server's log at the end of an error: where it is, and how it ends.
pub(crate) fn end_of(log: &Path) -> String {
    let place = log.display();
    match tail(log) {
        Ok(end) if end.is_empty() => format!("\nits log {place} is empty"),
        Ok(end) => format!("\nits log {place} ends:\n{end}"),
        Err(error) => format!("\nits log {place} cannot be read: {error}"),
    }
}

/// The last lines of the file, bounded in number and size, whatever is in it.
fn tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
    let mut end = Vec::new();
    file.take(BYTES).read_to_end(&mut end)?;
    let text = String::from_utf8_lossy(&end);
    let mut last: Vec<_> = text.lines().rev().take(LINES).collect();
    last.reverse();
    Ok(last.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_cut_at_its_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let text: String = (0..10_000).map(|i| format!("line {i}\n")).collect();
        std::fs::write(&log, text).expect("written");
        let end = tail(&log).expect("read");
        assert_eq!(end.lines().count(), LINES);
        assert!(end.ends_with("line 9999"), "{end}");
    }
}
