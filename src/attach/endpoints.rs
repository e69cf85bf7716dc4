//! Which cluster is meant: `etcd=http://a:2379,http://b:2379`.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::scenario::Service;

/// The servers of a cluster that runs already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The service, and the interface that is spoken to it.
    pub service: Service,
    /// Its servers: `n1` is the first.
    pub servers: Vec<Target>,
}

/// Where a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name or address; one of IPv6 stands in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// The text names no cluster. It is not repeated here, since a password may have strayed into it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotEndpoints {
    /// It does not begin with a service.
    #[error(
        "--endpoints begins with the service: etcd=http://HOST:2379,… (or etcd-v2=, consul=http://HOST:8500,…, zookeeper=HOST:2181,…)"
    )]
    NoService,
    /// One of the endpoints is none.
    #[error("endpoint {place} of --endpoints is none: {why}")]
    Wrong {
        /// Which one, counted from 1.
        place: usize,
        /// What is wrong, and what would be right.
        why: &'static str,
    },
    /// There are too many.
    #[error("--endpoints names {0} servers, and 9 are the most")]
    TooMany(usize),
}

/// As many as scenarios have.
const MOST: usize = 9;

impl FromStr for Endpoints {
    type Err = NotEndpoints;

    fn from_str(text: &str) -> Result<Self, NotEndpoints> {
        let (service, servers) = text.split_once('=').ok_or(NotEndpoints::NoService)?;
        let service = match service {
            "etcd" | "etcd-v3" => Service::EtcdV3,
            "etcd-v2" => Service::EtcdV2,
            "consul" => Service::Consul,
            "zookeeper" => Service::Zookeeper,
            _ => return Err(NotEndpoints::NoService),
        };
        let read = |(index, server): (usize, &str)| {
            target(service, server).map_err(|why| NotEndpoints::Wrong { place: index + 1, why })
        };
        let servers: Vec<Target> = servers.split(',').enumerate().map(read).collect::<Result<_, _>>()?;
        if servers.len() > MOST {
            return Err(NotEndpoints::TooMany(servers.len()));
        }
        if let Some(twice) = (1..servers.len()).find(|&place| servers[..place].contains(&servers[place])) {
            return Err(NotEndpoints::Wrong { place: twice + 1, why: "it is named twice" });
        }
        Ok(Self { service, servers })
    }
}

fn target(service: Service, text: &str) -> Result<Target, &'static str> {
    let text = match service {
        Service::Zookeeper if !text.contains("://") => format!("tcp://{text}"),
        _ => text.to_owned(),
    };
    let url = Url::parse(&text).map_err(|_| form(service))?;
    let tls = match (service, url.scheme()) {
        (Service::Zookeeper, "tcp") | (Service::EtcdV2 | Service::EtcdV3 | Service::Consul, "http") => false,
        (Service::Zookeeper, "tls") | (Service::EtcdV2 | Service::EtcdV3 | Service::Consul, "https") => true,
        _ => return Err(form(service)),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials have no place in it; give them by --user and --password-file, or --token-file");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("nothing may follow its port");
    }
    let port =
        url.port().or_else(|| text.ends_with(":443").then_some(443)).or_else(|| text.ends_with(":80").then_some(80));
    let port = port.ok_or("it names no port")?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| form(service))?.to_owned();
    Ok(Target { host, port, tls })
}

fn form(service: Service) -> &'static str {
    match service {
        Service::EtcdV2 | Service::EtcdV3 => {
            "write http://HOST:PORT or https://HOST:PORT, for example http://10.0.0.1:2379"
        }
        Service::Consul => "write http://HOST:PORT or https://HOST:PORT, for example http://10.0.0.1:8500",
        Service::Zookeeper => {
            "write HOST:PORT, or tls://HOST:PORT for a port that speaks TLS, for example 10.0.0.1:2181"
        }
    }
}

impl Endpoints {
    /// Whether any of them speaks TLS.
    #[must_use]
    pub fn speak_tls(&self) -> bool {
        self.servers.iter().any(|server| server.tls)
    }

    /// The text that they are read from.
    #[must_use]
    pub fn as_typed(&self) -> String {
        let written = |server: &Target| match self.service {
            Service::Zookeeper if !server.tls => format!("{}:{}", server.host, server.port),
            Service::Zookeeper => format!("tls://{}:{}", server.host, server.port),
            _ => server.to_string(),
        };
        let service = match self.service {
            Service::EtcdV3 => "etcd",
            other => other.name(),
        };
        format!("{service}={}", self.servers.iter().map(written).collect::<Vec<_>>().join(","))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        text.parse::<Endpoints>().expect_err("they are none").to_string()
    }

    #[test]
    fn endpoints_are_written_as_they_are_read() {
        for text in [
            "etcd=http://10.0.0.1:2379,https://b.example:2379",
            "etcd-v2=http://[::1]:2379",
            "consul=https://a:8501",
            "consul=http://a:80,https://a:443",
            "zookeeper=a:2181,tls://b:2281",
        ] {
            assert_eq!(text.parse::<Endpoints>().map(|endpoints| endpoints.as_typed()), Ok(text.to_owned()));
        }
        assert_eq!("etcd=http://a:2379".parse::<Endpoints>().map(|endpoints| endpoints.service), Ok(Service::EtcdV3));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        for none in ["", "http://a:2379", "etcd", "etc=http://a:2379", "etcd3=http://a:2379"] {
            assert_eq!(none.parse::<Endpoints>(), Err(NotEndpoints::NoService), "{none}");
        }
        assert!(error_of("etcd=http://a:2379,b:2379").contains("endpoint 2"));
        assert!(error_of("etcd=").contains("write http://HOST:PORT"));
        assert!(error_of("etcd=http://a").contains("names no port"));
        assert!(error_of("consul=http://a:8500/v1").contains("nothing may follow"));
        assert!(error_of("zookeeper=http://a:2181").contains("write HOST:PORT"));
        assert!(
            error_of("etcd=http://a:1,http://a:1").contains("endpoint 2 of --endpoints is none: it is named twice")
        );
        let many: Vec<String> = (0..10).map(|port| format!("http://a:{}", port + 1)).collect();
        assert_eq!(format!("etcd={}", many.join(",")).parse::<Endpoints>(), Err(NotEndpoints::TooMany(10)));
    }

    #[test]
    fn a_password_among_the_endpoints_is_refused_and_not_repeated() {
        let error = error_of("etcd=http://root:hunter2@a:2379");
        assert!(error.contains("--password-file") && !error.contains("hunter2"), "{error}");
        assert!(!error_of("root:hunter2@a").contains("hunter2"));
    }
}
