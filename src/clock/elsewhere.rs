//! Processors for which there is no hook yet.

use nix::unistd::Pid;

use super::ClockError;
use super::clocks::Clocks;
use super::page::DataPage;

/// Says that it cannot: the hook is machine code, and every processor needs its own. (On aarch64 a branch that reaches
/// the hook from anywhere takes 16 bytes, more than some of the vDSO's functions can spare.)
pub(super) fn inject(_: Pid, _: &Clocks) -> Result<DataPage, ClockError> {
    Err(ClockError::Unsupported(std::env::consts::ARCH))
}
