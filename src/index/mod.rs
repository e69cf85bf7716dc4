//! Many runs at a glance: the list of a results folder, two runs side by side, and both over HTTP.
//!
//! ```text
//! folder -> runs::below -> Run (what run.json and verdict.json say) -> page | comparison -> a file, or serve
//! ```

mod comparison;
mod page;
mod runs;
mod serve;

pub use comparison::comparison;
pub use page::{Expected, page};
pub use runs::{Run, State, below};
pub use serve::{ServeError, Served, serve};

const STYLE: &str = include_str!("index.css");
