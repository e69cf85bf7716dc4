//! The list of runs and their files over HTTP.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as AddressPath, Query, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::{below, comparison, page};

/// A folder that is being served.
#[derive(Debug)]
pub struct Served {
    listener: TcpListener,
    /// Where.
    pub address: SocketAddr,
    site: Arc<Site>,
}

#[derive(Debug)]
struct Site {
    /// The folder, with no link in its path.
    folder: PathBuf,
    address: SocketAddr,
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder cannot be read.
    #[error("there is no folder {}; `leasehold run` makes `results`", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody can listen there.
    #[error("cannot listen on {address}; choose another one with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The server broke.
    #[error("the list of runs is not served any more")]
    Broken(#[source] io::Error),
}

/// Listens for who wants to see this folder.
///
/// # Errors
/// If there is no such folder, or nobody can listen there.
pub async fn serve(folder: &Path, address: SocketAddr) -> Result<Served, ServeError> {
    let no_folder = |source| ServeError::Folder { folder: folder.to_owned(), source };
    let real = folder.canonicalize().map_err(no_folder)?;
    std::fs::read_dir(&real).map_err(no_folder)?;
    let taken = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok(Served { listener, address, site: Arc::new(Site { folder: real, address }) })
}

impl Served {
    /// Answers until `end` completes.
    ///
    /// # Errors
    /// If the listener breaks.
    pub async fn until(self, end: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let routes = Router::new()
            .route("/", get(list))
            .route("/compare", get(compare))
            .route("/{*path}", get(file))
            .layer(from_fn_with_state(Arc::clone(&self.site), for_us_only))
            .with_state(self.site);
        axum::serve(self.listener, routes).with_graceful_shutdown(end).await.map_err(ServeError::Broken)
    }
}

/// Turns away who asks for another host than this one, where this machine alone is served. A page from elsewhere whose name was made
/// to lead here could otherwise read the results through the user's browser.
async fn for_us_only(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if site.address.ip().is_loopback() && !host.is_some_and(is_this_machine) {
        return (StatusCode::MISDIRECTED_REQUEST, "this is another host\n").into_response();
    }
    next.run(request).await
}

/// Whether a `Host` names this machine: `localhost:7117`, `127.0.0.1`, `[::1]:7117`.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

async fn list(State(site): State<Arc<Site>>) -> Response {
    let made = tokio::task::spawn_blocking(move || {
        let runs = below(&site.folder)?;
        Ok::<_, io::Error>(page(&site.folder.display().to_string(), &runs, &BTreeMap::new(), true))
    });
    match made.await {
        Ok(Ok(html)) => Html(html).into_response(),
        Ok(Err(error)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the runs cannot be listed: {error}\n")).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `?run=PATH&run=PATH`
async fn compare(State(site): State<Arc<Site>>, Query(asked): Query<Vec<(String, String)>>) -> Response {
    let paths: Vec<String> = asked.into_iter().filter(|(name, _)| name == "run").map(|(_, path)| path).collect();
    let runs = tokio::task::spawn_blocking(move || below(&site.folder)).await;
    let runs = runs.ok().and_then(Result::ok).unwrap_or_default();
    let chosen: Vec<_> = paths.iter().filter_map(|path| runs.iter().find(|run| run.path == *path)).collect();
    match chosen[..] {
        [left, right] => Html(comparison([left, right])).into_response(),
        _ => (StatusCode::BAD_REQUEST, "choose two runs that are there\n").into_response(),
    }
}

/// A file of the folder. What lies elsewhere, whatever leads there, is not to be had.
async fn file(State(site): State<Arc<Site>>, AddressPath(path): AddressPath<String>) -> Response {
    let Ok(found) = tokio::fs::canonicalize(site.folder.join(&path)).await else { return missing() };
    if !found.starts_with(&site.folder) {
        return missing();
    }
    if found.is_dir() {
        return Redirect::to("/").into_response();
    }
    // Nothing but a file: to open a pipe would wait for its other end.
    if !found.is_file() {
        return missing();
    }
    let Ok(contents) = tokio::fs::File::open(&found).await else { return missing() };
    let mut headers = HeaderMap::new();
    let kind = content_type(&found);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy_of(kind)));
    (headers, Body::from_stream(tokio_util::io::ReaderStream::new(contents))).into_response()
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "there is no such file in the results\n").into_response()
}

/// What a file may do in a browser. Results may be another's, so a page has no way to the other results, and anything else is looked
/// at only.
fn policy_of(content_type: &str) -> &'static str {
    if content_type == HTML {
        "connect-src 'none'; form-action 'none'; frame-src 'none'; frame-ancestors 'self'"
    } else {
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    }
}

const HTML: &str = "text/html; charset=utf-8";

/// Servers' logs and the like are text, whatever stands in them; only our own page is a page.
fn content_type(path: &Path) -> &'static str {
    match path.file_name().and_then(|name| name.to_str()) {
        Some("report.html" | "index.html") => HTML,
        Some(name) if name.ends_with(".json") => "application/json",
        Some(name) if name.ends_with(".jsonl") => "application/jsonl",
        Some(name) if name.ends_with(".svg") => "image/svg+xml",
        Some(name) if name.ends_with(".png") => "image/png",
        Some(name) if name.ends_with(".pcapng") => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::runs::tests::{INVALID, VALID, lay};

    /// Serves a folder with two runs and a way out of it, asks for these addresses, and tells the status, type and body of each.
    async fn asked(host: &str, paths: &[&str]) -> Vec<(u16, String, String)> {
        let root = tempfile::tempdir().expect("a folder");
        let results = root.path().join("results");
        std::fs::write(root.path().join("secret"), "secret").expect("it is written");
        lay(&results.join("a b/1"), "one", "2026-01-01T00:00:00Z", VALID);
        lay(&results.join("c/2"), "two", "2026-01-02T00:00:00Z", INVALID);
        std::os::unix::fs::symlink("../secret", results.join("out")).expect("a link");
        std::os::unix::fs::symlink("c/2", results.join("latest")).expect("a link");
        let served = serve(&results, ([127, 0, 0, 1], 0).into()).await.expect("it is served");
        let address = served.address;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(served.until(async move {
            let _ = stopped.await;
        }));
        let mut answers = Vec::new();
        for path in paths {
            answers.push(raw(address, host, path).await);
        }
        let _ = stop.send(());
        server.await.expect("it does not panic").expect("it ends well");
        answers
    }

    /// A request as it stands, for clients tidy paths up.
    async fn raw(address: SocketAddr, host: &str, path: &str) -> (u16, String, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it is answered");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        (status, kind.to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn the_list_and_the_files_of_runs_are_served() {
        let paths = [
            "/",
            "/a%20b/1/report.html",
            "/c/2/history.jsonl",
            "/latest/verdict.json",
            "/compare?run=c%2F2&run=a+b%2F1",
        ];
        let answers = asked("localhost:1", &paths).await;
        assert!(answers.iter().all(|(status, ..)| *status == 200), "{answers:?}");
        let [list, report, history, _, both] = &answers[..] else { panic!("{answers:?}") };
        assert!(list.2.contains("2 × double-acquisition") && list.2.contains("./a%20b/1/report.html"), "{}", list.2);
        assert_eq!((&*report.1, &*history.1), ("text/html; charset=utf-8", "application/jsonl"));
        assert!(both.2.contains("2 times, at worst ") && both.2.contains("./c/2/report.html"), "{}", both.2);
    }

    #[tokio::test]
    async fn what_lies_outside_is_not_to_be_had() {
        let paths = [
            "/out",
            "/../secret",
            "/%2e%2e/secret",
            "/c/../../secret",
            "/..%2fsecret",
            "//etc/passwd",
            "/%2Fetc%2Fpasswd",
            "/none",
        ];
        for (path, (status, _, body)) in paths.iter().zip(asked("localhost", &paths).await) {
            assert_eq!(status, 404, "{path}: {body}");
            assert!(!body.contains("secret\n") && !body.contains("root:"), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn a_name_that_was_made_to_lead_here_is_turned_away() {
        for (host, status) in
            [("evil.example", 421), ("127.0.0.1.evil.example:80", 421), ("[::1]:80", 200), ("127.0.0.1", 200)]
        {
            assert_eq!(asked(host, &["/"]).await[0].0, status, "{host}");
        }
    }

    #[tokio::test]
    async fn two_runs_that_are_not_there_are_not_compared() {
        let answers =
            asked("localhost", &["/compare", "/compare?run=c%2F2", "/compare?run=c%2F2&run=..%2Fsecret"]).await;
        assert!(answers.iter().all(|(status, ..)| *status == 400), "{answers:?}");
    }
}
