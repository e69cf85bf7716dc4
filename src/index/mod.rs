//! Many runs at a glance: the list of a results folder, two runs side by side, and both over HTTP.
//!
//! ```text
//! folder -> runs::below -> Run (what run.json and verdict.json say) -> page | comparison -> a file, or serve
//! ```

mod comparison;
mod page;
mod runs;
mod serve;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

pub use comparison::comparison;
pub use page::{Expected, page};
pub use runs::{Run, State, below};
pub use serve::{ServeError, Served, serve};

const STYLE: &str = include_str!("index.css");

/// The source expression of a text in a page's policy.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)))
}
