//! What the relay says to servers that speak TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::causes;

/// The files by which both sides know each other, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who signed the servers' certificates; without it, whom this machine trusts.
    pub ca: Option<PathBuf>,
    /// Our own certificate, with those between it and its root, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Why TLS cannot be spoken, or was not.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file has nothing of what it should.
    #[error("{} has no {what} in PEM: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// Why it has not.
        why: String,
    },
    /// The machine trusts nobody.
    #[error(
        "this machine knows no authority to trust; give the one that signed the servers' certificates by --ca FILE"
    )]
    NoRoots,
    /// The certificate and the key do not belong together, or are of no use.
    #[error("the certificate in {} cannot be used with its key: {why}", path.display())]
    Own {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// How TLS is spoken to the servers of a cluster.
#[derive(Clone, Debug)]
pub struct Tls {
    http2: Settings,
    other: Settings,
}

/// A connector's settings.
type Settings = Arc<ClientConfig>;

impl Tls {
    /// With what these files have.
    ///
    /// # Errors
    /// If one of them has not what it should.
    pub fn new(files: &TlsFiles) -> Result<Self, TlsError> {
        let roots = match &files.ca {
            Some(path) => authorities_in(path)?,
            None => the_machines_own()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows the versions of TLS that are usual")
            .with_root_certificates(roots);
        let config = match &files.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates_in(certificate)?;
                let key = key_in(key)?;
                let own = |error: rustls::Error| TlsError::Own { path: certificate.clone(), why: error.to_string() };
                builder.with_client_auth_cert(chain, key).map_err(own)?
            }
        };
        let speaking = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self { http2: speaking(&[b"h2"]), other: speaking(&[]) })
    }

    /// Greets a server over this connection. The client speaks HTTP/2 or something else.
    pub(super) async fn greet(&self, host: &str, server: TcpStream, http2: bool) -> io::Result<TlsStream<TcpStream>> {
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let config = if http2 { &self.http2 } else { &self.other };
        TlsConnector::from(Arc::clone(config)).connect(name, server).await
    }
}

fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::File { path: path.to_owned(), what: "certificate", why };
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(wrong("there is none".to_owned())),
        found => found.map_err(|error| wrong(causes::in_one_line(&error))),
    }
}

fn key_in(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        path: path.to_owned(),
        what: "private key without a passphrase",
        why: causes::in_one_line(&error),
    })
}

fn authorities_in(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(path)? {
        let wrong = |error: rustls::Error| TlsError::File {
            path: path.to_owned(),
            what: "certificate of an authority",
            why: error.to_string(),
        };
        roots.add(certificate).map_err(wrong)?;
    }
    Ok(roots)
}

fn the_machines_own() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// Whether a server answers a greeting by TLS: it need not be one that is trusted.
pub(super) async fn is_spoken_at(host: &str, server: TcpStream) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions of TLS that are usual")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let Ok(name) = ServerName::try_from(host.to_owned()) else { return false };
    let greeted = TlsConnector::from(Arc::new(config)).connect(name, server).await;
    let said = greeted.as_ref().err().and_then(io::Error::get_ref).and_then(|error| error.downcast_ref());
    matches!(said, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)))
}

/// What is wrong where a connection over TLS did not come about or broke, and what to do; `None` where it is not about TLS.
pub(super) fn complaint(error: &io::Error, host: &str) -> Option<String> {
    const NO_TLS: &str =
        "it does not speak TLS there: name the endpoint without it (http://, or for ZooKeeper only HOST:PORT)";
    // In the words of tokio-rustls for a server that hangs up instead of greeting back.
    if error.kind() == io::ErrorKind::UnexpectedEof && error.to_string() == "tls handshake eof" {
        return Some(NO_TLS.to_owned());
    }
    let said = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match said {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is signed by nobody who is trusted here: give the authority's certificate by --ca FILE"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("its certificate is not for {host}: name the endpoint as the certificate does"),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired, by this machine's clock".to_owned()
        }
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => NO_TLS.to_owned(),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure
            | AlertDescription::AccessDenied,
        ) => format!(
            "it does not take us without a certificate that it trusts ({said}): give ours by --cert FILE and --key FILE"
        ),
        other => format!("TLS failed: {other}"),
    })
}
