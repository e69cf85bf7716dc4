//! Numbers, times and foreign text in plain words.

use std::time::Duration;

use leasehold_checkers::explain::human;
use leasehold_checkers::history::RunTime;

/// A length of time as the checkers write it: `8.83 s`, `120 ms`.
pub(super) fn span(ns: u64) -> String {
    if ns == 0 { "0 s".to_owned() } else { human(Duration::from_nanos(ns)) }
}

/// An instant of the run as it stands in a timeline: `4.312 s`.
pub(super) fn instant(time: RunTime) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// A signed length of time: `+9 s`, `-120 ms`.
pub(super) fn signed_span(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "+" };
    format!("{sign}{}", span(ns.unsigned_abs()))
}

/// `1 lock`, `3 locks`, `no locks`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{} {many}", thousands(count)),
    }
}

/// `12,345`.
pub(super) fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `n1, n2 and n3`.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [head @ .., last] => {
            let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", head.join(", "), last.as_ref())
        }
    }
}

/// Foreign text on one line of at most `max` characters. Keys, errors and explanations come from servers and from
/// other people's files: line breaks, control characters and marks that turn the direction of writing have no place
/// in a report, and XML forbids most of them.
pub(super) fn one_line(text: &str, max: usize) -> String {
    if text.len() <= max && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let mut line = String::new();
    let mut length = 0;
    let mut gap = false;
    for c in text.chars() {
        if is_break(c) {
            gap = true;
            continue;
        }
        if is_hidden(c) {
            continue;
        }
        let needed = if gap && length > 0 { 2 } else { 1 };
        if length + needed > max {
            return cut(line);
        }
        if needed == 2 {
            line.push(' ');
        }
        line.push(c);
        length += needed;
        gap = false;
    }
    line
}

fn cut(mut line: String) -> String {
    line.pop();
    line.truncate(line.trim_end().len());
    line.push('…');
    line
}

fn is_break(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || (c as u32) & 0xfffe == 0xfffe
}

/// Text broken into lines of at most `max` characters, at spaces where there are any, but not between a number and
/// its unit.
pub(crate) fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in words(text).flat_map(|word| chunks(&word, max)) {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > max {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        line.push_str(&word);
        length += word_length;
    }
    lines.push(line);
    lines
}

/// The words of a text; a number and its unit are one word.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut pieces = text.split(' ').peekable();
    std::iter::from_fn(move || {
        let mut word = pieces.next()?.to_owned();
        if word.parse::<f64>().is_ok()
            && let Some(unit) = pieces.next_if(|next| is_unit(next))
        {
            word.push(' ');
            word.push_str(unit);
        }
        Some(word)
    })
}

fn is_unit(word: &str) -> bool {
    matches!(word.trim_end_matches(|c: char| c.is_ascii_punctuation()), "s" | "ms" | "ppm" | "×")
}

fn chunks(word: &str, max: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.is_empty() {
        return vec![String::new()];
    }
    letters.chunks(max).map(|chunk| chunk.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        assert_eq!(span(8_830_000_000), "8.83 s");
        assert_eq!(span(10_000_000_000), "10 s");
        assert_eq!(span(120_400_000), "120 ms");
        assert_eq!(span(250_000), "0.25 ms");
        assert_eq!(span(0), "0 s");
        assert_eq!(signed_span(-9_000_000_000), "-9 s");
    }

    #[test]
    fn foreign_text_stays_on_its_line() {
        assert_eq!(one_line("a\n\r\tb\u{0}c\u{202e}d", 20), "a b cd");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("abcd", 4), "abcd");
        assert_eq!(one_line("\u{ffff}\u{feff}", 4), "");
        assert_eq!(one_line("anything", 0), "…");
    }

    #[test]
    fn lists_and_counts() {
        assert_eq!(list(&["n1", "n2", "n3"]), "n1, n2 and n3");
        assert_eq!(counted(1, "lock", "locks"), "1 lock");
        assert_eq!(counted(1234, "lock", "locks"), "1,234 locks");
    }

    #[test]
    fn wrapping_loses_no_word() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("held for 15.4 s, then", 12), ["held for", "15.4 s, then"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
