//! The program itself as a child process: what it says, where it listens, and what the system knows of it.

use std::net::SocketAddr;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::*;

pub fn truehit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_truehit"));
    command.args(args);
    plain(command)
}

/// Without an environment, and with its output in our hands.
fn plain(mut command: Command) -> Command {
    command.env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub async fn ended(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, stdout, .. } = soon(truehit(args).output()).await.unwrap();
    let said = format!("{}{}", String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    (status.code(), said)
}

/// A running one.
pub struct Running {
    pub child: Child,
    /// Where clients connect.
    pub address: SocketAddr,
    pub admin: SocketAddr,
    /// What it has not said yet.
    pub said: Lines<BufReader<ChildStderr>>,
    /// The access log.
    pub log: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub async fn start(args: &[&str]) -> Self {
        let mut all = vec!["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        all.extend(args);
        Self::of(truehit(&all)).await
    }

    /// The same with no more than so many descriptors.
    pub async fn with_descriptors(most: u32, args: &[&str]) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_truehit"), "run"]);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(args);
        Self::of(plain(command)).await
    }

    /// Starts it and waits until it serves.
    pub async fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = soon(said.next_line()).await.unwrap().expect("it announces its address");
            // Where nobody watches, a line is JSON.
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "serving" {
                let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
                return Self { child, address: address("listen"), admin: address("admin"), said, log };
            }
        }
    }

    pub async fn client(&self) -> Client {
        Client::h1(soon(TcpStream::connect(self.address)).await.unwrap()).await
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.client().await.get(target).await
    }

    /// The value of a series; 0 if it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let stream = soon(TcpStream::connect(self.admin)).await.unwrap();
        let request = Request::get("/metrics").header("host", "localhost").body(empty()).unwrap();
        let page = Client::h1(stream).await.fetch(request).await;
        let line = page.text().lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(soon(Command::new("kill").args(["-s", name, &id]).status()).await.unwrap().success());
    }

    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Its resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}
