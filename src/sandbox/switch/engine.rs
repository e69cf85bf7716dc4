//! The thread of the switch: reads packets from the hosts' wires, and writes them to others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::{io, process, thread};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::unistd::read;

use super::capture::{Tap, Way};
use super::frame;
use super::links::Links;
use super::port::Port;
use super::timer::Timer;
use super::wire::Wire;
use super::{Board, Work};
use crate::sandbox::network::port_at;

/// The largest packet, 64 KiB, with whatever a medium puts before it.
const FRAME_BYTES: usize = (64 << 10) + 64;

/// So many packets are taken from one host before it is the others' turn, and before work is done.
const BATCH: usize = 64;

/// Where a packet waits too long, servers see a fault that nobody injected. So this thread comes first,
/// where that is allowed.
const NICENESS: libc::c_int = -5;

/// The exit code for "internal error".
const INTERNAL_ERROR: i32 = 70;

// What an event of epoll is about: the index of a wire, or one of these.
const DOORBELL: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

pub(super) fn start(wires: Vec<Wire>, work: Receiver<Work>, doorbell: Arc<EventFd>) -> io::Result<()> {
    let mut engine = Engine::new(wires, work, doorbell)?;
    thread::Builder::new().name("switch".to_owned()).spawn(move || {
        // SAFETY: the call takes three numbers. That it is refused to ordinary users is no matter.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
        let reason = match catch_unwind(AssertUnwindSafe(|| engine.run())) {
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(never)) => match never {},
            Err(_) => "it panicked".to_owned(),
        };
        // A network that stands still would be held against the servers.
        tracing::error!("the switch of the sandbox failed, and the run with it: {reason}");
        process::exit(INTERNAL_ERROR);
    })?;
    Ok(())
}

struct Engine {
    wires: Vec<Wire>,
    board: Board,
    work: Receiver<Work>,
    doorbell: Arc<EventFd>,
    timer: Timer,
    epoll: Epoll,
    frame: Box<[u8]>,
}

impl Engine {
    fn new(wires: Vec<Wire>, work: Receiver<Work>, doorbell: Arc<EventFd>) -> io::Result<Self> {
        assert!(
            wires.iter().enumerate().all(|(index, wire)| wire.port.wire() == index),
            "wires come in the order of their ports"
        );
        let board = Board { links: Links::new(wires[0].ip_offset), tap: None };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = Timer::new()?;
        for (index, wire) in wires.iter().enumerate() {
            epoll.add(&wire.file, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        }
        epoll.add(&doorbell, EpollEvent::new(EpollFlags::EPOLLIN, DOORBELL))?;
        epoll.add(timer.file(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        let frame = vec![0; FRAME_BYTES].into_boxed_slice();
        Ok(Self { wires, board, work, doorbell, timer, epoll, frame })
    }

    fn run(&mut self) -> io::Result<std::convert::Infallible> {
        loop {
            self.do_work();
            self.release();
            self.timer.set(self.board.links.due())?;
            for source in self.wait()? {
                match source {
                    DOORBELL => self.doorbell.read().map(drop).or_else(unless_empty)?,
                    TIMER => self.timer.clear()?,
                    index => self.take_from(index as usize)?,
                }
            }
        }
    }

    fn do_work(&mut self) {
        while let Ok(work) = self.work.try_recv() {
            work(&mut self.board);
        }
    }

    /// Delivers the held packets whose time has come.
    fn release(&mut self) {
        let (wires, Board { links, tap }) = (&self.wires, &mut self.board);
        links.release(&mut |receiver, frame| deliver(&wires[receiver.wire()], frame, tap.as_ref()));
    }

    fn wait(&self) -> io::Result<Vec<u64>> {
        let mut events = [EpollEvent::empty(); 16];
        match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => Ok(events[..count].iter().map(EpollEvent::data).collect()),
            Err(Errno::EINTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Passes on what a host has sent, up to a batch.
    fn take_from(&mut self, index: usize) -> io::Result<()> {
        for _ in 0..BATCH {
            match read(&self.wires[index].file, &mut self.frame) {
                Ok(length) => self.pass_on(index, length),
                Err(Errno::EAGAIN) => break,
                // A server with root's rights may take its card down and up again.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn pass_on(&mut self, wire: usize, length: usize) {
        let (frame, from) = (&mut self.frame[..length], &self.wires[wire]);
        let Board { links, tap } = &mut self.board;
        let packet = frame.get(from.ip_offset..).unwrap_or_default();
        let nodes = (self.wires.len() - 1) as u8;
        let Some((source, destination)) = frame::addresses(packet) else { return links.strayed() };
        let Some(receiver) = port_at(destination, nodes) else { return links.strayed() };
        // Several clients live on one host; else a packet comes from whose card it came from, whatever it says.
        let sender = match port_at(source, nodes) {
            Some(worker @ Port::Worker(_)) if from.port == Port::Client => worker,
            _ => from.port,
        };
        if let Some(tap) = tap {
            tap.saw(wire, Way::Out, frame);
        }
        let to = &self.wires[receiver.wire()];
        links.admit((sender, receiver), frame, &mut |frame| deliver(to, frame, tap.as_ref()));
    }
}

/// Gives a host a packet, and says whether its kernel took it.
fn deliver(to: &Wire, frame: &[u8], tap: Option<&Tap>) -> bool {
    let is_taken = to.deliver(frame);
    if let Some(tap) = tap
        && is_taken
    {
        tap.saw(to.port.wire(), Way::In, frame);
    }
    is_taken
}

/// Somebody else may have set off or taken what made the file readable.
pub(super) fn unless_empty(error: Errno) -> io::Result<()> {
    if error == Errno::EAGAIN { Ok(()) } else { Err(error.into()) }
}
