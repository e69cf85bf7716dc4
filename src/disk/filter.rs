//! The filter that a server is born with, and how its listener gets to the harness.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::DiskError;
use super::listener::Listener;
use crate::sandbox::InChild;

/// The calls that make a notice, and of which kind they are.
const NOTED: [(libc::c_long, Kind); 10] = [
    (libc::SYS_fsync, Kind::Sync),
    (libc::SYS_fdatasync, Kind::Sync),
    (libc::SYS_sync_file_range, Kind::Sync),
    (libc::SYS_msync, Kind::Sync),
    (libc::SYS_syncfs, Kind::Sync),
    (libc::SYS_sync, Kind::Sync),
    (libc::SYS_pwrite64, Kind::Write),
    (libc::SYS_pwritev, Kind::Write),
    (libc::SYS_pwritev2, Kind::Write),
    (libc::SYS_fallocate, Kind::Write),
];

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It makes data durable.
    Sync,
    /// It writes at a place in a file, or asks for room there. Sockets have no places, so it is never for one.
    Write,
}

impl Kind {
    /// The kind of the call with this number.
    pub(super) fn of(number: libc::c_int) -> Self {
        let noted = NOTED.into_iter().find(|(noted, _)| *noted == libc::c_long::from(number));
        noted.map_or(Self::Sync, |(_, kind)| kind)
    }
}

/// The kernel's name for this machine's system calls. A process may make those of another (32-bit ones on x86_64), whose
/// numbers mean other calls.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Where the filter finds the number of the call, and the architecture, in what the kernel shows it.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

const INSTRUCTIONS: usize = NOTED.len() + 5;

/// Where the listener of a new server arrives.
#[derive(Debug)]
pub struct Arrival(OwnedFd);

/// The child's part of a filter, and where the harness gets hold of its other end.
///
/// # Errors
/// If there is no socket to be had.
pub fn filtered() -> Result<(InChild, Arrival), DiskError> {
    let (harness, child) = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| DiskError { step: "make a pair of sockets", source: errno.into() })?;
    let program = program();
    let in_child = move || {
        let listener = install(&program)?;
        send(&child, listener)
    };
    Ok((Box::new(in_child), Arrival(harness)))
}

impl Arrival {
    /// The listener, once the child has gone through its part.
    pub(super) fn receive(self) -> Result<Listener, DiskError> {
        let mut byte = 0_u8;
        let mut control = Control::default();
        let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut message = control.message(&mut data);
        // SAFETY: the message points to memory that outlives the call, with its true lengths.
        let received =
            unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT) };
        let failed = DiskError::at("receive the listener of the filter");
        if let Err(errno) = Errno::result(received) {
            return Err(failed(errno.into()));
        }
        // SAFETY: the kernel has filled the message in; the macros walk what it has filled in.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
        match header {
            Some(header) if header.cmsg_type == libc::SCM_RIGHTS => {
                // SAFETY: a message of this type carries a file, which is ours from now on.
                let file = unsafe { OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()) };
                Listener::new(file)
            }
            _ => Err(failed(io::Error::other("none was sent"))),
        }
    }
}

/// Room for a control message with one file.
#[repr(align(8))]
#[derive(Default)]
struct Control([u8; 24]);

impl Control {
    fn message(&mut self, data: &mut libc::iovec) -> libc::msghdr {
        // SAFETY: all fields of this plain struct may be zero.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = data;
        message.msg_iovlen = 1;
        message.msg_control = self.0.as_mut_ptr().cast();
        message.msg_controllen = self.0.len();
        message
    }
}

/// Installs the filter in the calling thread and returns its listener.
fn install(program: &[libc::sock_filter; INSTRUCTIONS]) -> io::Result<RawFd> {
    // Without new rights by exec, nobody needs a right to be filtered. No server has any use for them.
    // SAFETY: the call takes numbers.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    let program = libc::sock_fprog { len: INSTRUCTIONS as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program lives until the call returns, and the kernel copies it.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    Ok(Errno::result(listener)? as RawFd)
}

/// Sends the listener to the harness. The child's own copy closes at its exec.
fn send(socket: &OwnedFd, file: RawFd) -> io::Result<()> {
    let mut byte = 0_u8;
    let mut control = Control::default();
    let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let message = control.message(&mut data);
    // SAFETY: the message has room for one control message with one file, and outlives the call.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(file);
        Errno::result(libc::sendmsg(socket.as_raw_fd(), &raw const message, 0))?;
    }
    Ok(())
}

/// A call of this machine that is one of those makes a notice, all others pass.
fn program() -> [libc::sock_filter; INSTRUCTIONS] {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let instruction = |code, operand, if_so, if_not| libc::sock_filter { code, jt: if_so, jf: if_not, k: operand };
    let (pass, notice) = (INSTRUCTIONS - 2, INSTRUCTIONS - 1);
    let to = |from: usize, target: usize| (target - from - 1) as u8;
    let mut program = [instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0); INSTRUCTIONS];
    program[0] = instruction(LOAD, ARCHITECTURE_AT, 0, 0);
    program[1] = instruction(JUMP_IF_EQUAL, ARCHITECTURE, 0, to(1, pass));
    program[2] = instruction(LOAD, NUMBER_AT, 0, 0);
    for (at, (number, _)) in (3..).zip(NOTED) {
        program[at] = instruction(JUMP_IF_EQUAL, number as u32, to(at, notice), 0);
    }
    program[notice] = instruction(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0);
    program
}
