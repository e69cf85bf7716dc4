//! Reads EDN, one value at a time, in bounded memory.

use std::io::BufRead;

use serde_json::Number;

use super::form::{CHAR_NAMES, Form};
use crate::formats::Error;
use crate::formats::bytes::Bytes;
use crate::formats::error::Problem;

/// How deep values of EDN may stand in values: a little deeper than the JSON of our own events, so that all can be written
/// and read again.
pub const MAX_DEPTH: usize = 160;

/// What can stand where a value may.
pub(super) enum Item {
    Form(Form),
    /// The beginning of a vector or list, and the bracket that will end it. Only told where it was asked for.
    Open(u8),
    Close(u8),
    End,
}

/// Whether the outermost vector or list is told as its parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Brackets {
    Enter,
    Whole,
}

/// A reader of values.
pub(in crate::formats) struct Parser<R> {
    bytes: Bytes<R>,
}

impl<R: BufRead> Parser<R> {
    pub(in crate::formats) fn new(reader: R) -> Self {
        Self { bytes: Bytes::new(reader) }
    }

    /// The line on which the latest value began.
    pub(super) fn form_line(&self) -> usize {
        self.bytes.value_line()
    }

    /// Whether the latest value began on the line that has been reached.
    pub(super) fn is_on_form_line(&self) -> bool {
        self.bytes.value_line() == self.bytes.line()
    }

    /// The next value, which must be there.
    pub(in crate::formats) fn form(&mut self) -> Result<Form, Error> {
        match self.item(Brackets::Whole)? {
            Item::Form(form) => Ok(form),
            Item::Close(bracket) | Item::Open(bracket) => Err(self.unexpected(bracket)),
            Item::End => Err(self.error(Problem::Unfinished)),
        }
    }

    /// The next thing that is neither white space nor comment nor discarded.
    pub(super) fn item(&mut self, brackets: Brackets) -> Result<Item, Error> {
        loop {
            self.bytes.between_values();
            self.skip_blank()?;
            self.bytes.begin_value();
            let close = match self.bytes.peek()? {
                Some(b'[') => Some(b']'),
                Some(b'(') => Some(b')'),
                _ => None,
            };
            if let (Some(close), Brackets::Enter) = (close, brackets) {
                self.bytes.take()?;
                return Ok(Item::Open(close));
            }
            if let Some(item) = self.item_in(0)? {
                return Ok(item);
            }
        }
    }

    /// What begins at the next byte that is not blank; `None` if it was discarded.
    fn item_in(&mut self, depth: usize) -> Result<Option<Item>, Error> {
        if depth > MAX_DEPTH {
            return Err(self.error(Problem::TooDeep));
        }
        self.skip_blank()?;
        let Some(byte) = self.bytes.peek()? else { return Ok(Some(Item::End)) };
        let form = match byte {
            b')' | b']' | b'}' => {
                self.bytes.take()?;
                return Ok(Some(Item::Close(byte)));
            }
            b'(' => Form::List(self.all_until(b')', depth)?),
            b'[' => Form::Vector(self.all_until(b']', depth)?),
            b'{' => Form::Map(self.map(depth)?),
            b'"' => Form::Text(self.text()?),
            b'\\' => Form::Char(self.char()?),
            b'#' => {
                self.bytes.take()?;
                return Ok(self.dispatched(depth)?.map(Item::Form));
            }
            _ => self.word()?,
        };
        Ok(Some(Item::Form(form)))
    }

    /// What begins with a hash; `None` if it was discarded.
    fn dispatched(&mut self, depth: usize) -> Result<Option<Form>, Error> {
        Ok(Some(match self.bytes.peek()? {
            Some(b'{') => Form::Set(self.all_until(b'}', depth)?),
            Some(b'_') => {
                self.bytes.take()?;
                self.form_in(depth + 1)?;
                return Ok(None);
            }
            Some(b'#') => {
                self.bytes.take()?;
                Form::Exact(format!("##{}", self.token()?))
            }
            Some(b':') => {
                let namespace = self.token()?.trim_start_matches(':').to_owned();
                match self.form_in(depth + 1)? {
                    Form::Map(entries) => Form::Map(in_namespace(&namespace, entries)),
                    _ => return Err(self.not_edn("a namespace is for a map")),
                }
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                let tag = self.token()?;
                Form::Tagged(tag, Box::new(self.form_in(depth + 1)?))
            }
            Some(_) => return Err(self.not_edn("`#` begins no value here")),
            None => return Err(self.error(Problem::Unfinished)),
        }))
    }

    /// The next value within another.
    fn form_in(&mut self, depth: usize) -> Result<Form, Error> {
        loop {
            match self.item_in(depth)? {
                Some(Item::Form(form)) => return Ok(form),
                Some(Item::Close(bracket) | Item::Open(bracket)) => return Err(self.unexpected(bracket)),
                Some(Item::End) => return Err(self.error(Problem::Unfinished)),
                None => {}
            }
        }
    }

    /// The values between this bracket and its counterpart.
    fn all_until(&mut self, close: u8, depth: usize) -> Result<Vec<Form>, Error> {
        self.bytes.take()?;
        let mut forms = Vec::new();
        loop {
            match self.item_in(depth + 1)? {
                Some(Item::Form(form)) => forms.push(form),
                Some(Item::Close(bracket)) if bracket == close => return Ok(forms),
                Some(Item::Close(bracket) | Item::Open(bracket)) => return Err(self.unexpected(bracket)),
                Some(Item::End) => return Err(self.error(Problem::Unfinished)),
                None => {}
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Form, Form)>, Error> {
        let mut forms = self.all_until(b'}', depth)?.into_iter();
        let mut entries = Vec::with_capacity(forms.len() / 2);
        while let Some(key) = forms.next() {
            let value = forms.next().ok_or_else(|| self.not_edn("a map has a key without a value"))?;
            entries.push((key, value));
        }
        Ok(entries)
    }

    fn text(&mut self) -> Result<String, Error> {
        self.bytes.take()?;
        let mut bytes = Vec::new();
        loop {
            self.bytes.take_while(|byte| !matches!(byte, b'"' | b'\\'), &mut bytes)?;
            match self.bytes.take()? {
                b'"' => return self.utf8(bytes),
                _ => {
                    let char = self.escape()?;
                    bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        Ok(match self.bytes.take()? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            byte @ (b'"' | b'\\' | b'\'') => char::from(byte),
            b'u' => self.unicode_escape()?,
            byte => return Err(self.not_edn(format!("`\\{}` is no escape", char::from(byte).escape_default()))),
        })
    }

    /// A character by its number, or by the two halves in which Java writes the greater numbers.
    fn unicode_escape(&mut self) -> Result<char, Error> {
        let first = self.four_digits()?;
        let units = match first {
            0xd800..0xdc00 if self.bytes.take()? == b'\\' && self.bytes.take()? == b'u' => {
                vec![first, self.four_digits()?]
            }
            _ => vec![first],
        };
        match char::decode_utf16(units).next() {
            Some(Ok(char)) => Ok(char),
            _ => Err(self.not_edn("half a character stands alone")),
        }
    }

    fn four_digits(&mut self) -> Result<u16, Error> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = char::from(self.bytes.take()?).to_digit(16);
            let digit = digit.ok_or_else(|| self.not_edn("`\\u` needs four hexadecimal digits"))?;
            number = number << 4 | digit as u16;
        }
        Ok(number)
    }

    fn char(&mut self) -> Result<char, Error> {
        self.bytes.take()?;
        // The first byte is part of it even if it would end a word elsewhere, as in `\(`.
        let mut bytes = vec![self.bytes.take()?];
        self.take_word_into(&mut bytes)?;
        let name = self.utf8(bytes)?;
        let mut chars = name.chars();
        let by_number =
            || name.strip_prefix('u').and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        match (chars.next(), chars.next()) {
            (Some(char), None) => Some(char),
            _ => CHAR_NAMES.iter().find(|(own, _)| *own == name).map(|(_, char)| *char).or_else(by_number),
        }
        .ok_or_else(|| self.not_edn(format!("`\\{name}` is no character")))
    }

    /// A number, keyword or symbol.
    fn word(&mut self) -> Result<Form, Error> {
        let word = self.token()?;
        let digits = word.trim_start_matches(['+', '-']);
        if word.len() - digits.len() <= 1 && digits.starts_with(|char: char| char.is_ascii_digit()) {
            return number(&word).ok_or_else(|| self.not_edn(format!("`{word}` is no number")));
        }
        Ok(match word.as_str() {
            "nil" => Form::Nil,
            "true" => Form::Bool(true),
            "false" => Form::Bool(false),
            _ => match word.strip_prefix(':').map(|name| name.strip_prefix(':').unwrap_or(name)) {
                None => Form::Symbol(word),
                Some("") => return Err(self.not_edn("a colon without a name")),
                Some(name) => Form::Keyword(name.to_owned()),
            },
        })
    }

    fn token(&mut self) -> Result<String, Error> {
        let mut bytes = Vec::new();
        self.take_word_into(&mut bytes)?;
        self.utf8(bytes)
    }

    fn take_word_into(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.bytes.take_while(|byte| !ends_word(byte), bytes)
    }

    fn utf8(&self, bytes: Vec<u8>) -> Result<String, Error> {
        String::from_utf8(bytes).map_err(|_| self.not_edn("a word or text is not UTF-8"))
    }

    fn skip_blank(&mut self) -> Result<(), Error> {
        while let Some(byte) = self.bytes.peek()? {
            match byte {
                b';' => {
                    while let Some(byte) = self.bytes.peek()?
                        && byte != b'\n'
                    {
                        self.bytes.pass(byte)?;
                    }
                }
                byte if is_blank(byte) => self.bytes.pass(byte)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// What is wrong with the value that is being read.
    pub(super) fn error(&self, problem: Problem) -> Error {
        Error::at(self.bytes.value_line(), problem)
    }

    fn not_edn(&self, reason: impl Into<String>) -> Error {
        Error::at(self.bytes.line(), Problem::NotEdn(reason.into()))
    }

    pub(super) fn unexpected(&self, bracket: u8) -> Error {
        self.not_edn(format!("`{}` where none was open", char::from(bracket)))
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b',' || byte == b'\x0b'
}

fn ends_word(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b';' | b'\\')
}

/// Puts the keys that have no namespace of their own into this one. `:_/a` is for those that shall have none.
fn in_namespace(namespace: &str, entries: Vec<(Form, Form)>) -> Vec<(Form, Form)> {
    let rename = |key| match key {
        Form::Keyword(name) => Form::Keyword(match name.strip_prefix("_/") {
            Some(bare) => bare.to_owned(),
            None if name.contains('/') => name,
            None => format!("{namespace}/{name}"),
        }),
        other => other,
    };
    entries.into_iter().map(|(key, value)| (rename(key), value)).collect()
}

fn number(word: &str) -> Option<Form> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", word.strip_prefix('+').unwrap_or(word)),
    };
    if let Some(hexadecimal) = digits.strip_prefix("0x") {
        let number = u64::from_str_radix(hexadecimal.trim_start_matches('+'), 16).ok()?;
        return integer(sign, &number.to_string());
    }
    if let Some((above, below)) = digits.split_once('/') {
        return (is_digits(above) && is_digits(below)).then(|| Form::Exact(word.to_owned()));
    }
    let whole = digits.strip_suffix('N').unwrap_or(digits);
    if is_digits(whole) {
        // In Clojure `017` is 15; EDN has no such number. Whatever was meant, guessing would be wrong.
        return if whole.len() > 1 && whole.starts_with('0') { None } else { integer(sign, whole) };
    }
    let decimal = digits.strip_suffix('M').unwrap_or(digits);
    if !decimal.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let float = format!("{sign}{decimal}").parse().ok()?;
    Some(Number::from_f64(float).map_or_else(|| Form::Exact(word.to_owned()), Form::Number))
}

fn integer(sign: &str, digits: &str) -> Option<Form> {
    let text = format!("{sign}{digits}");
    let small = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    Some(small.map_or(Form::Exact(text), Form::Number))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn read(text: &str) -> Value {
        let form = Parser::new(text.as_bytes()).form().unwrap_or_else(|error| panic!("{error}"));
        form.into_json().unwrap_or_else(|reason| panic!("{reason}"))
    }

    #[track_caller]
    fn error(text: &str) -> String {
        Parser::new(text.as_bytes()).form().expect_err("it is no EDN").to_string()
    }

    #[test]
    fn numbers() {
        assert_eq!(read("[0 -1 +2 3N 0x1F -0 18446744073709551615]"), json!([0, -1, 2, 3, 31, 0, u64::MAX]));
        assert_eq!(read("[1.5 -1.5e-3 2.5M 1e2 7.]"), json!([1.5, -0.0015, 2.5, 100.0, 7.0]));
        // What JSON has not keeps how it is written.
        assert_eq!(
            read("[1/2 -22/7 99999999999999999999N 1e999 ##-Inf ##NaN]"),
            json!(["1/2", "-22/7", "99999999999999999999", "1e999", "##-Inf", "##NaN"])
        );
        for word in ["017", "1a", "1/", "1:2", "0xZZ", "1.2.3", "1e"] {
            assert_eq!(error(word), format!("line 1: not EDN: `{word}` is no number"));
        }
    }

    #[test]
    fn words() {
        assert_eq!(read("[nil true false nilly - -a +]"), json!([null, true, false, "nilly", "-", "-a", "+"]));
        assert_eq!(read("[:a :a/b ::c :timed-out a.b/c?]"), json!(["a", "a/b", "c", "timed-out", "a.b/c?"]));
        assert_eq!(error(":"), "line 1: not EDN: a colon without a name");
    }

    #[test]
    fn texts() {
        assert_eq!(
            read(r#""a \"b\" \\ \n\t\r\b\f \u00e9 \ud83d\udd12 🔒""#),
            json!("a \"b\" \\ \n\t\r\u{8}\u{c} é 🔒 🔒")
        );
        assert_eq!(read("\"; no comment\n,}\""), json!("; no comment\n,}"));
        assert_eq!(error(r#""\x""#), r"line 1: not EDN: `\x` is no escape");
        assert_eq!(error(r#""\u12g4""#), r"line 1: not EDN: `\u` needs four hexadecimal digits");
        assert_eq!(error(r#""\ud83d lock""#), "line 1: not EDN: half a character stands alone");
        assert_eq!(error(r#""\udd12""#), "line 1: not EDN: half a character stands alone");
        let latin_1 = Parser::new(&b"\"caf\xe9\""[..]).form().expect_err("it is no UTF-8").to_string();
        assert_eq!(latin_1, "line 1: not EDN: a word or text is not UTF-8");
    }

    #[test]
    fn characters() {
        assert_eq!(read(r"[\a \newline \space \u0041 \( \] \; \é]"), json!(["a", "\n", " ", "A", "(", "]", ";", "é"]));
        assert_eq!(error(r"\nonsense"), r"line 1: not EDN: `\nonsense` is no character");
    }

    #[test]
    fn collections() {
        assert_eq!(read("[1,2 , (3 4) #{:n1 :n2} {}]"), json!([1, 2, [3, 4], ["n1", "n2"], {}]));
        assert_eq!(read("{:a 1, \"b\" 2, 3 :c, [4] nil}"), json!({ "a": 1, "b": 2, "3": "c", "[4]": null }));
        assert_eq!(read("#:op{:f :read :_/g 1 :h/i 2 \"j\" 3}"), json!({ "op/f": "read", "g": 1, "h/i": 2, "j": 3 }));
        assert_eq!(error("{:a 1 :b}"), "line 1: not EDN: a map has a key without a value");
        assert_eq!(error("[1)"), "line 1: not EDN: `)` where none was open");
        assert_eq!(error("[1"), "line 1: the file ends before what begins here is whole");
        let twice = Parser::new(&b"{:a 1 \"a\" 2}"[..]).form().expect("it is EDN").into_json();
        assert_eq!(twice, Err("a map has two keys that are called `a`".to_owned()));
    }

    #[test]
    fn tags_discards_and_comments() {
        assert_eq!(read("#inst \"2026-11-21\""), json!("2026-11-21"));
        assert_eq!(read("#object[a.b.C 0x1f \"text\"]"), json!(["a.b.C", 31, "text"]));
        assert_eq!(read("#a #b/c {:d #e 1}"), json!({ "d": 1 }));
        assert_eq!(read("[1 #_2 #_ #_ 3 4 5 #_[6 #_7] ; 8]\n]"), json!([1, 5]));
        assert_eq!(read("#_ {:a 1} ; gone\n 1").to_string(), "1");
        assert_eq!(error("#_"), "line 1: the file ends before what begins here is whole");
        assert_eq!(error("[#_]"), "line 1: not EDN: `]` where none was open");
        assert_eq!(error("#(f %)"), "line 1: not EDN: `#` begins no value here");
    }

    #[test]
    fn depth_and_lines() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Parser::new(nested(MAX_DEPTH).as_bytes()).form().is_ok());
        assert_eq!(error(&nested(MAX_DEPTH + 1)), "line 1: nested more than 160 deep");
        assert_eq!(error(&"#_".repeat(100_000)), "line 1: nested more than 160 deep");
        assert_eq!(error(&"#a ".repeat(100_000)), "line 1: nested more than 160 deep");
        assert_eq!(error("\n\n[1\n2\n1x]"), "line 5: not EDN: `1x` is no number");
    }
}
