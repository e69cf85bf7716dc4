//! Clojure's notation for data, and the histories that Jepsen writes in it.
//!
//! The language is that of <https://github.com/edn-format/edn>, and what Clojure prints beyond it that turns up in
//! histories: ratios, hexadecimal numbers, `##Inf`, and maps that share the namespace of their keys (`#:a{:b 1}`).

mod form;
mod history;
mod parser;
mod write;

pub(super) use form::Form;
pub(super) use history::EdnOps;
pub(super) use parser::Parser;

pub use parser::MAX_DEPTH;
pub use write::{to_edn, write_edn};
