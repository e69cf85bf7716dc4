//! The part of the command line that is about a cluster that runs already.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::attach::{Endpoints, MarkSource, Tls, TlsFiles};
use crate::cli::{Exit, Failure, OrExit};
use crate::clients::{Credentials, Secret};
use crate::scenario::Service;

/// By how much a clock may run wrong of which nothing else is known: time services turn a clock by 500 ppm at most, and there are
/// two of them, the servers' and ours.
const CLOCK_ERROR_PPM: u64 = 1_000;

/// A cluster that runs already.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Your own cluster (docs/attach.md)")]
pub(in crate::cli) struct AttachArguments {
    /// Attach to a cluster that runs already, and leave it as it was: `etcd=http://HOST:2379,…`, `etcd-v2=…`, `consul=http://HOST:8500,…`,
    /// `zookeeper=HOST:2181,…`. Name all its servers; `https://` (ZooKeeper: `tls://`) speaks TLS.
    #[arg(long, value_name = "SERVICE=URL,..", conflicts_with_all = ["servers", "server_bin", "nodes", "pcap"])]
    pub(super) endpoints: Option<String>,
    /// Who signed the servers' certificates, in PEM [default: whom this machine trusts].
    #[arg(long, value_name = "FILE", requires = "endpoints")]
    ca: Option<PathBuf>,
    /// Our own certificate, in PEM.
    #[arg(long, value_name = "FILE", requires_all = ["endpoints", "key"])]
    cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE", requires_all = ["endpoints", "cert"])]
    key: Option<PathBuf>,
    /// The user to be, of etcd or of ZooKeeper's digest scheme. The password comes from --password-file or LEASEHOLD_PASSWORD.
    #[arg(long, value_name = "NAME", requires = "endpoints")]
    user: Option<String>,
    /// A file with the user's password, and nothing else.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// A file with Consul's token, and nothing else; LEASEHOLD_TOKEN does as well.
    #[arg(long, value_name = "FILE", requires = "endpoints", conflicts_with = "user")]
    token_file: Option<PathBuf>,
    /// What others do to the cluster meanwhile: lines `NAME start` and `NAME end`, from a file that may grow or from standard input (`-`).
    #[arg(long, value_name = "FILE|-", requires = "endpoints")]
    external_faults: Option<PathBuf>,
    /// By how much the clocks of the servers may run too fast or too slow against ours, in millionths [default: 1000].
    #[arg(long, value_name = "PPM", requires = "endpoints", value_parser = clap::value_parser!(u64).range(0..=500_000))]
    clock_error_ppm: Option<u64>,
}

impl AttachArguments {
    /// The cluster that is meant, where one is.
    pub(in crate::cli) fn endpoints(&self) -> Result<Option<Endpoints>, Failure> {
        self.endpoints.as_deref().map(str::parse).transpose().or_exit(Exit::Usage)
    }

    /// Who we are to this service. The password and the token come from the environment where no file is named.
    pub(super) fn credentials(&self, service: Service) -> Result<Credentials, Failure> {
        let usage = |text: String| Err(Failure::new(Exit::Usage, text));
        if let Some(name) = &self.user {
            if service == Service::Consul {
                return usage("Consul knows no users: give a token by --token-file or LEASEHOLD_TOKEN".to_owned());
            }
            return match secret(self.password_file.as_deref(), "LEASEHOLD_PASSWORD")? {
                Some(password) => Ok(Credentials::User { name: name.clone(), password }),
                None => usage(format!(
                    "--user {name} needs a password: give it by --password-file FILE or LEASEHOLD_PASSWORD"
                )),
            };
        }
        if service != Service::Consul {
            return match self.token_file {
                Some(_) => usage(format!("tokens are for Consul; {} takes --user", service.software())),
                None => Ok(Credentials::None),
            };
        }
        Ok(secret(self.token_file.as_deref(), "LEASEHOLD_TOKEN")?.map_or(Credentials::None, Credentials::Token))
    }

    /// How TLS is spoken, where it is.
    pub(super) fn tls(&self, endpoints: &Endpoints) -> Result<Option<Tls>, Failure> {
        let own = self.cert.clone().zip(self.key.clone());
        if !endpoints.speak_tls() {
            return match self.ca.is_some() || own.is_some() {
                true => Err(Failure::new(
                    Exit::Usage,
                    "--ca, --cert and --key are for servers that speak TLS, and no endpoint does: write https:// (ZooKeeper: tls://)",
                )),
                false => Ok(None),
            };
        }
        Tls::new(&TlsFiles { ca: self.ca.clone(), own }).map(Some).or_exit(Exit::Unavailable)
    }

    /// Where word of others' faults comes from.
    pub(super) fn marks(&self) -> Option<MarkSource> {
        self.external_faults.as_deref().map(MarkSource::from)
    }

    /// By how much clocks may run wrong.
    pub(super) fn clock_error_ppm(&self) -> u64 {
        self.clock_error_ppm.unwrap_or(CLOCK_ERROR_PPM)
    }

    /// The options by which the same cluster is attached to again. Secrets are in none of them.
    pub(super) fn again(&self, endpoints: &Endpoints) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.display().to_string();
        let marks = self.external_faults.as_ref().filter(|path| path.as_os_str() != "-");
        let options = [
            ("--endpoints", Some(endpoints.as_typed())),
            ("--ca", self.ca.as_ref().map(path)),
            ("--cert", self.cert.as_ref().map(path)),
            ("--key", self.key.as_ref().map(path)),
            ("--user", self.user.clone()),
            ("--password-file", self.password_file.as_ref().map(path)),
            ("--token-file", self.token_file.as_ref().map(path)),
            ("--external-faults", marks.map(path)),
            ("--clock-error-ppm", self.clock_error_ppm.map(|ppm| ppm.to_string())),
        ];
        options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// What a file or else the environment keeps secret.
fn secret(file: Option<&Path>, variable: &str) -> Result<Option<Secret>, Failure> {
    let Some(path) = file else {
        return Ok(std::env::var(variable).ok().filter(|text| !text.is_empty()).map(Secret::new));
    };
    let unreadable =
        |error: std::io::Error| Failure::new(Exit::Unavailable, format!("cannot read {}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(unreadable)?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::new(Exit::Unavailable, format!("{} is empty", path.display()))),
        text => Ok(Some(Secret::new(text.to_owned()))),
    }
}
