//! `Process`: a program that the harness started, with what it prints in a file, and all of it ended when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// The longest that a program may take to become ready: Varnish compiles its configuration first.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The longest that a program may take to end when asked.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// How a program ends without leaving children behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Killed: it has no children, and nothing to lose.
    Killed,
    /// Asked first: its children end only with its help.
    Asked,
}

pub struct Process {
    child: Child,
    log: PathBuf,
    end: End,
}

impl Process {
    /// Starts `command`, whose standard output and standard error go to `log`.
    pub fn start(mut command: Command, log: PathBuf, end: End) -> Self {
        let file = File::create(&log).expect("a file in a temporary folder");
        let copy = file.try_clone().expect("another handle");
        command.stdin(Stdio::null()).stdout(file).stderr(copy);
        let child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        Self { child, log, end }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks `ready` until it has an answer; `None` if the program ended, and a panic if it takes too long.
    pub fn wait_for<T>(&mut self, mut ready: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            if let Some(found) = ready(&self.printed()) {
                return Some(found);
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return None;
            }
            pause();
        }
        panic!("not ready within {READY_WITHIN:?}; it printed:\n{}", self.printed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.end == End::Asked {
            // Fails only if it has ended by itself.
            let _ = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
            let begun = Instant::now();
            while begun.elapsed() < ENDED_WITHIN && matches!(self.child.try_wait(), Ok(None)) {
                pause();
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that was free a moment ago, for a program that cannot choose one and say which.
pub fn probably_free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// A file of benches/peers.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name)
}

/// Waits a little before asking a program again.
#[expect(clippy::disallowed_methods, reason = "the harness itself has no runtime that it could block")]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
