//! The servers that scenarios start on the nodes.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io, thread};

/// Asked with this, a counter answers with how many other datagrams it has seen.
pub(crate) const REPORT: &[u8] = b"report";

/// What a server prints once it can be reached.
pub(crate) const READY: &str = "ready";

pub(crate) fn run(name: &str, args: &[&str]) -> ExitCode {
    let done = match (name, args) {
        ("udp-echo", [address]) => udp_echo(address),
        ("udp-count", [address]) => udp_count(address),
        ("udp-send", [from, to, count]) => udp_send(from, to, count.parse().expect("a number")),
        ("tcp-echo", [address]) => tcp_echo(address),
        ("idle", _) => idle(),
        ("busy", _) => busy(),
        ("hungry", [mib]) => hungry(mib.parse().expect("a number")),
        ("write-and-sync", [file]) => write_and_sync(file),
        ("describe-self", []) => describe_self(),
        ("exit", [code]) => return ExitCode::from(code.parse::<u8>().expect("a number")),
        _ => panic!("no server `{name}` with arguments {args:?}"),
    };
    done.map_or_else(|error| panic!("{name}: {error}"), |()| ExitCode::SUCCESS)
}

fn say_ready() -> io::Result<()> {
    writeln!(io::stdout(), "{READY}")
}

fn udp_echo(address: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    say_ready()?;
    let mut datagram = [0; 2048];
    loop {
        let (length, asker) = socket.recv_from(&mut datagram)?;
        socket.send_to(&datagram[..length], asker)?;
    }
}

fn udp_count(address: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    say_ready()?;
    let (mut datagram, mut seen) = ([0; 2048], 0_u32);
    loop {
        let (length, asker) = socket.recv_from(&mut datagram)?;
        if &datagram[..length] == REPORT {
            socket.send_to(seen.to_string().as_bytes(), asker)?;
        } else {
            seen += 1;
        }
    }
}

fn udp_send(from: &str, to: &str, count: u32) -> io::Result<()> {
    let socket = UdpSocket::bind(from)?;
    (0..count).try_for_each(|number| socket.send_to(&number.to_ne_bytes(), to).map(drop))
}

fn tcp_echo(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    say_ready()?;
    loop {
        let (mut stream, _) = listener.accept()?;
        thread::spawn(move || -> io::Result<()> {
            let mut bytes = vec![0; 64 << 10];
            loop {
                match stream.read(&mut bytes)? {
                    0 => return Ok(()),
                    length => stream.write_all(&bytes[..length])?,
                }
            }
        });
    }
}

fn idle() -> io::Result<()> {
    say_ready()?;
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// Takes all of a processor that it can get.
fn busy() -> io::Result<()> {
    say_ready()?;
    loop {
        std::hint::black_box(());
    }
}

/// Takes this much memory.
fn hungry(mib: usize) -> io::Result<()> {
    let mut taken = Vec::new();
    while taken.len() < mib << 20 {
        taken.extend_from_slice(std::hint::black_box(&[1_u8; 4096]));
    }
    say_ready()
}

/// Writes to a file and makes that durable, over and over, and says after each round how it went.
fn write_and_sync(file: &str) -> io::Result<()> {
    let file = fs::File::create(file)?;
    loop {
        let word = match file.write_at(b"word", 0) {
            Ok(_) => "written".to_owned(),
            Err(error) => format!("refused {}", error.raw_os_error().unwrap_or(0)),
        };
        file.sync_data()?;
        writeln!(io::stdout(), "{word}")?;
        // A round in between is soon enough, and the log stays short.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Prints what it has been given by whoever started it.
fn describe_self() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (name, value) in env::vars() {
        writeln!(out, "env {name}={value}")?;
    }
    for line in fs::read_to_string("/proc/self/status")?
        .lines()
        .filter(|line| line.starts_with("Sig") || line.starts_with("CapEff"))
    {
        writeln!(out, "{line}")?;
    }
    let folder = fs::read_dir("/proc/self/fd")?;
    let files: Vec<_> = folder.map(|file| Ok(fs::read_link(file?.path()))).collect::<io::Result<_>>()?;
    // The folder that is being read is one of them, and closed by the time its link would be read.
    writeln!(
        out,
        "files {}",
        files.iter().filter(|file| file.as_ref().is_ok_and(|to| !to.starts_with("/proc"))).count()
    )?;
    // SAFETY: both calls take a number.
    let (session, own) = unsafe { (libc::getsid(0), libc::getpid()) };
    writeln!(out, "session {}", if session == own { "own" } else { "another's" })?;
    let sysctl = fs::read_to_string("/proc/sys/net/ipv4/tcp_rto_max_ms").unwrap_or_else(|_| "absent".to_owned());
    writeln!(out, "rto {}", sysctl.trim())?;
    let routes = fs::read_to_string("/proc/net/route")?;
    writeln!(out, "routes {}", routes.lines().skip(1).count())
}
