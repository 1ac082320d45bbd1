//! `Process`: a program that a test started, with what it has printed so far.
//!
//! It ends when the value is dropped. It is never waited for by sleeping: a program says on standard output or standard
//! error that it is ready, and [`Process::wait_for`] reads until then or fails with everything that was printed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::time::Instant;

/// The longest that a program may take to become ready: an interpreter on a busy machine takes seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running program, killed by its process id on drop.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    printed: Vec<String>,
}

impl Process {
    /// Starts `command`, reading its standard output and standard error line by line.
    pub(crate) fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{name} could not be started as {:?}: {error}; `make setup` installs it", command.get_program())
        });
        let (sender, lines) = channel();
        forward(child.stdout.take().expect("standard output is piped"), sender.clone());
        forward(child.stderr.take().expect("standard error is piped"), sender);
        Self { name: name.to_owned(), child, lines, printed: Vec::new() }
    }

    /// Reads what the program prints until `pick` finds what it looks for in a line; `None` if the program ended.
    pub(crate) fn wait_or_end<T>(&mut self, pick: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = pick(&line);
                    self.printed.push(line);
                    if found.is_some() {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} was not ready within {READY_WITHIN:?}; it printed:\n{}", self.name, self.printed())
                }
            }
        }
    }

    /// Like [`Self::wait_or_end`], for a program that must not end.
    pub(crate) fn wait_for<T>(&mut self, pick: impl Fn(&str) -> Option<T>) -> T {
        self.wait_or_end(pick).unwrap_or_else(|| panic!("{} ended early; it printed:\n{}", self.name, self.printed()))
    }

    /// What the program has printed and was read so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.join("\n")
    }

    /// Its process id.
    #[allow(dead_code, reason = "only some look at the process itself")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the program still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the program has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends every line of `from` until it ends or nobody listens. Reading goes on while the test does not, so the program
/// never blocks on a full pipe.
fn forward(from: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
}

/// The `address:port` after `http://` in a line such as `Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C)`.
pub(crate) fn address_in(line: &str) -> Option<String> {
    let rest = line.split_once("http://")?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

/// A port that was free a moment ago, for a program that cannot choose one and say which. Another program may take it
/// first: whoever uses this tries again with the next one.
pub(crate) fn probably_free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
    listener.local_addr().expect("a bound socket has an address").port()
}
