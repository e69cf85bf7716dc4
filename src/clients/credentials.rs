//! Who a client says it is.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// What must not be seen: neither in records nor in errors or logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// This text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, to be sent to the server and nowhere else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who a client says it is; by default nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// It says nothing.
    #[default]
    None,
    /// A name and a password: for etcd, and as a digest for ZooKeeper.
    User {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// A token: for Consul.
    Token(Secret),
}

/// Where Consul looks for a token.
const CONSUL_TOKEN: HeaderName = HeaderName::from_static("x-consul-token");

impl Credentials {
    /// What is sent along with each request over HTTP.
    pub(crate) fn headers(&self) -> HeaderMap {
        let (name, value) = match self {
            Self::None => return HeaderMap::new(),
            Self::User { name, password } => {
                (AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{name}:{}", password.reveal()))))
            }
            Self::Token(token) => (CONSUL_TOKEN, token.reveal().to_owned()),
        };
        // A token that no header can carry is no token of a server's: it will say so.
        let mut value = HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("?"));
        value.set_sensitive(true);
        HeaderMap::from_iter([(name, value)])
    }

    /// What ZooKeeper's digest scheme is given.
    pub(crate) fn digest(&self) -> Option<String> {
        match self {
            Self::User { name, password } => Some(format!("{name}:{}", password.reveal())),
            Self::None | Self::Token(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let user = Credentials::User { name: "root".to_owned(), password: Secret::new("hunter2".to_owned()) };
        let token = Credentials::Token(Secret::new("hunter2".to_owned()));
        for credentials in [user, token] {
            let shown = format!("{credentials:?} {:?}", credentials.headers());
            assert!(!shown.contains("hunter2") && !shown.contains(&STANDARD.encode("root:hunter2")), "{shown}");
        }
    }
}
