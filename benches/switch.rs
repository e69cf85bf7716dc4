//! What the switch costs: the same traffic through it and through a bare pair of interfaces, by turns, in one run.
//!
//! `cargo bench --bench switch` prints a table. It needs `ip` (iproute2) for the bare pair, and nothing else that a run does
//! not need as well.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::sandbox::{self, Medium, Sandbox, ServerCommand};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

const PORT: u16 = 7000;
const ROUNDS: usize = 5;
const BULK_BYTES: usize = 256 << 20;
const ROUND_TRIPS: usize = 2_000;
const PACKETS_PER_S: u32 = 10_000;
const PACKETS_FOR: Duration = Duration::from_secs(2);

// The first byte of a connection says what it is for.
const BULK: u8 = b'b';
const ROUND_TRIP: u8 = b'r';

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, address] = &arguments[..]
        && word == "server"
    {
        serve(address.parse().expect("an address")).expect("it serves");
        return ExitCode::SUCCESS;
    }
    for medium in [Medium::Tun, Medium::Veth] {
        let measured = sandbox::enter(|sandbox| match measure(&sandbox, medium) {
            Ok(()) => 0,
            Err(failure) => {
                println!("{medium}: {failure}");
                1
            }
        });
        if let Err(error) = measured {
            println!("{medium}: {error}");
        }
    }
    ExitCode::SUCCESS
}

/// Takes what is sent, or sends it back.
fn serve(address: SocketAddr) -> io::Result<()> {
    let (listener, datagrams) = (TcpListener::bind(address)?, UdpSocket::bind(address)?);
    thread::spawn(move || -> io::Result<()> {
        let mut datagram = [0; 2048];
        loop {
            let (length, from) = datagrams.recv_from(&mut datagram)?;
            datagrams.send_to(&datagram[..length], from)?;
        }
    });
    loop {
        let (mut stream, _) = listener.accept()?;
        thread::spawn(move || -> io::Result<()> {
            stream.set_nodelay(true)?;
            let mut bytes = vec![0; 1 << 20];
            stream.read_exact(&mut bytes[..1])?;
            let echoes = bytes[0] == ROUND_TRIP;
            loop {
                match stream.read(&mut bytes)? {
                    0 => return stream.write_all(b"."),
                    length if echoes => stream.write_all(&bytes[..length])?,
                    _ => {}
                }
            }
        });
    }
}

fn measure(sandbox: &Sandbox, medium: Medium) -> Result<(), Failure> {
    let node = NodeId::new(1);
    let network = sandbox.network_over(medium, 1)?;
    let switched = SocketAddr::from((network.address(node), PORT));
    let _server = network.spawner().spawn(ServerCommand {
        node,
        program: std::env::current_exe()?,
        args: vec!["server".into(), switched.to_string().into()],
        env: Vec::new(),
        log: "/dev/null".into(),
        in_child: None,
        at_exec: None,
    })?;
    let bare = bare_pair()?;
    for address in [bare, switched] {
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let (mut rates, mut trips) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (which, address) in [bare, switched].into_iter().enumerate() {
            rates[which].push(bulk(address)?);
            trips[which].push(round_trip(address)?);
        }
    }
    let [bare_rate, rate] = rates.map(|rates| median(rates) / 1e6);
    let [bare_trip, trip] = trips.map(|trips| median(trips) * 1e6);
    println!("{medium}");
    println!("  bulk        {rate:6.0} MB/s, bare pair {bare_rate:6.0} MB/s: {:.2} of it", rate / bare_rate);
    println!("  round trip  {trip:6.1} us,   bare pair {bare_trip:6.1} us:   {:.1} us more", trip - bare_trip);
    let (sent, back, busy) = packets(switched)?;
    println!(
        "  packets     {sent} at {PACKETS_PER_S}/s and their echoes: {back} came back; the switch took {busy:.0} % of a core"
    );
    Ok(())
}

/// A pair of interfaces without a switch between them, and a server at its far end.
fn bare_pair() -> Result<SocketAddr, Failure> {
    let address = SocketAddr::from(([10, 78, 0, 2], PORT));
    let (made, is_made) = mpsc::channel();
    let (connected, is_connected) = mpsc::channel();
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        let _ = made.send(gettid());
        is_connected.recv().expect("the pair is there");
        ip(&["addr", "add", "10.78.0.2/24", "dev", "bare1"]).expect("`ip` works");
        ip(&["link", "set", "bare1", "up"]).expect("`ip` works");
        serve(address).expect("it serves");
    });
    let far = is_made.recv()?.to_string();
    ip(&["link", "add", "bare0", "type", "veth", "peer", "name", "bare1", "netns", &far])?;
    ip(&["addr", "add", "10.78.0.1/24", "dev", "bare0"])?;
    ip(&["link", "set", "bare0", "up"])?;
    connected.send(())?;
    Ok(address)
}

fn ip(arguments: &[&str]) -> Result<(), Failure> {
    let status = Command::new("ip").args(arguments).status().map_err(|error| format!("`ip` of iproute2: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`ip {}` failed", arguments.join(" ")).into()) }
}

/// Bytes a second.
fn bulk(address: SocketAddr) -> Result<f64, Failure> {
    let mut stream = TcpStream::connect(address)?;
    let piece = vec![7; 1 << 20];
    let start = Instant::now();
    stream.write_all(&[BULK])?;
    for _ in 0..BULK_BYTES / piece.len() {
        stream.write_all(&piece)?;
    }
    stream.shutdown(Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    Ok(BULK_BYTES as f64 / start.elapsed().as_secs_f64())
}

/// Seconds, at the median.
fn round_trip(address: SocketAddr) -> Result<f64, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[ROUND_TRIP])?;
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let start = Instant::now();
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// How many datagrams were sent, how many came back, and how much of a core the switch took, in percent.
fn packets(address: SocketAddr) -> Result<(u32, u32, f64), Failure> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let receiver = socket.try_clone()?;
    let counting = thread::spawn(move || (0..).take_while(|_| receiver.recv(&mut [0; 256]).is_ok()).count() as u32);
    let (before, start) = (switch_seconds()?, Instant::now());
    let mut sent = 0;
    while start.elapsed() < PACKETS_FOR {
        let due = (start.elapsed().as_secs_f64() * f64::from(PACKETS_PER_S)) as u32;
        while sent < due {
            socket.send(&[7; 200])?;
            sent += 1;
        }
        thread::sleep(Duration::from_micros(200));
    }
    let busy = (switch_seconds()? - before) / start.elapsed().as_secs_f64() * 100.0;
    Ok((sent, counting.join().map_err(|_| "the count failed")?, busy))
}

/// The processor time that the thread of the switch has taken.
fn switch_seconds() -> Result<f64, Failure> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        if let Some((_, numbers)) = stat.split_once("(switch) ") {
            let ticks = numbers.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
            return Ok(ticks / 100.0);
        }
    }
    Err("there is no switch".into())
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
