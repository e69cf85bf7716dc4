//! What the tests of locks share.

pub mod oracle;
