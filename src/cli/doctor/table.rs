//! The doctor's findings as a table.

use std::fmt::Write as _;

use super::{Diagnosis, Possible, Row};
use crate::report::wrap;

const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";
const BOLD: &str = "1";

/// The width of the columns before the last.
const NAME: usize = 34;
const MARK: usize = 9;

pub(super) fn of(diagnosis: &Diagnosis, colour: bool, width: usize) -> String {
    let mut table = Table { text: String::new(), colour, room: width.saturating_sub(NAME + MARK).max(30) };
    table.heading("Machine", "works");
    diagnosis.machine.iter().for_each(|row| table.row(row));
    table.heading("Fault", "possible");
    diagnosis.faults.iter().for_each(|row| table.row(row));
    table.heading("Server", "runs here");
    for server in &diagnosis.servers {
        let mark = if server.runs_here { ("yes", GREEN) } else { ("no", YELLOW) };
        table.line(&server.name, mark, server.state);
    }
    if !diagnosis.servers.iter().any(|server| server.runs_here) {
        table.line("", ("", ""), "to change it: a program of your own, `--server-bin etcd=PATH`");
    }
    table.text.push_str(&match diagnosis.runs {
        true => format!("\nRuns work here: {}.\n", diagnosis.sandbox),
        false => "\nRuns on servers of their own do not work here: see `no` under Machine.\n".to_owned(),
    });
    table.text
}

struct Table {
    text: String,
    colour: bool,
    /// The width of the last column.
    room: usize,
}

impl Table {
    fn heading(&mut self, name: &str, mark: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let (name, mark) = (format!("{name:NAME$}"), mark.to_owned());
        let line = self.styled(&format!("{name}{mark}"), BOLD);
        let _ = writeln!(self.text, "{line}");
    }

    fn row(&mut self, row: &Row) {
        let mark = match row.possible {
            Possible::Yes => ("yes", GREEN),
            Possible::Instead => ("partly", YELLOW),
            Possible::Without => ("no", YELLOW),
            Possible::No => ("no", RED),
        };
        self.line(row.name, mark, &row.why);
        if let Some(change) = &row.change {
            self.line("", ("", ""), &format!("to change it: {change}"));
        }
    }

    /// One line, or more where the last column needs them.
    fn line(&mut self, name: &str, (mark, style): (&str, &str), text: &str) {
        for (index, part) in wrap(text, self.room).into_iter().enumerate() {
            let (name, mark) = if index == 0 { (name, mark) } else { ("", "") };
            let gap = " ".repeat(MARK.saturating_sub(mark.len()).max(1));
            let line = format!("{name:NAME$}{}{gap}{part}", self.styled(mark, style));
            let _ = writeln!(self.text, "{}", line.trim_end());
        }
    }

    fn styled(&self, text: &str, style: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        let row = |name, possible, change: Option<&str>| Row {
            name,
            possible,
            why: "some words that say why it is so, and some more".to_owned(),
            change: change.map(str::to_owned),
        };
        Diagnosis {
            runs: true,
            sandbox: "user: a user namespace, over veth".to_owned(),
            machine: vec![row("TUN interfaces", Possible::Without, Some("sudo chmod 0666 /dev/net/tun"))],
            faults: vec![row("pause", Possible::Yes, None), row("out-of-memory", Possible::No, Some("run as root"))],
            servers: Vec::new(),
        }
    }

    #[test]
    fn every_row_has_its_mark_and_what_to_change() {
        let text = of(&diagnosis(), false, 80);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(!text.contains('\x1b'));
        let mark =
            |name: &str| text.lines().find(|line| line.starts_with(name)).map(|line| line[NAME..].split(' ').next());
        assert_eq!(mark("pause"), Some(Some("yes")));
        assert_eq!(mark("out-of-memory"), Some(Some("no")));
        assert!(text.contains("to change it: run as root") && text.contains("--server-bin"), "{text}");
        assert!(of(&diagnosis(), true, 80).contains("\x1b[31mno\x1b[0m"));
    }
}
