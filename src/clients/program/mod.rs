//! A lock client of the user's own: a program that is asked line by line.
//!
//! Each process of a worker is a process of the program, with one connection to the service in its hands. When it is retired it is
//! killed, with all that it has started: so nothing more is sent on its behalf. When a worker is made to stand still, its program is
//! stopped by a signal.

mod line;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::contract::Contract;
use leasehold_workloads::op::{Answer, Key, Op};
use leasehold_workloads::service::{Connect, LockService, OnChange, OpError};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{AccessFlags, Pid, access};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use self::line::{Request, Response};
use super::{MALFORMED, PREFIX, REFUSED, SourceOf, address};
use crate::NodeId;

/// How long it may take until it is ready.
const READY: Duration = Duration::from_secs(30);

/// How long a program that has hung up may take until it is gone.
const GONE: Duration = Duration::from_secs(1);

/// The longest answer, in bytes.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Starts the program for each process of a worker.
pub struct Program {
    path: PathBuf,
    endpoints: Vec<(NodeId, SocketAddr)>,
    source_of: SourceOf,
    /// The folder of what the programs write to standard error.
    logs: PathBuf,
    /// Tells of the service: what it promises, and how its locks are put into their state of rest.
    service: Arc<dyn Connect>,
    at_work: Arc<Mutex<AtWork>>,
}

/// The process group that is at work for each worker.
type AtWork = BTreeMap<u64, Pid>;

fn at_work(groups: &Mutex<AtWork>) -> MutexGuard<'_, AtWork> {
    // No change of it can be interrupted by a panic.
    groups.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.path).finish()
    }
}

/// There is no client program at this place.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be run as a client; give the path of a program, and make it executable: chmod +x", path.display())]
pub struct NotAClient {
    path: PathBuf,
    source: io::Error,
}

impl Program {
    /// The program at this place, as an absolute path.
    ///
    /// # Errors
    /// If this user cannot run it.
    pub fn at(path: &Path) -> Result<PathBuf, NotAClient> {
        let not_a_client = |source| NotAClient { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(not_a_client)?;
        if !path.is_file() {
            return Err(not_a_client(io::Error::other("it is no file")));
        }
        access(&path, AccessFlags::X_OK).map_err(|errno| not_a_client(errno.into()))?;
        Ok(path)
    }

    /// Clients that are processes of this program and ask these servers, of a service that this adapter knows.
    #[must_use]
    pub fn new(
        path: PathBuf,
        endpoints: Vec<(NodeId, SocketAddr)>,
        source_of: SourceOf,
        logs: PathBuf,
        service: Arc<dyn Connect>,
    ) -> Self {
        Self { path, endpoints, source_of, logs, service, at_work: Arc::default() }
    }
}

#[async_trait]
impl Connect for Program {
    fn contract(&self) -> Contract {
        self.service.contract()
    }

    fn connect(&self, worker: u64, node: usize) -> Box<dyn LockService> {
        let all: Vec<String> = self.endpoints.iter().map(|(_, address)| address.to_string()).collect();
        let mut command = Command::new(&self.path);
        command
            .env("LEASEHOLD_ENDPOINT", address(&self.endpoints, node).to_string())
            .env("LEASEHOLD_ENDPOINTS", all.join(","))
            .env("LEASEHOLD_PREFIX", PREFIX)
            .env("LEASEHOLD_WORKER", worker.to_string());
        if let Some(source) = (self.source_of)(worker) {
            command.env("LEASEHOLD_SOURCE", source.to_string());
        }
        let log = self.logs.join(format!("worker-{worker}.log"));
        let at_work = Arc::clone(&self.at_work);
        Box::new(Client { worker, command, log, at_work, running: None, asked: 0 })
    }

    async fn prepare(&self, keys: &[Key]) -> Result<(), OpError> {
        self.service.prepare(keys).await
    }

    async fn leave(&self, keys: &[Key]) -> Result<(), OpError> {
        self.service.leave(keys).await
    }

    /// How the program keeps its locks is its own affair, so nothing is watched.
    async fn watch(&self, _node: usize, _keys: &[Key], _on_change: OnChange) -> Result<(), OpError> {
        std::future::pending().await
    }

    fn stand(&self, worker: u64, still: bool) {
        if let Some(&group) = at_work(&self.at_work).get(&worker) {
            // Where it has ended there is nothing to stop.
            let _ = killpg(group, if still { Signal::SIGSTOP } else { Signal::SIGCONT });
        }
    }
}

/// One process of the program.
struct Client {
    worker: u64,
    command: Command,
    log: PathBuf,
    at_work: Arc<Mutex<AtWork>>,
    running: Option<Running>,
    /// How many requests it was asked.
    asked: u64,
}

struct Running {
    group: Pid,
    /// Killed and waited for when it is dropped.
    _child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[async_trait]
impl LockService for Client {
    async fn ready(&mut self) -> Result<(), OpError> {
        if self.running.is_some() {
            return Ok(());
        }
        let not_ready = |why: String| OpError::failed(REFUSED, format!("the client program is not ready: {why}"));
        let started = start(&mut self.command, &self.log).map_err(|error| not_ready(error.to_string()))?;
        at_work(&self.at_work).insert(self.worker, started.group);
        let running = self.running.insert(started);
        let why = match tokio::time::timeout(READY, running.answer()).await {
            Ok(Ok(line)) if line::says_ready(&line) => return Ok(()),
            Ok(Ok(line)) if line.ends_with(b"\n") => format!("its first line is not {}", line::READY),
            Ok(Ok(_)) => self.ended("it says nothing").await.text,
            Ok(Err(error)) => self.ended(&error.to_string()).await.text,
            Err(_) => format!("it has not said {} within {} s", line::READY, READY.as_secs()),
        };
        self.kill();
        Err(not_ready(why))
    }

    async fn perform(&mut self, op: &Op) -> Result<Answer, OpError> {
        self.asked += 1;
        let id = self.asked;
        let request = Request::of(id, op)?.to_line();
        let running = self.running.as_mut().expect("the engine has waited until it was ready");
        match running.ask(&request).await {
            Ok(answer) if answer.ends_with(b"\n") => Response::read(&answer, id)?.answer(op),
            Ok(answer) if answer.len() as u64 == ANSWER_BYTES => {
                Err(OpError::unknown(MALFORMED, format!("it answers a line of more than {ANSWER_BYTES} bytes")))
            }
            Ok(_) => Err(self.ended("it answers no more").await),
            Err(error) => Err(self.ended(&error.to_string()).await),
        }
    }
}

fn start(command: &mut Command, log: &Path) -> io::Result<Running> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut child = piped.process_group(0).kill_on_drop(true).spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw).expect("it has just started");
    let requests = child.stdin.take().expect("it is piped");
    let answers = BufReader::new(child.stdout.take().expect("it is piped"));
    Ok(Running { group, _child: child, requests, answers })
}

impl Running {
    async fn ask(&mut self, request: &str) -> io::Result<Vec<u8>> {
        self.requests.write_all(request.as_bytes()).await?;
        self.answer().await
    }

    /// The next line that it says; without its end where it ends first or says too much.
    async fn answer(&mut self) -> io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        (&mut self.answers).take(ANSWER_BYTES).read_until(b'\n', &mut answer).await?;
        Ok(answer)
    }
}

impl Client {
    /// Nothing of it is left at work.
    fn kill(&mut self) {
        let Some(running) = self.running.take() else { return };
        // Its successor may be at work already.
        at_work(&self.at_work).retain(|&worker, &mut group| worker != self.worker || group != running.group);
        // It is waited for when it is dropped itself, which is later.
        let _ = killpg(running.group, Signal::SIGKILL);
    }

    /// The program has ended in the middle of an operation.
    async fn ended(&self, error: &str) -> OpError {
        let status = match &self.running {
            // It hangs up a moment before it is gone.
            Some(running) => tokio::time::timeout(GONE, end_of(running.group)).await.ok(),
            None => None,
        };
        let how = match status {
            Some(WaitStatus::Exited(_, code)) => format!("exit code {code}"),
            Some(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}"),
            _ => error.to_owned(),
        };
        OpError::unknown(
            "client",
            format!("the client program ended ({how}); its own words are in {}", self.log.display()),
        )
    }
}

/// How the first process of this group ended, once it has. It keeps its number until it is waited for, so that the number is
/// nobody else's when the group is killed.
async fn end_of(group: Pid) -> WaitStatus {
    loop {
        match waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::StillAlive) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Ok(ended) => return ended,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests;
