//! truehit, as it is built for benches, under callgrind.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

/// The longest that one answer may take: callgrind makes a program fifty times slower, and the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long it is left alone once it has said that it serves.
const QUIET: Duration = Duration::from_millis(300);

pub struct Sidecar {
    child: Child,
    said: BufReader<ChildStderr>,
    address: SocketAddr,
    counts: PathBuf,
}

impl Sidecar {
    /// Starts it in front of `origin`, with the defaults, but for `verify`, audits and the single worker. What is counted goes
    /// into a file with the `name`.
    pub fn start(name: &str, origin: SocketAddr, verify: &str) -> Self {
        let counts = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{name}"));
        let mut command = Command::new("valgrind");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // glibc copies from 4 KiB on with one instruction that repeats for each byte. callgrind counts every time,
            // where a processor takes a few dozen bytes at once; without, a copy counts about as much as it costs.
            .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS")
            .env("TRUEHIT_DEFAULTS__VERIFY", verify)
            // An audit is another kind of request.
            .env("TRUEHIT_DEFAULTS__AUDIT", "0")
            .env("TRUEHIT_RUNTIME__WORKERS", "1")
            .env("TRUEHIT_DRAIN__DELAY", "0s")
            .args(["--tool=callgrind", "--quiet", "--fair-sched=yes"])
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .args([env!("CARGO_BIN_EXE_truehit"), "run", "--origin", &format!("http://{origin}")])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("valgrind runs: `make packages` installs it");
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            let start = line.len();
            assert!(said.read_line(&mut line).unwrap() > 0, "it did not start:\n{line}");
            // Where nobody watches, a line is JSON.
            let event: serde_json::Value = serde_json::from_str(&line[start..]).unwrap_or_default();
            if event["message"] == "serving" {
                break event["listen"].as_str().unwrap().parse().unwrap();
            }
        };
        // What is left to do at the start does not mix with the first requests.
        #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do, and no test waits for it")]
        std::thread::sleep(QUIET);
        Self { child, said, address, counts }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it as an operator does, and gives how many instructions its threads have executed.
    pub fn end(mut self) -> u64 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        let rest: Vec<_> = self.said.by_ref().lines().map_while(Result::ok).collect();
        assert!(self.child.wait().unwrap().success(), "it ended badly:\n{}", rest.join("\n"));
        let counts = std::fs::read_to_string(&self.counts).expect("callgrind has written its counts");
        // A dump for each thread would have several; they are one program's.
        let totals: u64 = counts.lines().filter_map(|line| line.strip_prefix("totals: ")?.parse::<u64>().ok()).sum();
        assert!(totals > 0, "no totals in {}", self.counts.display());
        totals
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
