//! Runs the scenarios, each in a process of its own, and watches them from outside.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use leasehold::sandbox::{ControlGroups, Controller};

use crate::leftovers::{self, Member};
use crate::scenarios;
use crate::servers::READY;

/// No scenario takes so long, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// The same, where the environment asks for more cycles of faults than are usual.
fn deadline() -> Duration {
    let cycles = std::env::var("LEASEHOLD_CYCLES").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(0_u32);
    DEADLINE + cycles * Duration::from_secs(3)
}

/// Nobody: an ordinary user that every machine has.
const NOBODY: u32 = 65534;

/// How often a sandbox is killed at a random moment, in each setting.
const RANDOM_KILLS: u32 = 12;

/// The latest of these moments, by turns: while the namespaces are made, and when all is up.
const LATEST_KILL_US: [u64; 2] = [12_000, 60_000];

/// What the reason begins with why a check was not possible on this machine.
const IMPOSSIBLE: &str = "not possible";

type Verdict = Result<(), String>;
type Check = fn(&Theatre) -> Verdict;

/// Who enters the sandbox, and over what its hosts are connected.
#[derive(Clone, Copy)]
struct Setting {
    user: Option<u32>,
    medium: &'static str,
}

impl Setting {
    /// Root sees both media and an ordinary user besides; an ordinary user sees what it can have.
    fn all() -> Vec<Self> {
        if geteuid().is_root() {
            let setting = |user, medium| Self { user, medium };
            vec![setting(None, "tun"), setting(None, "veth"), setting(Some(NOBODY), "best")]
        } else {
            vec![Self { user: None, medium: "best" }]
        }
    }

    fn name(self) -> String {
        let user = match (self.user, geteuid().is_root()) {
            (Some(_), _) => "nobody",
            (None, true) => "root",
            (None, false) => "this user",
        };
        format!("{user}, {}", self.medium)
    }
}

/// A check, by its name. Those without a function are scenarios that judge themselves and exit with 0.
const CHECKS: [(&str, Option<Check>); 33] = [
    ("hosts-reach-each-other", None),
    ("a-one-way-cut-leaks-nothing", None),
    ("each-worker-has-links-of-its-own", None),
    ("delay-is-no-shorter-than-said", None),
    ("healing-releases-what-is-held", None),
    ("bulk-passes-unharmed", None),
    ("tcp-recovers-after-a-heal", None),
    ("a-cut-leaks-none-of-many", None),
    ("delays-are-what-was-asked", None),
    ("losses-are-what-was-asked", None),
    ("a-rate-is-what-was-asked", None),
    ("corruption-is-seen-by-whom-it-should", None),
    ("all-packets-are-captured", None),
    ("servers-start-clean", None),
    ("ends-and-pauses-are-seen", None),
    ("servers-are-prepared-at-exec", None),
    ("what-cannot-start-says-so", None),
    ("groups-limit-servers", None),
    ("cycles-leave-nothing", None),
    ("a-disk-is-held-slowed-and-refused", None),
    ("a-gate-stands-across-restarts", None),
    ("exit-with-orphans", None),
    ("two-threads", None),
    ("exit codes pass", Some(|theatre| theatre.ends("exit-7", ExitStatus::from_raw(7 << 8)))),
    ("a panic passes", Some(|theatre| theatre.ends("panic", ExitStatus::from_raw(101 << 8)))),
    ("an abort passes", Some(|theatre| theatre.ends("abort", ExitStatus::from_raw(libc::SIGABRT)))),
    ("a kill passes", Some(|theatre| theatre.ends("kill-self", ExitStatus::from_raw(libc::SIGKILL)))),
    ("Ctrl-C arrives once", Some(interrupt_arrives_once)),
    ("three times Ctrl-C end it", Some(insistence_ends_it)),
    ("a killed outer process leaves nothing", Some(|theatre| kill_when_ready(theatre, Victim::Outer))),
    (
        "a killed first process or harness leaves nothing",
        Some(|theatre| {
            kill_when_ready(theatre, Victim::First).and_then(|()| kill_when_ready(theatre, Victim::Harness))
        }),
    ),
    ("a kill amidst faults leaves nothing that the next run does not remove", Some(kill_amidst_faults)),
    ("kills at random moments leave nothing", Some(kill_at_random_moments)),
];

pub(crate) fn run(filters: &[&str]) -> ExitCode {
    let filters: Vec<_> = filters.iter().filter(|word| !word.starts_with("--")).collect();
    let home = Home::new();
    let (mut passed, mut failed, mut impossible) = (0, 0, 0);
    for setting in Setting::all() {
        let theatre = Theatre { setting, home: &home };
        if let Err(findings) = theatre.is_possible() {
            println!(
                "{}: not possible on this machine, and so not tested\n    {}",
                setting.name(),
                indented(&findings)
            );
            continue;
        }
        for (name, check) in CHECKS {
            if !filters.is_empty() && !filters.iter().any(|filter| name.contains(**filter)) {
                continue;
            }
            let start = Instant::now();
            let verdict = match check {
                Some(check) => check(&theatre),
                None => theatre.ends(name, ExitStatus::from_raw(0)),
            };
            let (count, word) = match &verdict {
                Ok(()) => (&mut passed, "ok"),
                Err(reason) if reason.starts_with(IMPOSSIBLE) => (&mut impossible, "NOT TESTED"),
                Err(_) => (&mut failed, "FAILED"),
            };
            *count += 1;
            println!("{name} ({}) ... {word} in {:.2?}", setting.name(), start.elapsed());
            if let Err(reason) = verdict {
                println!("    {}", indented(&reason));
            }
        }
    }
    println!("\n{passed} passed, {failed} failed, {impossible} not possible on this machine");
    ExitCode::from(u8::from(failed > 0 || passed == 0))
}

fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

/// A folder for this run, with a copy of this program that everybody may run: build folders may be closed
/// to others.
struct Home {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Home {
    fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("leasehold-sandbox-").tempdir().expect("a folder for temporary files");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("the folder is ours");
        let program = folder.path().join("sandbox-test");
        fs::copy(std::env::current_exe().expect("the path of this program"), &program).expect("room for a copy");
        Self { folder, program }
    }
}

/// Where scenarios are run.
struct Theatre<'a> {
    setting: Setting,
    home: &'a Home,
}

/// A scenario under way.
struct Running {
    outer: Child,
    folder: tempfile::TempDir,
}

impl Theatre<'_> {
    /// Starts a scenario. Its folder is the token by which all its processes are known.
    fn start(&self, name: &str, output: impl Into<Stdio>) -> Running {
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(self.home.folder.path()).expect("a folder");
        let mut command = Command::new(&self.home.program);
        command.args(["scenario", name, self.setting.medium]).arg(folder.path());
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(fs::File::create(folder.path().join("errors")).expect("a file"));
        if let Some(user) = self.setting.user {
            command.uid(user).gid(user);
            std::os::unix::fs::chown(folder.path(), Some(user), Some(user)).expect("the folder is ours");
        }
        // SAFETY: the closure makes one system call. With it, no scenario outlives an interrupted test.
        unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        // A group of its own, as a shell gives to a job: Ctrl-C goes to the whole group.
        let outer = command.process_group(0).spawn().expect("the copy can be run");
        Running { outer, folder }
    }

    /// Whether this machine offers what the setting needs; an error is what the probes found.
    fn is_possible(&self) -> Verdict {
        let findings = tempfile::NamedTempFile::new().expect("a file");
        let status = self.start("probe", findings.reopen().expect("a second handle")).wait()?;
        if status.success() { Ok(()) } else { Err(fs::read_to_string(findings.path()).unwrap_or_default()) }
    }

    /// Runs a scenario to its end, which must be this one and leave nothing behind.
    fn ends(&self, name: &str, expected: ExitStatus) -> Verdict {
        let output = tempfile::tempfile().expect("a file");
        let mut running = self.start(name, output.try_clone().expect("a second handle"));
        let status = running.wait()?;
        running.leaves_nothing()?;
        if status.code() == Some(i32::from(scenarios::limits::IMPOSSIBLE)) {
            return Err(format!("{IMPOSSIBLE}: {}", running.errors()));
        }
        if status == expected {
            Ok(())
        } else {
            Err(format!("it ended by {status} and not by {expected}\n{}", running.errors()))
        }
    }
}

impl Running {
    fn token(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default()
    }

    fn outer(&self) -> Pid {
        Pid::from_raw(self.outer.id().cast_signed())
    }

    fn wait(&mut self) -> Result<ExitStatus, String> {
        let start = Instant::now();
        loop {
            match self.outer.try_wait().map_err(|error| error.to_string())? {
                Some(status) => return Ok(status),
                None if start.elapsed() > deadline() => {
                    self.outer.kill().and_then(|()| self.outer.wait()).map_err(|error| error.to_string())?;
                    return Err(format!("it hung for {:?}\n{}", deadline(), self.errors()));
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn leaves_nothing(&mut self) -> Verdict {
        leftovers::await_none(&self.token())?;
        // Who was killed leaves its groups empty; who was not leaves none.
        let killed = matches!(self.outer.try_wait(), Ok(Some(status)) if status.signal() == Some(libc::SIGKILL));
        let left = leftovers::groups_of(self.outer.id());
        if killed || left.is_empty() { Ok(()) } else { Err(format!("control groups are left: {left:?}")) }
    }

    /// The process of a part of the sandbox, once there is one.
    fn find(&self, victim: Victim) -> Option<Member> {
        leftovers::members(&self.token()).into_iter().find(|member| victim.is(*member, self.outer()))
    }
}

impl Drop for Running {
    /// What a failed check has left behind ends here.
    fn drop(&mut self) {
        for left in leftovers::members(&self.token()) {
            let _ = kill(Pid::from_raw(left.pid), Signal::SIGKILL);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Victim {
    Outer,
    First,
    Harness,
}

impl Victim {
    const ALL: [Self; 3] = [Self::Outer, Self::First, Self::Harness];

    fn is(self, member: Member, outer: Pid) -> bool {
        match self {
            Self::Outer => member.pid == outer.as_raw(),
            Self::First => member.pid != outer.as_raw() && member.inner_pid == 1,
            Self::Harness => member.pid != outer.as_raw() && member.inner_pid == 2,
        }
    }
}

fn interrupt_arrives_once(theatre: &Theatre) -> Verdict {
    let mut running = theatre.start("count-interrupts", Stdio::piped());
    let mut lines = BufReader::new(running.outer.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().and_then(Result::ok).unwrap_or_default();
    expect("the first line", &next(), READY)?;
    // What a terminal does.
    kill(Pid::from_raw(-running.outer().as_raw()), Signal::SIGINT).map_err(|error| error.to_string())?;
    expect("the answer to Ctrl-C", &next(), "interrupt 1")?;
    kill(running.outer(), Signal::SIGTERM).map_err(|error| error.to_string())?;
    expect("the count", &next(), "interrupts 1 servers alive")?;
    let status = running.wait()?;
    expect("the end", &status.to_string(), &ExitStatus::from_raw(143 << 8).to_string())?;
    running.leaves_nothing()
}

fn insistence_ends_it(theatre: &Theatre) -> Verdict {
    let mut running = theatre.start("ignore-interrupts", Stdio::piped());
    let mut lines = BufReader::new(running.outer.stdout.take().expect("it is piped")).lines();
    expect("the first line", &lines.next().and_then(Result::ok).unwrap_or_default(), READY)?;
    let start = Instant::now();
    // Signals that come faster than they are taken merge into one, so it may take more than three.
    while running.outer.try_wait().map_err(|error| error.to_string())?.is_none() {
        if start.elapsed() > DEADLINE {
            running.outer.kill().map_err(|error| error.to_string())?;
            return Err("it does not give in".to_owned());
        }
        let _ = kill(running.outer(), Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = running.wait()?;
    expect("the end", &status.to_string(), &ExitStatus::from_raw(libc::SIGKILL).to_string())?;
    running.leaves_nothing()
}

fn expect(what: &str, found: &str, expected: &str) -> Verdict {
    if found == expected { Ok(()) } else { Err(format!("{what} is `{found}` and not `{expected}`")) }
}

fn kill_when_ready(theatre: &Theatre, victim: Victim) -> Verdict {
    let (interfaces, mounts) = (leftovers::interfaces(), leftovers::mounts());
    let mut running = theatre.start("wait-with-servers", Stdio::null());
    let ready = running.folder.path().join("ready");
    let start = Instant::now();
    while !ready.exists() {
        if start.elapsed() > DEADLINE {
            running.outer.kill().map_err(|error| error.to_string())?;
            return Err(format!("it does not get ready\n{}", running.errors()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let members = leftovers::members(&running.token());
    if members.len() != 6 {
        return Err(format!("outer, first, harness and three servers are six: {members:?}"));
    }
    let found = running.find(victim).ok_or_else(|| format!("no {victim:?} among {members:?}"))?;
    end_by_kill(&mut running, found, victim)?;
    same("interfaces", &interfaces, &leftovers::interfaces())?;
    same("mounts", &mounts, &leftovers::mounts())
}

/// Groups are the one thing that has a name on this machine: after a SIGKILL they stay, empty, until the next run.
fn kill_amidst_faults(theatre: &Theatre) -> Verdict {
    let mut running = theatre.start("wait-amidst-faults", Stdio::null());
    let ready = running.folder.path().join("ready");
    let start = Instant::now();
    while !ready.exists() {
        if start.elapsed() > DEADLINE {
            return Err(format!("it does not get ready\n{}", running.errors()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    sweep()?;
    let outer = running.outer();
    let alive = leftovers::groups_of(running.outer.id());
    let possible =
        theatre.setting.user.is_none() && geteuid().is_root() && ControlGroups::create(&[Controller::Cpu]).is_ok();
    if possible && alive.is_empty() {
        return Err("the groups of a run that lives were swept away, or there were none".to_owned());
    }
    end_by_kill(&mut running, Member { pid: outer.as_raw(), inner_pid: 0, depth: 0 }, Victim::Outer)?;
    // The last of the dead holds the lock until it is gone altogether.
    let start = Instant::now();
    loop {
        sweep()?;
        let left = leftovers::groups_of(running.outer.id());
        match left.is_empty() {
            true => return Ok(()),
            false if start.elapsed() > DEADLINE => return Err(format!("control groups are left: {left:?}")),
            false => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn sweep() -> Verdict {
    leasehold::sandbox::sweep().map(drop).map_err(|error| error.to_string())
}

/// Kills a part of the sandbox, whereupon the outer process must end by the same signal and nothing remain.
fn end_by_kill(running: &mut Running, member: Member, victim: Victim) -> Verdict {
    kill(Pid::from_raw(member.pid), Signal::SIGKILL).map_err(|error| error.to_string())?;
    let status = running.wait()?;
    expect(
        &format!("the end after the kill of {victim:?}"),
        &status.to_string(),
        &ExitStatus::from_raw(libc::SIGKILL).to_string(),
    )?;
    running.leaves_nothing()
}

fn same(what: &str, before: &[String], after: &[String]) -> Verdict {
    let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    if new.is_empty() { Ok(()) } else { Err(format!("new {what}: {new:?}")) }
}

fn kill_at_random_moments(theatre: &Theatre) -> Verdict {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    let mut random = Random(seed);
    for round in 0..RANDOM_KILLS {
        let (wait_us, wish) = (random.below(LATEST_KILL_US[round as usize % 2]), Victim::ALL[random.below(3) as usize]);
        let mut running = theatre.start("wait-with-servers", Stdio::null());
        std::thread::sleep(Duration::from_micros(wait_us));
        // So early, there may be none of the others yet.
        let found = running.find(wish).map(|member| (member, wish));
        let itself = Member { pid: running.outer().as_raw(), inner_pid: 0, depth: 0 };
        let (member, victim) = found.unwrap_or((itself, Victim::Outer));
        end_by_kill(&mut running, member, victim)
            .map_err(|reason| format!("seed {seed}, kill {round} of {victim:?} after {wait_us} us: {reason}"))?;
    }
    Ok(())
}

/// SplitMix64: enough to pick moments.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
