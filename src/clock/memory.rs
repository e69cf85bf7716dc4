//! The memory of another process, through `/proc/PID/mem`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

use super::ClockError;

/// The open `/proc/PID/mem` of a process.
///
/// This rather than `process_vm_writev`, for two reasons. The file belongs to the address space that the process had
/// when it was opened: once that is gone, by exit or by exec, reads and writes find nothing, so that a later process
/// with the same id is never touched. And the permission is asked for once, here, while the process is traced by us; a
/// change during a run cannot be refused any more.
#[derive(Debug)]
pub(super) struct Memory {
    pid: Pid,
    file: File,
}

impl Memory {
    #[cfg(target_arch = "x86_64")]
    pub(super) fn open(pid: Pid) -> Result<Memory, ClockError> {
        match File::options().read(true).write(true).open(format!("/proc/{pid}/mem")) {
            Ok(file) => Ok(Memory { pid, file }),
            Err(source) => Err(ClockError::Proc { pid, file: "mem", source }),
        }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), ClockError> {
        self.file.read_exact_at(bytes, address).map_err(|error| self.explain(error))
    }

    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), ClockError> {
        self.file.write_all_at(bytes, address).map_err(|error| self.explain(error))
    }

    /// The kernel answers "0 bytes" where the address space is gone.
    fn explain(&self, source: std::io::Error) -> ClockError {
        use std::io::ErrorKind::{UnexpectedEof, WriteZero};
        let pid = self.pid;
        match source.kind() {
            UnexpectedEof | WriteZero => ClockError::Gone { pid },
            _ => ClockError::Memory { pid, source },
        }
    }
}
