//! A headless Chromium that is told what to do over a pair of pipes: its own protocol, one JSON object after the other with
//! a zero byte between, and no network at all.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Where the browser is, if it is not on the path; `none` leaves the tests that need it out.
const PROGRAM: &str = "LEASEHOLD_CHROMIUM";

/// No page here takes longer, whatever else the machine does.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Browser {
    child: Child,
    to: File,
    from: File,
    read: Vec<u8>,
    calls: u64,
    session: Option<String>,
    /// What the browser told unasked: requests, errors, what a script wrote to the console.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it; `None` where the caller's environment says that there shall be none.
    pub(crate) fn start() -> Option<Self> {
        let program = std::env::var(PROGRAM).unwrap_or_else(|_| "chromium".into());
        if program == "none" {
            eprintln!("left out, as {PROGRAM}=none asks: no page is opened in a browser");
            return None;
        }
        let profile = tempfile::tempdir().expect("a folder");
        let (theirs_in, ours_out) = nix::unistd::pipe().expect("a pipe");
        let (ours_in, theirs_out) = nix::unistd::pipe().expect("a pipe");
        for ours in [&ours_out, &ours_in] {
            keep_to_ourselves(ours);
        }
        let mut command = Command::new(&program);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .args(["--disable-background-networking", "--no-first-run", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let (input, output) = (theirs_in.as_raw_fd(), theirs_out.as_raw_fd());
        // SAFETY: between fork and exec only `dup2` is called, which is safe there. Both ends are first moved out of the way
        // of 3 and 4, which is where Chromium expects them.
        unsafe {
            command.pre_exec(move || {
                for (from, to) in [(input, 103), (output, 104), (103, 3), (104, 4)] {
                    if libc::dup2(from, to) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {program}: {error}; install chromium, name it with {PROGRAM}=PATH, or leave these tests out with {PROGRAM}=none")
        });
        let (to, from) = (File::from(ours_out), File::from(ours_in));
        let mut browser =
            Self { child, to, from, read: Vec::new(), calls: 0, session: None, events: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attach)["sessionId"].as_str().map(str::to_owned);
        browser.session = session;
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.call("Performance.enable", &json!({"timeDomain": "threadTicks"}));
        browser.size(1400, 1000);
        Some(browser)
    }

    /// Asks for something and waits for the answer.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let mut message = self.message();
            if message["id"] != self.calls {
                self.events.push(message);
                continue;
            }
            assert!(message["error"].is_null(), "{method}: {message}");
            return message["result"].take();
        }
    }

    fn message(&mut self) -> Value {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == 0) {
                let message = serde_json::from_slice(&self.read[..end]).expect("the browser speaks JSON");
                self.read.drain(..=end);
                return message;
            }
            let mut more = [0; 64 * 1024];
            let length = self.from.read(&mut more).expect("the browser answers");
            assert!(length > 0, "the browser is gone");
            self.read.extend_from_slice(&more[..length]);
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.value(expression) != true {
            assert!(begun.elapsed() < DEADLINE, "in vain: {expression}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Opens a page and waits until its script has shown the timeline: how long that took.
    pub(crate) fn open(&mut self, page: &Path) -> Duration {
        self.events.clear();
        let begun = Instant::now();
        self.call("Page.navigate", &json!({"url": format!("file://{}", page.display())}));
        self.until("document.documentElement?.dataset.ready !== undefined && document.readyState === 'complete'");
        let took = begun.elapsed();
        assert_eq!(self.value("document.documentElement.dataset.ready"), "yes", "{}", self.value("told.textContent"));
        took
    }

    /// How much processor time the page has taken since it was opened, whatever else the machine does.
    pub(crate) fn worked(&mut self) -> Duration {
        let answer = self.call("Performance.getMetrics", &json!({}));
        let mut metrics = answer["metrics"].as_array().into_iter().flatten();
        let seconds = metrics.find(|metric| metric["name"] == "TaskDuration").and_then(|tasks| tasks["value"].as_f64());
        Duration::from_secs_f64(seconds.expect("the browser counts"))
    }

    /// Goes to an address and waits until what is there is loaded.
    pub(crate) fn visit(&mut self, address: &str) {
        self.events.clear();
        self.call("Page.navigate", &json!({"url": address}));
        self.until(&format!("location.href === {address:?} && document.readyState === 'complete'"));
    }

    /// Lets the page draw what it still has to draw.
    pub(crate) fn settle(&mut self) {
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    }

    pub(crate) fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        self.call("Input.dispatchKeyEvent", &json!({"type": "keyDown", "key": key, "text": text}));
        self.call("Input.dispatchKeyEvent", &json!({"type": "keyUp", "key": key}));
        self.settle();
    }

    pub(crate) fn mouse(&mut self, kind: &str, (x, y): (f64, f64), more: &Value) {
        let mut event = json!({"type": kind, "x": x, "y": y});
        if let (Some(event), Some(more)) = (event.as_object_mut(), more.as_object()) {
            event.extend(more.clone());
        }
        self.call("Input.dispatchMouseEvent", &event);
        self.settle();
    }

    pub(crate) fn click(&mut self, at: (f64, f64)) {
        for kind in ["mousePressed", "mouseReleased"] {
            self.mouse(kind, at, &json!({"button": "left", "clickCount": 1}));
        }
    }

    /// What the page did that no page of ours may do: ask for anything but itself, raise an error, or write to the console.
    pub(crate) fn misdeeds(&mut self, page: &Path) -> Vec<String> {
        self.misdeeds_below(&format!("file://{}", page.display()))
    }

    /// The same of pages that may ask for others, whose addresses begin so.
    pub(crate) fn misdeeds_below(&mut self, own: &str) -> Vec<String> {
        self.settle();
        let is_own = |url: &Value| url.as_str().is_some_and(|url| url.starts_with(own));
        let is_misdeed = |event: &Value| match event["method"].as_str() {
            Some("Network.requestWillBeSent") => !is_own(&event["params"]["request"]["url"]),
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded") => true,
            _ => false,
        };
        self.events.iter().filter(|event| is_misdeed(event)).map(ToString::to_string).collect()
    }
}

/// The browser must not inherit our ends, or it would never notice that we are gone.
fn keep_to_ourselves(end: &OwnedFd) {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a flag can be set");
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
