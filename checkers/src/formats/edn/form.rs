//! One value in EDN.

use std::fmt::{self, Write};

use serde_json::{Map, Number, Value};

/// A value as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::formats) enum Form {
    Nil,
    Bool(bool),
    Number(Number),
    /// A number that JSON has not: a ratio, an integer of more than 64 bits, an infinity.
    Exact(String),
    Text(String),
    Char(char),
    /// Its name, without the colon.
    Keyword(String),
    Symbol(String),
    List(Vec<Form>),
    Vector(Vec<Form>),
    Set(Vec<Form>),
    Map(Vec<(Form, Form)>),
    /// The tag, without its sign.
    Tagged(String, Box<Form>),
}

impl Form {
    pub(in crate::formats) fn is_keyword(&self, name: &str) -> bool {
        matches!(self, Self::Keyword(own) if own == name)
    }

    /// The value that a tag is on.
    pub(in crate::formats) fn untagged(self) -> Self {
        match self {
            Self::Tagged(_, inner) => inner.untagged(),
            other => other,
        }
    }

    /// The word or text; `None` if it is something else.
    pub(in crate::formats) fn into_name(self) -> Result<String, Self> {
        match self {
            Self::Text(text) | Self::Keyword(text) | Self::Symbol(text) => Ok(text),
            other => Err(other),
        }
    }

    /// A name for it: its word or text, or else how it is written.
    pub(in crate::formats) fn into_label(self) -> String {
        self.into_name().unwrap_or_else(|form| form.to_string())
    }

    /// As JSON: words become strings, sets arrays; tags are left out. What JSON has not is a string of how it is written.
    pub(in crate::formats) fn into_json(self) -> Result<Value, String> {
        Ok(match self {
            Self::Nil => Value::Null,
            Self::Bool(truth) => Value::Bool(truth),
            Self::Number(number) => Value::Number(number),
            Self::Char(char) => Value::String(char.to_string()),
            Self::Exact(text) | Self::Text(text) | Self::Keyword(text) | Self::Symbol(text) => Value::String(text),
            Self::List(forms) | Self::Vector(forms) | Self::Set(forms) => {
                Value::Array(forms.into_iter().map(Self::into_json).collect::<Result<_, _>>()?)
            }
            Self::Map(entries) => Value::Object(object(entries)?),
            Self::Tagged(_, inner) => inner.into_json()?,
        })
    }
}

fn object(entries: Vec<(Form, Form)>) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    for (key, value) in entries {
        let key = key.into_label();
        if object.contains_key(&key) {
            return Err(format!("a map has two keys that are called `{key}`"));
        }
        object.insert(key, value.into_json()?);
    }
    Ok(object)
}

impl fmt::Display for Form {
    /// As EDN, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Exact(text) | Self::Symbol(text) => f.write_str(text),
            Self::Text(text) => write_text(f, text),
            Self::Char(char) => write_char(f, *char),
            Self::Keyword(name) => write!(f, ":{name}"),
            Self::List(forms) => write_all(f, "(", forms, ")"),
            Self::Vector(forms) => write_all(f, "[", forms, "]"),
            Self::Set(forms) => write_all(f, "#{", forms, "}"),
            Self::Map(entries) => {
                f.write_char('{')?;
                for (place, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key} {value}", if place == 0 { "" } else { ", " })?;
                }
                f.write_char('}')
            }
            Self::Tagged(tag, inner) => write!(f, "#{tag} {inner}"),
        }
    }
}

fn write_all(f: &mut fmt::Formatter<'_>, open: &str, forms: &[Form], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (place, form) in forms.iter().enumerate() {
        write!(f, "{}{form}", if place == 0 { "" } else { " " })?;
    }
    f.write_str(close)
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for char in text.chars() {
        match char {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            // One line must stay one line, whatever a reader takes for a line break.
            char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') => {
                write!(f, "\\u{:04x}", char as u32)?;
            }
            char => f.write_char(char)?,
        }
    }
    f.write_char('"')
}

fn write_char(f: &mut fmt::Formatter<'_>, char: char) -> fmt::Result {
    match CHAR_NAMES.iter().find(|(_, named)| *named == char) {
        Some((name, _)) => write!(f, "\\{name}"),
        None => write!(f, "\\{char}"),
    }
}

/// The characters that have a name.
pub(super) const CHAR_NAMES: [(&str, char); 6] =
    [("newline", '\n'), ("return", '\r'), ("space", ' '), ("tab", '\t'), ("backspace", '\u{8}'), ("formfeed", '\u{c}')];
