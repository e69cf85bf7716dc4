//! Talking to the user: answers on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use super::{Exit, Failure};

/// Log lines go to stderr: warnings by default.
pub(super) fn start_log(verbose: u8) {
    let level = match verbose {
        // ZooKeeper's library warns of every session that we end without closing it, as we mean to.
        0 => "warn,zookeeper_client=off",
        1 => "leasehold=info,warn,zookeeper_client=off",
        _ => "debug",
    };
    let wanted = std::env::var("LEASEHOLD_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = wanted.as_deref().map_or_else(|| EnvFilter::try_new(level), EnvFilter::try_new);
    let filter = filter.unwrap_or_else(|error| {
        note(&format!("leasehold: LEASEHOLD_LOG is ignored: {error}; write a level, such as `debug`"));
        EnvFilter::new(level)
    });
    let colour = colour(&io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour).without_time().init();
}

/// Tells an error and its causes, and returns the exit code.
pub(super) fn report(failure: &Failure) -> Exit {
    note(&format!("leasehold: {failure}"));
    failure.exit
}

/// A line on stderr.
pub(super) fn note(line: &str) {
    // If stderr is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Text on stdout. A reader that has heard enough, such as `head`, is no error.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Internal, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Text in lines of at most this many characters, as far as its words allow; at least one.
pub(super) fn lines(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= most {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Whether to use colours on this stream.
pub(super) fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How wide the terminal is, in characters.
pub(super) fn width() -> usize {
    const DEFAULT: usize = 100;
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.or_else(terminal_width).unwrap_or(DEFAULT)
}

fn terminal_width() -> Option<usize> {
    let (_, columns) = console::Term::stdout().size_checked()?;
    Some(columns.into())
}
