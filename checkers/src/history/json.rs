//! JSON that is kept as its text until somebody looks into it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// What an event is about. It is a [`Value`] to whoever looks into it; until then it is the text that stood in the file, which
/// takes a tenth of the room of the tree, and a checker that knows the shape reads the text at once.
#[derive(Default)]
pub struct Json {
    /// The text of the whole; `None` for `null`, and where the tree may have been changed.
    text: Option<Box<str>>,
    tree: OnceLock<Box<Value>>,
}

/// Texts nested deeper or longer are parsed to see whether they can be.
const PLAIN_DEPTH: usize = 60;
const PLAIN_BYTES: usize = 4_096;

impl Json {
    /// Reads it in a shape that is known.
    ///
    /// # Errors
    ///
    /// Where it has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let at_once = self.text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        at_once.map_or_else(|| T::deserialize(&**self), Ok)
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        match &self.text {
            Some(text) => text.starts_with('{'),
            None => (**self).is_object(),
        }
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match &self.text {
            Some(text) => &**text == "null",
            None => self.tree.get().is_none_or(|tree| tree.is_null()),
        }
    }

    /// Its text, where that is short to tell: a string without escapes, or a whole number that is small and positive. A tree of it would be
    /// printed in the same way.
    pub(crate) fn scalar(&self) -> Option<&str> {
        self.text.as_deref().filter(|text| is_scalar(text))
    }

    /// The texts of two such, where it is an array of two.
    pub(crate) fn scalars(&self) -> Option<[&str; 2]> {
        let pair: [&RawValue; 2] = serde_json::from_str(self.text.as_deref()?).ok()?;
        let pair = pair.map(RawValue::get);
        pair.iter().all(|text| is_scalar(text)).then_some(pair)
    }

    /// Takes a text that is known to be JSON: without escapes, fractions, exponents or anything nested in what is nested.
    pub(crate) fn of_flat(text: &str) -> Self {
        Self { text: (text != "null").then(|| text.into()), tree: OnceLock::new() }
    }

    /// Takes a text that is known to look like JSON. What only a full parse would find wrong with it is found now.
    pub(crate) fn of_raw(raw: &RawValue) -> Result<Self, serde_json::Error> {
        let text = raw.get();
        if !is_plain(text.as_bytes()) {
            serde_json::from_str::<Value>(text)?;
        }
        Ok(Self::of_flat(text))
    }
}

/// Whether a text that is JSON is printed by its tree as it stands here.
fn is_scalar(text: &str) -> bool {
    match text.as_bytes() {
        [b'"', string @ .., b'"'] => !string.contains(&b'\\'),
        digits => digits.len() < 19 && digits.iter().all(u8::is_ascii_digit),
    }
}

/// Whether a text that looks like JSON can only be JSON: it is short and flat, and has neither escapes nor exponents.
fn is_plain(text: &[u8]) -> bool {
    let (mut depth, mut before) = (0, 0);
    for byte in text {
        match byte {
            b'[' | b'{' => depth += 1,
            b'e' | b'E' if u8::is_ascii_digit(&before) => return false,
            b'\\' => return false,
            _ => {}
        }
        before = *byte;
    }
    depth <= PLAIN_DEPTH && text.len() <= PLAIN_BYTES
}

impl Deref for Json {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.tree.get_or_init(|| {
            let parsed = self
                .text
                .as_deref()
                .map(|text| serde_json::from_str(text).expect("a text is kept only if it is JSON, see `of_raw`"));
            Box::new(parsed.unwrap_or_default())
        })
    }
}

impl DerefMut for Json {
    fn deref_mut(&mut self) -> &mut Value {
        let _ = &**self;
        self.text = None;
        self.tree.get_mut().expect("it was parsed in the line before")
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::default(),
            value => Self { text: None, tree: Box::new(value).into() },
        }
    }
}

impl Clone for Json {
    fn clone(&self) -> Self {
        match &self.text {
            Some(text) => Self { text: Some(text.clone()), tree: OnceLock::new() },
            None => Self::from(self.tree.get().map(|tree| (**tree).clone()).unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text.is_some() && self.text == other.text || **self == **other
    }
}

impl PartialEq<Value> for Json {
    fn eq(&self, other: &Value) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Json {
    fn eq(&self, other: &&str) -> bool {
        **self == *other
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::of_raw(&raw).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Json, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_text_is_the_tree_that_it_tells_of() {
        let text = r#"{ "owner": "a", "ttl_ms": 5, "more": [1, -2, 0.5, null, true, "\u00e9"] }"#;
        let value: Value = serde_json::from_str(text).expect("it is JSON");
        let json = read(text).expect("it is JSON");
        assert_eq!(json, value);
        assert_eq!(json, Json::from(value.clone()));
        assert_eq!((json.is_object(), json.is_null()), (true, false));
        assert_eq!(json["owner"], "a");
        assert_eq!(json.clone(), json);
        assert_eq!(serde_json::to_value(&json).expect("it can be written"), value);
    }

    #[test]
    fn what_is_told_without_a_tree_is_what_the_tree_tells() {
        for text in ["7", "0", "999999999999999999", r#""""#, r#""é""#, "[1,2]", r#"[ "a" , 7 ]"#] {
            let json = read(text).expect("it is JSON");
            let printed: Vec<String> = json.as_array().into_iter().flatten().map(Value::to_string).collect();
            let told = (json.scalar().map(str::to_owned), json.scalars().map(|pair| pair.map(str::to_owned).to_vec()));
            let expected = if printed.is_empty() { (Some(json.to_string()), None) } else { (None, Some(printed)) };
            assert_eq!(told, expected, "{text}");
        }
        for text in
            ["null", "-1", "1.0", "1000000000000000000", r#""\u0061""#, "[1]", "[1,-2]", "[1,2,3]", "[[1,2],3]", "{}"]
        {
            let json = read(text).expect("it is JSON");
            assert_eq!((json.scalar(), json.scalars()), (None, None), "{text}");
        }
    }

    #[test]
    fn nothing_is_null() {
        for json in [Json::default(), read("null").expect("it is JSON"), Json::from(Value::Null)] {
            assert!(json.is_null() && !json.is_object());
            assert_eq!(json, Value::Null);
        }
    }

    #[test]
    fn a_change_is_seen_by_all() {
        let mut json = read(r#"{"owner":"a"}"#).expect("it is JSON");
        json["owner"] = json!("b");
        assert_eq!(json.read::<std::collections::BTreeMap<String, String>>().expect("it is a map")["owner"], "b");
        assert_eq!(json.clone(), json!({ "owner": "b" }));
    }

    #[test]
    fn what_cannot_be_parsed_is_refused_at_once() {
        for text in ["1e999", r#""\ud800""#, &format!("{}1{}", "[".repeat(200), "]".repeat(200)), "tru", "{"] {
            assert!(read(text).is_err(), "{text}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }
}
