//! The processes of a row: truehit as it is built for benches, and an origin; and what can be seen of them from outside.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::client::{Client, Kept};
use crate::process::Process;
use crate::roles;

/// A signal, by its name.
pub const KILL: &str = "KILL";
pub const TERM: &str = "TERM";
pub const HANGUP: &str = "HUP";
pub const STOP: &str = "STOP";
pub const CONTINUE: &str = "CONT";

/// Sends a signal to a process that this one has started.
fn signal(process: &Process, name: &str) {
    // Fails only if it has ended by itself, which the next look at it shows.
    let _ = Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
}

/// Waits until the process has ended.
async fn ended(process: &mut Process, within: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < within {
        if !process.runs() {
            return true;
        }
        sleep(Duration::from_millis(1)).await;
    }
    false
}

/// How an origin is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// The port, or 0 for one of the system's choice.
    pub port: u16,
    /// How long each answer takes.
    pub delay: Duration,
    /// The version of all registers at the start.
    pub version: u64,
}

/// An origin, in a process of its own.
pub struct Origin {
    process: Process,
    pub address: SocketAddr,
}

impl Origin {
    pub fn start(manners: Manners) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this executable knows its own place"));
        let numbers = [u64::from(manners.port), u64::try_from(manners.delay.as_millis()).unwrap_or(0), manners.version];
        command.arg(roles::ORIGIN).args(numbers.map(|number| number.to_string()));
        let mut process = Process::start("the origin", command);
        let serving = |line: &str| line.strip_prefix(roles::SERVING)?.trim().parse::<u16>().ok();
        let port = block_in_place(|| process.wait_for(serving));
        Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// Kills it, and returns once it is gone.
    pub async fn kill(mut self) {
        self.signal(KILL);
        ended(&mut self.process, Duration::from_secs(10)).await;
    }

    /// One of its counts.
    pub async fn count(&self, name: &str) -> u64 {
        let counters = Kept::to(self.address).get("/_counters").await.expect("the origin says its counts");
        let text = String::from_utf8_lossy(&counters.content).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no count of {name}"))
    }

    /// Sets its counts to 0.
    pub async fn reset(&self) {
        Kept::to(self.address).get("/_reset").await.expect("the origin answers");
    }

    /// Writes a register.
    pub async fn write(link: &mut Kept, key: usize, version: u64) -> bool {
        let answer = link.ask("PUT", &format!("/k/{key}/{version}"), "Content-Length: 0\r\n").await;
        if answer.is_err() {
            link.hang_up();
        }
        answer.is_ok_and(|answer| answer.status == 204)
    }
}

/// A folder of a row's own, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("truehit-reliability-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vitals {
    /// Resident memory, in KiB, now and at its highest.
    pub rss_kib: u64,
    pub peak_kib: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Vitals {
    /// Of a process; `None` if it is gone.
    pub fn of(process: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
        let (rss_kib, peak_kib, threads) = (field("VmRSS:")?, field("VmHWM:")?, field("Threads:")?);
        Some(Self { rss_kib, peak_kib, threads, descriptors })
    }
}

/// truehit, with a configuration file that can be changed.
pub struct Sidecar {
    process: Process,
    pub address: SocketAddr,
    admin: SocketAddr,
    folder: Folder,
}

impl Sidecar {
    /// Starts one before `origin`; `more` is TOML, in dotted keys.
    pub fn start(origin: SocketAddr, more: &str) -> Self {
        Self::start_on(0, origin, more)
    }

    /// The same on this port.
    pub fn start_on(port: u16, origin: SocketAddr, more: &str) -> Self {
        Self::start_as(Command::new(program()), port, origin, more)
    }

    /// The same by a command that ends with the program.
    pub fn start_as(mut command: Command, port: u16, origin: SocketAddr, more: &str) -> Self {
        let folder = Folder::new();
        let file = folder.0.join("truehit.toml");
        std::fs::write(&file, text(port, origin, more)).expect("a file in a temporary folder");
        command.arg("run").arg("--config").arg(&file);
        let mut process = Process::start("truehit", command);
        let serving = |line: &str| {
            // Where nobody watches, a line is JSON.
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            let address = |name: &str| event[name].as_str()?.parse::<SocketAddr>().ok();
            (event["message"] == "serving").then(|| Some((address("listen")?, address("admin")?)))?
        };
        let (address, admin) = block_in_place(|| process.wait_for(serving));
        Self { process, address, admin, folder }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// Kills it, and returns once it is gone.
    pub async fn kill(mut self) {
        self.signal(KILL);
        ended(&mut self.process, Duration::from_secs(10)).await;
    }

    /// Asks it to end; whether it did, in time.
    pub async fn terminate(mut self, within: Duration) -> bool {
        self.signal(TERM);
        ended(&mut self.process, within).await
    }

    /// Replaces its configuration file, as editors and the kubelet do, and tells it to read it.
    pub fn configure(&self, origin: SocketAddr, more: &str) {
        let (new, file) = (self.folder.0.join("new.toml"), self.folder.0.join("truehit.toml"));
        std::fs::write(&new, text(self.address.port(), origin, more)).expect("a file in a temporary folder");
        std::fs::rename(new, file).expect("a file in a temporary folder");
        self.signal(HANGUP);
    }

    pub fn vitals(&self) -> Vitals {
        Vitals::of(self.id()).unwrap_or_else(|| panic!("truehit has ended; it printed:\n{}", self.process.printed()))
    }

    /// The value of a series; 0 if it is not there. What ends with `{` is the sum of all series that begin so.
    pub async fn metric(&self, series: &str) -> f64 {
        let mut client = Client::connect(self.admin).await.expect("the admin listener accepts");
        let page = client.get("/metrics").await.expect("metrics");
        assert_eq!(page.status, 200, "{}", page.head);
        let text = String::from_utf8_lossy(&page.content).into_owned();
        let of_series =
            |line: &&str| line.strip_prefix(series).is_some_and(|rest| series.ends_with('{') || rest.starts_with(' '));
        let values = text.lines().filter(of_series).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }
}

/// The configuration of every row: ports, and what the row adds.
fn text(port: u16, origin: SocketAddr, more: &str) -> String {
    format!(
        "listen.address = \"127.0.0.1:{port}\"\nadmin.address = \"127.0.0.1:0\"\norigin.url = \"http://{origin}\"\n\
{more}\n"
    )
}

/// truehit as it was built for benches, or another build of it.
pub fn program() -> OsString {
    std::env::var_os("RELIABILITY_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_truehit").into())
}

/// Waits until `held` is so; whether it came to that in time.
pub async fn comes_true<F: Future<Output = bool>>(within: Duration, mut held: impl FnMut() -> F) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < within {
        if held().await {
            return true;
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}
