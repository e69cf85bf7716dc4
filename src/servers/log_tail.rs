//! The end of a server's log, for error messages.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const LINES: usize = 12;
const BYTES: u64 = 8 * 1024;

/// The last lines of the file, bounded in number and size, whatever is in it.
pub(super) fn tail(log: &Path) -> io::Result<String> {
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
