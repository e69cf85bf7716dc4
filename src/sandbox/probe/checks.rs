//! The probes themselves.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::answer::{self, Answer, Trouble};
use crate::NodeId;
use crate::sandbox::entry::enter_as;
use crate::sandbox::{Medium, Mode, Network, Port, Sandbox, ServerCommand, Switch, status};

const BACK_OFF: &str = "/proc/sys/net/ipv4/tcp_rto_max_ms";

/// Within it, a packet crosses a switch a thousand times.
const PATIENCE: Duration = Duration::from_secs(2);

const OPEN_TUN: &str = "give this user access to the device (`sudo chmod 0666 /dev/net/tun`), or a container the \
    option `--device /dev/net/tun`";
const NEWER_KERNEL: &str =
    "use Linux 6.15 or later; before that, a server's connections may stay silent for up to two minutes after a heal";
const ALLOW_PTRACE: &str = "allow ptrace of one's own children: `sudo sysctl -w kernel.yama.ptrace_scope=1`, or the option \
    `--cap-add SYS_PTRACE` for a container";

pub(super) fn namespaces(mode: Mode) -> Answer {
    inside(mode, |_| {
        let own = std::process::id();
        let hidden = fs::read_link("/proc/self")?.to_str() != Some(own.to_string().as_str());
        if hidden { Err(Trouble::new("/proc does not show the sandbox's processes")) } else { Ok(mode.to_string()) }
    })
}

pub(super) fn user_namespace(_: Mode) -> Answer {
    inside(Mode::User, |_| {
        let medium = Medium::Veth;
        Network::build(medium, 1).map(|_| "it can build networks".to_owned()).map_err(Trouble::from)
    })
}

pub(super) fn tun(mode: Mode) -> Answer {
    inside(mode, |sandbox| carries(&sandbox, Medium::Tun)).map_err(|trouble| trouble.or_remedy(OPEN_TUN))
}

pub(super) fn veth(mode: Mode) -> Answer {
    inside(mode, |sandbox| carries(&sandbox, Medium::Veth))
}

pub(super) fn exec_stop(mode: Mode) -> Answer {
    inside(mode, |sandbox| stops_at_exec(&sandbox)).map_err(|trouble| trouble.or_remedy(ALLOW_PTRACE))
}

pub(super) fn back_off(mode: Mode) -> Answer {
    inside(mode, |sandbox| {
        // Building the network sets it, where it can be set.
        let _network = sandbox.network(1)?;
        match fs::read_to_string(BACK_OFF) {
            Ok(limit) => Ok(format!("{} ms", limit.trim())),
            Err(_) => {
                Err(Trouble::new(format!("this kernel has no {}", Path::new(BACK_OFF).display()))
                    .or_remedy(NEWER_KERNEL))
            }
        }
    })
}

/// Has a sandbox answer.
fn inside(mode: Mode, check: impl FnOnce(Sandbox) -> Answer) -> Answer {
    let (receiver, sender) = pipe2(OFlag::O_CLOEXEC).map_err(std::io::Error::from)?;
    let harness_end = sender.try_clone()?;
    enter_as(mode, |sandbox| u8::from(answer::send(&check(sandbox), harness_end).is_err()))?;
    drop(sender);
    answer::receive(receiver)
}

/// Whether a packet gets from one host to another.
fn carries(sandbox: &Sandbox, medium: Medium) -> Answer {
    let network = sandbox.network_over(medium, 1)?;
    let node = NodeId::new(1);
    UdpSocket::bind((network.client_address(), 0))?.send_to(b"probe", (network.address(node), 7))?;
    let start = Instant::now();
    while forwarded(&network.switch(), node) == 0 {
        if start.elapsed() > PATIENCE {
            return Err(Trouble::new("the interfaces are there, and no packet gets through"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(format!("a packet got through over {medium}"))
}

fn forwarded(switch: &Switch, node: NodeId) -> u64 {
    switch.counters(Port::Client, node).forwarded
}

fn stops_at_exec(sandbox: &Sandbox) -> Answer {
    let network = sandbox.network(1)?;
    let (said, heard) = mpsc::channel();
    network.spawner().spawn(ServerCommand {
        node: NodeId::new(1),
        program: "true".into(),
        args: Vec::new(),
        env: Vec::new(),
        log: "/dev/null".into(),
        in_child: None,
        at_exec: Some(Box::new(move |pid| said.send(status::state_of(pid)?).map_err(std::io::Error::other))),
    })?;
    match heard.recv() {
        Ok('t') => Ok("a server stood still before its first instruction".to_owned()),
        Ok(state) => Err(Trouble::new(format!("a server that should stand still is in state {state}"))),
        Err(_) => Err(Trouble::new("a server was not stopped")),
    }
}
