//! The command that runs the same again.

use leasehold_checkers::history::Header;

use super::words;

/// The command line, fit to be pasted into a shell.
pub(super) fn reproduce(header: &Header) -> String {
    if !header.command.is_empty() {
        return header.command.iter().map(|word| quoted_option(word)).collect::<Vec<_>>().join(" ");
    }
    format!(
        "leasehold run {} --servers {} --nodes {} --seed {}",
        quoted(&header.scenario),
        quoted(&servers(&header.servers)),
        header.nodes,
        header.seed
    )
}

/// `etcd 3.4.23` as the command line takes it: `etcd@3.4.23`.
fn servers(recorded: &str) -> String {
    match recorded.split_whitespace().collect::<Vec<_>>()[..] {
        [service, version] => format!("{service}@{version}"),
        _ => recorded.to_owned(),
    }
}

/// Like [`quoted`], but an option such as `--seed` stays as it is.
fn quoted_option(word: &str) -> String {
    let is_option =
        word.strip_prefix("--").is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    if is_option { word.to_owned() } else { quoted(word) }
}

/// A word that a shell takes as it is. Histories come from elsewhere, and people paste what a report tells them to.
fn quoted(word: &str) -> String {
    let word = words::one_line(word, 200);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_its_quotes() {
        assert_eq!(quoted("early-expiry"), "early-expiry");
        assert_eq!(quoted("a; rm -rf 'x'"), r"'a; rm -rf '\''x'\'''");
        assert_eq!(servers("etcd 3.4.23"), "etcd@3.4.23");
        assert_eq!(servers("some long thing"), "some long thing");
    }
}
