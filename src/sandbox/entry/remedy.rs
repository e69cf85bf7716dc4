//! What to change when the kernel refuses a step into the sandbox.
//!
//! Errno alone misleads: AppArmor lets the clone pass and refuses the map; a container's filter refuses the
//! clone; a limit of 0 looks like a full disk. So each answer is read together with the step and with what
//! this machine says about itself.

use std::fs;
use std::path::Path;

use nix::unistd::geteuid;

use super::step::{Step, StepError};
use crate::sandbox::status::ProcessStatus;

const SECCOMP: &str = "a seccomp filter forbids new namespaces, as in a container: start it with \
    `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`, or with `--privileged`";
const POLICY: &str =
    "a security policy forbids new namespaces to this process: run as root, or outside of any container";
const APPARMOR: &str = "AppArmor takes the capabilities of user namespaces away, as on Ubuntu since 23.10: run as root with \
    `sudo -E`, or allow them with `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`";
const WEAK_ROOT: &str = "this root lacks CAP_SETUID, CAP_SETGID or CAP_SETFCAP, without which root cannot be in a user namespace: \
    run as an ordinary user, or as a root with CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW";
const NO_USER_NAMESPACES: &str = "this machine allows no user namespaces: run as root, or allow them with \
    `sudo sysctl -w user.max_user_namespaces=15000`";
const NAMESPACES_EXHAUSTED: &str = "a limit on namespaces is reached: `sysctl user | grep max_` shows them; raise the one that is \
    0 or used up";
const DEBIAN_USERNS: &str = "this kernel keeps user namespaces to root: run as root, or allow them with \
    `sudo sysctl -w kernel.unprivileged_userns_clone=1`";
const NOT_IN_KERNEL: &str = "this kernel lacks a kind of namespace: run as root, or use a kernel with CONFIG_USER_NS, \
    CONFIG_PID_NS, CONFIG_NET_NS, CONFIG_UTS_NS and CONFIG_IPC_NS";
const MASKED_PROC: &str = "parts of /proc are hidden, as in a container: start it with `--security-opt systempaths=unconfined`, \
    or with `--privileged`";
const MOUNT_DENIED: &str = "a security policy forbids mounts, as in a container: start it with `--cap-add SYS_ADMIN \
    --security-opt apparmor=unconfined`, or with `--privileged`";

/// What this machine says about itself that bears on namespaces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Machine {
    /// A seccomp filter is in force for this process.
    filtered: bool,
    /// `kernel.apparmor_restrict_unprivileged_userns` is on.
    apparmor: bool,
    /// `user.max_user_namespaces` is 0.
    no_user_namespaces: bool,
    /// `kernel.unprivileged_userns_clone` is 0.
    debian_userns_off: bool,
    /// This process is root, though not one with all capabilities.
    root: bool,
}

impl Machine {
    pub(super) fn look() -> Self {
        Self {
            filtered: ProcessStatus::of_self().is_ok_and(|status| status.is_filtered()),
            apparmor: sysctl_is("kernel/apparmor_restrict_unprivileged_userns", "1"),
            no_user_namespaces: sysctl_is("user/max_user_namespaces", "0"),
            debian_userns_off: sysctl_is("kernel/unprivileged_userns_clone", "0"),
            root: geteuid().is_root(),
        }
    }

    /// What to change, where the answer is one that is known.
    pub(super) fn remedy(self, failure: StepError) -> Option<&'static str> {
        let denied = matches!(failure.errno, libc::EPERM | libc::EACCES);
        match failure.step {
            Step::CloneNamespaces => self.remedy_for_clone(failure.errno),
            Step::MapIds | Step::MapOwnIds if denied => Some(self.remedy_for_map()),
            Step::PrivateMounts if denied => Some(if self.apparmor { APPARMOR } else { MOUNT_DENIED }),
            Step::MountProc if denied => Some(if self.apparmor { APPARMOR } else { MASKED_PROC }),
            Step::Loopback | Step::HostName if denied => Some(if self.apparmor { APPARMOR } else { POLICY }),
            _ => None,
        }
    }

    fn remedy_for_map(self) -> &'static str {
        match self {
            Self { apparmor: true, .. } => APPARMOR,
            Self { root: true, .. } => WEAK_ROOT,
            _ => POLICY,
        }
    }

    fn remedy_for_clone(self, errno: i32) -> Option<&'static str> {
        match errno {
            libc::EPERM if self.debian_userns_off => Some(DEBIAN_USERNS),
            libc::EPERM if self.filtered => Some(SECCOMP),
            libc::EPERM | libc::EACCES => Some(POLICY),
            libc::ENOSPC | libc::EUSERS if self.no_user_namespaces => Some(NO_USER_NAMESPACES),
            libc::ENOSPC | libc::EUSERS => Some(NAMESPACES_EXHAUSTED),
            libc::EINVAL | libc::ENOSYS => Some(NOT_IN_KERNEL),
            _ => None,
        }
    }
}

fn sysctl_is(name: &str, value: &str) -> bool {
    fs::read_to_string(Path::new("/proc/sys").join(name)).is_ok_and(|text| text.trim() == value)
}

#[cfg(test)]
mod tests {
    use super::{APPARMOR, DEBIAN_USERNS, Machine, NO_USER_NAMESPACES, SECCOMP, Step, StepError};

    fn failure(step: Step, errno: i32) -> StepError {
        StepError { step, errno }
    }

    #[test]
    fn a_refused_clone_is_read_by_what_the_machine_says() {
        let refused = failure(Step::CloneNamespaces, libc::EPERM);
        assert_eq!(Machine { filtered: true, ..Machine::default() }.remedy(refused), Some(SECCOMP));
        assert_eq!(Machine { debian_userns_off: true, ..Machine::default() }.remedy(refused), Some(DEBIAN_USERNS));
    }

    #[test]
    fn a_limit_of_zero_is_no_full_disk() {
        let machine = Machine { no_user_namespaces: true, ..Machine::default() };
        assert_eq!(machine.remedy(failure(Step::CloneNamespaces, libc::ENOSPC)), Some(NO_USER_NAMESPACES));
    }

    #[test]
    fn a_refused_map_is_the_sign_of_apparmor() {
        let machine = Machine { apparmor: true, ..Machine::default() };
        assert_eq!(machine.remedy(failure(Step::MapOwnIds, libc::EPERM)), Some(APPARMOR));
    }

    #[test]
    fn an_answer_without_known_cause_gets_no_advice() {
        assert_eq!(Machine::default().remedy(failure(Step::Pipes, libc::EMFILE)), None);
    }
}
