//! Tells the format of a history by its first bytes.

use std::io::{BufRead, Cursor, Read};

use super::edn::{Form, Parser};
use super::error::Problem;
use super::jepsen_log::message;
use super::{Error, Format};

/// How much of a file is looked at. A `jepsen.log` tells a few pages of other things before its first op.
const LOOK_BYTES: u64 = 1 << 18;

impl Format {
    /// Tells the format by the beginning of a file, of which it needs the first op whole.
    ///
    /// ```
    /// use leasehold_checkers::formats::Format;
    ///
    /// assert_eq!(Format::detect(br#"{"time":5,"process":0,"#), Some(Format::Leasehold));
    /// assert_eq!(Format::detect(b"[{:type :invoke, :f :read"), Some(Format::JepsenEdn));
    /// assert_eq!(Format::detect(b"Dear Sir,"), None);
    /// ```
    #[must_use]
    pub fn detect(beginning: &[u8]) -> Option<Self> {
        by_brackets(beginning)
            .or_else(|| beginning.split(|byte| *byte == b'\n').find_map(message).map(|_| Self::JepsenLog))
    }
}

/// Looks at the beginning, and gives back a reader that has it still.
pub(super) fn detect_first<R: BufRead>(mut reader: R) -> Result<(Format, impl BufRead + use<R>), Error> {
    let mut beginning = Vec::new();
    reader.by_ref().take(LOOK_BYTES).read_to_end(&mut beginning).map_err(Error::of_all)?;
    if beginning.trim_ascii().is_empty() {
        return Err(Error::of_all(Problem::Empty));
    }
    let format = Format::detect(&beginning).ok_or_else(|| Error::of_all(Problem::UnknownFormat))?;
    Ok((format, Cursor::new(beginning).chain(reader)))
}

/// The formats that begin with a bracket, a tag or a comment. What follows the brackets tells JSON from EDN.
fn by_brackets(beginning: &[u8]) -> Option<Format> {
    let rest = blank_skipped(beginning);
    match *rest.first()? {
        b'{' => match blank_skipped(&rest[1..]).first()? {
            b'"' => Some(Format::Leasehold),
            _ if is_key_value_op(rest) => Some(Format::Porcupine),
            b':' | b'#' => Some(Format::JepsenEdn),
            _ => None,
        },
        b'[' => match *blank_skipped(&rest[1..]).first()? {
            b'{' if blank_skipped(&blank_skipped(&rest[1..])[1..]).first() == Some(&b'"') => Some(Format::AtlasDb),
            b'{' | b'#' | b']' => Some(Format::JepsenEdn),
            _ => None,
        },
        b'(' | b'#' => Some(Format::JepsenEdn),
        _ => None,
    }
}

/// What follows white space and the comments of EDN. No other format begins with a semicolon.
fn blank_skipped(mut bytes: &[u8]) -> &[u8] {
    loop {
        match bytes {
            [byte, rest @ ..] if byte.is_ascii_whitespace() || *byte == b',' => bytes = rest,
            [b';', ..] => bytes = bytes.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &bytes[end..]),
            _ => return bytes,
        }
    }
}

/// Whether this begins with an op as Porcupine's key-value data has them: on a key that is a string, without a time.
fn is_key_value_op(bytes: &[u8]) -> bool {
    let Ok(Form::Map(fields)) = Parser::new(bytes).form() else { return false };
    let field = |name: &str| fields.iter().find(|(key, _)| key.is_keyword(name)).map(|(_, value)| value);
    let is_get_put_or_append = |f: &Form| ["get", "put", "append"].iter().any(|name| f.is_keyword(name));
    matches!(field("key"), Some(Form::Text(_)))
        && field("f").is_some_and(is_get_put_or_append)
        && field("time").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_their_first_bytes() {
        for (beginning, format) in [
            ("{\"leasehold\":1,\"scen", Some(Format::Leasehold)),
            (" { \"time\" : 1", Some(Format::Leasehold)),
            ("[\n  {\n  \"f\"", Some(Format::AtlasDb)),
            ("[{:process 0, :type", Some(Format::JepsenEdn)),
            ("({:type :invoke", Some(Format::JepsenEdn)),
            ("; a comment, [{\"\n\n[ ; another\n {:type", Some(Format::JepsenEdn)),
            ("{:process 0 :type :ok :f :read :key \"a\" :value 1}", Some(Format::JepsenEdn)),
            ("{:process 0 :type :ok :f :get :key 5 :value 1}", Some(Format::JepsenEdn)),
            ("{:process 0 :type :ok :f :get :key \"5\" :time 1}", Some(Format::JepsenEdn)),
            ("{:process 0 :type :ok :f :get :key \"5\"}", Some(Format::Porcupine)),
            ("#jepsen.history.Op{:type", Some(Format::JepsenEdn)),
            ("[#jepsen.history.Op{:type", Some(Format::JepsenEdn)),
            ("[]", Some(Format::JepsenEdn)),
            ("INFO  jepsen.core - begins\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\n", Some(Format::JepsenLog)),
            ("[2023] INFO jepsen.util: 0\t:invoke\t:read\tnil\n", Some(Format::JepsenLog)),
            ("INFO  jepsen.util - Downloading", None),
            ("[1, 2]", None),
            ("{", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(Format::detect(beginning.as_bytes()), format, "{beginning}");
        }
    }
}
