//! Foreign text in Markdown.

use super::words::one_line;

/// The longest name that is shown in full.
const NAME_MAX: usize = 60;

/// A name, such as a lock's, as code: nothing in it is taken for markup.
pub(super) fn code(name: &str) -> String {
    let name = one_line(name, NAME_MAX);
    // CommonMark ends a code span at a run of backticks as long as the one that opened it, and nothing can be escaped
    // inside. A name with backticks is rare; showing them as quotes keeps every renderer right.
    let name = name.replace('`', "'");
    if name.is_empty() { "(empty)".to_owned() } else { format!("`{name}`") }
}

/// A lock's name, or plain words where it has none.
pub(super) fn lock(key: &str) -> String {
    if key.is_empty() { "the lock".to_owned() } else { code(key) }
}

/// A sentence in which pairs of backticks mark code, with everything else taken literally.
pub(super) fn prose(sentence: &str, max: usize) -> String {
    let sentence = one_line(sentence, max);
    let pieces: Vec<&str> = sentence.split('`').collect();
    let balanced = pieces.len() % 2 == 1 && !sentence.contains("``");
    if !balanced {
        return escaped(&sentence);
    }
    let mut out = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        if index % 2 == 1 {
            out.push('`');
            out.push_str(piece);
            out.push('`');
        } else {
            out.push_str(&escaped(piece));
        }
    }
    out
}

/// An address as a link, where it certainly is one.
pub(super) fn link(address: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=%".contains(c);
    let is_address = address.starts_with("https://") && address.len() < 300 && address.chars().all(is_plain);
    if is_address { format!("<{address}>") } else { prose(address, 160) }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        let is_inside_word = before.is_alphanumeric() && letters.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '_' if is_inside_word => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' => out.extend(['\\', c]),
            // At the beginning of a line these make headings and lists.
            '#' | '-' | '+' | '=' if out.is_empty() => out.extend(['\\', c]),
            other => out.push(other),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_a_sentence_stays_code() {
        assert_eq!(prose("held `jobs/7` for 2 s", 100), "held `jobs/7` for 2 s");
        assert_eq!(prose("a*b <i>", 100), "a\\*b &lt;i&gt;");
    }

    #[test]
    fn only_what_would_be_markup_is_escaped() {
        assert_eq!(prose("clock_wall -2 #1 _x_", 100), "clock_wall -2 #1 \\_x\\_");
        assert_eq!(prose("# no heading", 100), "\\# no heading");
        assert_eq!(link("https://etcd.io/docs/#ttl"), "<https://etcd.io/docs/#ttl>");
        assert_eq!(link("javascript:alert(1)>"), "javascript:alert(1)&gt;");
    }

    #[test]
    fn loose_backticks_open_nothing() {
        assert_eq!(prose("held `a<b", 100), "held \\`a&lt;b");
        assert_eq!(code("a`b\nc"), "`a'b c`");
    }
}
