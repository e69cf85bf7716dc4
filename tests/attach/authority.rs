//! Certificates for a test.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// An authority of the test's own, and what it has signed.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join("ca.pem"), own.pem()).expect("it can be written");
        Self { issuer: Issuer::new(params, key), folder: folder.to_owned() }
    }

    /// The authority's own certificate.
    pub(crate) fn ca(&self) -> String {
        self.path("ca.pem")
    }

    /// The certificate and the key of a host or a client.
    pub(crate) fn signed(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(self.folder.join(format!("{name}.pem")), signed.pem()).expect("it can be written");
        std::fs::write(self.folder.join(format!("{name}.key")), key.serialize_pem()).expect("it can be written");
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}
