//! Histories in the formats of this field, read into our own events.
//!
//! | [`Format`] | what it is | who writes it |
//! |---|---|---|
//! | `leasehold` | one JSON object a line; a header first, or none | `leasehold run` |
//! | `jepsen-edn` | op maps in EDN, in a vector, a list or one after the other | Jepsen's `history.edn`, Knossos' test data |
//! | `jepsen-log` | lines of tab-separated fields, between other lines | `jepsen.log`, Porcupine's test data |
//! | `porcupine` | op maps with a `:key`, one after the other | Porcupine's key-value test data |
//! | `atlasdb` | a JSON array of op objects on named locks | the Jepsen tests of Palantir's AtlasDB |
//!
//! Which one a file is in shows in its first bytes, see [`Format::detect`], or is said: see [`Options::format`]. What
//! becomes of each field stands in `docs/formats.md`.
//!
//! ```
//! use leasehold_checkers::formats::{Format, Options, Record};
//!
//! let history = r#"
//!     [{:process 0, :type :invoke, :f :cas, :value [1 2]}   ; a comment
//!      {:process 0, :type :info,   :f :cas, :value [1 2], :error :timed-out}]"#;
//! let record = Record::from_reader(history.as_bytes(), &Options::default())?;
//!
//! assert_eq!(record.format, Format::JepsenEdn);
//! assert_eq!(record.events[0].value, serde_json::json!([1, 2]));
//! assert_eq!(record.events[1].error.as_ref().map(|error| error.code.as_str()), Some("timed-out"));
//! # Ok::<(), leasehold_checkers::formats::Error>(())
//! ```
//!
//! [`Events`] reads them one at a time, for whoever does not need them all at once: a [`Record`] of millions of events
//! takes hundreds of megabytes. [`write_edn`] writes events for the tools of others.
//!
//! Files are taken for hostile. What is read at once is bounded: a line or an op to [`MAX_LINE_BYTES`], its nesting to
//! [`MAX_DEPTH`]. Each error names the line and the reason. Whoever stops in the middle of a file's last line, as a
//! recorder does that dies, leaves a record without that line whose [`Record::truncated`] is set.
//!
//! [`MAX_LINE_BYTES`]: crate::history::MAX_LINE_BYTES

mod atlasdb;
mod bytes;
mod detect;
mod edn;
mod error;
mod events;
mod head;
mod jepsen_log;
mod leasehold;
mod lexicon;
mod lines;
mod op;
mod record;

use std::fmt;
use std::str::FromStr;

pub use edn::{MAX_DEPTH, to_edn, write_edn};
pub use error::{Error, Problem};
pub use events::Events;
pub use record::Record;

/// The size of the pieces in which files are read. Ops are small, so that a piece holds hundreds.
pub(crate) const PIECE_BYTES: usize = 1 << 17;

/// The form that a history is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Our own: one JSON object a line.
    Leasehold,
    /// Op maps in EDN: in a vector, in a list, or one after the other.
    JepsenEdn,
    /// The lines of `jepsen.log` that tell of ops. All other lines are passed over.
    JepsenLog,
    /// The text of Porcupine's key-value test data: EDN op maps, each with a `:key`.
    Porcupine,
    /// The JSON array that the lock test of AtlasDB stores.
    AtlasDb,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [Self::Leasehold, Self::JepsenEdn, Self::JepsenLog, Self::Porcupine, Self::AtlasDb];

    /// The word for it on a command line.
    ///
    /// ```
    /// use leasehold_checkers::formats::Format;
    ///
    /// for format in Format::ALL {
    ///     assert_eq!(format.word().parse(), Ok(format));
    /// }
    /// ```
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Leasehold => "leasehold",
            Self::JepsenEdn => "jepsen-edn",
            Self::JepsenLog => "jepsen-log",
            Self::Porcupine => "porcupine",
            Self::AtlasDb => "atlasdb",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.word() == word)
            .ok_or_else(|| UnknownFormat { word: word.to_owned() })
    }
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no format is called `{word}`: there are {}", words())]
pub struct UnknownFormat {
    /// The word.
    pub word: String,
}

fn words() -> String {
    Format::ALL.map(Format::word).join(", ")
}

/// How a history is to be read, where its bytes do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The format; `None` to tell it by the content.
    pub format: Option<Format>,
    /// Where an op says what it is about. Our own format and AtlasDB's leave no doubt.
    pub keys: Keys,
}

/// Where an op in Jepsen's formats says which lock or register it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// In its field `:key`, if there is more than one.
    #[default]
    Field,
    /// In its value, which is a pair `[key value]`, as `jepsen.independent` makes it. A completion whose value is no pair
    /// is about the key of its invocation.
    Pair,
}
