//! `Target`: a program under load, configured from benches/peers/conf and started in front of the origin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificate::Certificate;
use crate::client;
use crate::folder::Folder;
use crate::machine;
use crate::origin::{Origin, roles_address};
use crate::process::{End, Process, pause, probably_free_port, source};
use crate::roles;

/// How often another port is tried, if somebody else took one that was free.
const PORTS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Haproxy,
    Varnish,
    Truehit,
    /// Answers with bytes of the size, and knows no origin.
    Bare(usize),
}

/// What a row asks of the configurations beyond what is the same in all rows.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether clients come by TLS.
    pub tls: bool,
    /// Bytes for stored responses, in all programs but HAProxy, which has 1 GiB.
    pub space: Option<u64>,
    /// truehit's `verify`, where it is not the default.
    pub verify: Option<&'static str>,
    /// Whether Varnish lets requests wait for one that is already asking, as it does by default.
    pub busy_wait: bool,
    /// truehit's `cache.variants_max`, where it is not the default.
    pub variants: Option<u32>,
    /// truehit's `runtime.workers`, where it is not the default.
    pub workers: Option<u32>,
}

/// truehit as the other caches are: what is fresh is served without asking.
pub const WHEN_STALE: Settings =
    Settings { tls: false, space: None, verify: Some("when-stale"), busy_wait: true, variants: None, workers: None };

/// truehit as it comes.
pub const DEFAULT: Settings = Settings { verify: None, ..WHEN_STALE };

pub struct Target {
    /// Ends before its files are removed.
    process: Process,
    address: SocketAddr,
    /// truehit's listener for metrics.
    admin: Option<SocketAddr>,
    folder: PathBuf,
}

impl Program {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Varnish => "varnish",
            Self::Truehit => "truehit",
            Self::Bare(_) => "bare",
        }
    }
}

impl Target {
    /// Starts the program before `origin`, and returns once it accepts connections.
    pub fn start(program: Program, settings: &Settings, origin: &Origin, folder: &Folder) -> Self {
        for attempt in 0..PORTS {
            let own = folder.within(&format!("{}-{}", program.name(), probably_free_port()));
            let started = match program {
                Program::Nginx => nginx(settings, origin, &own),
                Program::Haproxy => haproxy(settings, origin, &own),
                Program::Varnish => varnish(settings, origin, &own),
                Program::Truehit => truehit(settings, origin, &own),
                Program::Bare(size) => bare(size, &own),
            };
            match started {
                Ok(target) => return target,
                Err(printed) if attempt + 1 == PORTS => panic!("{} ended early:\n{printed}", program.name()),
                Err(_) => {}
            }
        }
        unreachable!("the last attempt returns or panics")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What the program wrote: the files of nginx's cache, Varnish's counters.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of truehit's metrics without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = client::get(self.admin.expect("truehit has metrics"), "/metrics");
        let text = String::from_utf8(text).expect("metrics are text");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no metric {name}"))
    }
}

fn nginx(settings: &Settings, origin: &Origin, own: &Path) -> Result<Target, String> {
    let port = probably_free_port();
    let tls = if settings.tls { " ssl http2" } else { "" };
    let file = configure("nginx.conf", settings, origin, own, &[("PORT", &port.to_string()), ("TLS", tls)]);
    for name in ["cache", "temp", "body"] {
        std::fs::create_dir_all(own.join(name)).expect("a folder in a temporary folder");
    }
    let mut command = machine::system("nginx");
    command.arg("-p").arg(own).arg("-c").arg(file).args(["-e", "stderr"]);
    on_port(command, port, End::Asked, own)
}

fn haproxy(settings: &Settings, origin: &Origin, own: &Path) -> Result<Target, String> {
    let port = probably_free_port();
    let both = Certificate::make(own).both;
    let tls = if settings.tls { format!(" ssl crt {} alpn h2,http/1.1", both.display()) } else { String::new() };
    let file = configure("haproxy.cfg", settings, origin, own, &[("PORT", &port.to_string()), ("TLS", &tls)]);
    let mut command = machine::system("haproxy");
    // In the foreground, and without the master process that only a reload needs.
    command.args(["-db", "-f"]).arg(file);
    on_port(command, port, End::Killed, own)
}

fn varnish(settings: &Settings, origin: &Origin, own: &Path) -> Result<Target, String> {
    let port = probably_free_port();
    let recv = if settings.busy_wait { "" } else { "set req.hash_ignore_busy = true;" };
    let vcl = configure("varnish.vcl", settings, origin, own, &[("RECV", recv)]);
    let values = [("PORT", port.to_string()), ("VCL", vcl.display().to_string())];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let file = configure("varnish.args", settings, origin, own, &values);
    let arguments = std::fs::read_to_string(file).expect("it was just written");
    let mut command = machine::system("varnishd");
    command.args(arguments.lines().filter(|line| !line.is_empty() && !line.starts_with('#')));
    on_port(command, port, End::Asked, own)
}

fn truehit(settings: &Settings, origin: &Origin, own: &Path) -> Result<Target, String> {
    let certificate = Certificate::make(own);
    let line =
        |name: &str, value: Option<String>| value.map_or_else(String::new, |value| format!("{name} = {value}\n"));
    let tls = if settings.tls {
        format!("tls = {{ certificate = {:?}, private_key = {:?} }}", certificate.chain, certificate.key)
    } else {
        String::new()
    };
    let cache = line("memory", settings.space.map(|bytes| format!("\"{}KiB\"", bytes / 1024)))
        + &line("variants_max", settings.variants.map(|count| count.to_string()));
    let verify = line("verify", settings.verify.map(|verify| format!("{verify:?}")));
    let workers = line("workers", settings.workers.map(|count| count.to_string()));
    let values = [("TLS", &*tls), ("CACHE", &cache), ("VERIFY", &verify), ("WORKERS", &workers)];
    let file = configure("truehit.toml", settings, origin, own, &values);
    let mut command = Command::new(env!("CARGO_BIN_EXE_truehit"));
    command.arg("run").arg("--config").arg(file);
    let mut process = Process::start(command, own.join("truehit.log"), End::Killed);
    let found = process.wait_for(|printed| Some((said(printed, "listen")?, said(printed, "admin")?)));
    let Some((address, admin)) = found else { return Err(process.printed()) };
    Ok(Target { process, address, admin: Some(admin), folder: own.to_owned() })
}

/// The address under `name` in the line with which truehit says that it serves.
fn said(printed: &str, name: &str) -> Option<SocketAddr> {
    let line = printed.lines().find(|line| line.contains("\"message\":\"serving\""))?;
    serde_json::from_str::<serde_json::Value>(line).ok()?[name].as_str()?.parse().ok()
}

fn bare(size: usize, own: &Path) -> Result<Target, String> {
    let mut command = Command::new(std::env::current_exe().expect("the harness knows its own place"));
    command.args([roles::STATIC, &size.to_string()]);
    let mut process = Process::start(command, own.join("bare.log"), End::Killed);
    let Some(address) = process.wait_for(roles_address) else { return Err(process.printed()) };
    Ok(Target { process, address, admin: None, folder: own.to_owned() })
}

/// Starts a program that was told its port, and waits until it accepts connections.
fn on_port(command: Command, port: u16, end: End, own: &Path) -> Result<Target, String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut process = Process::start(command, own.join("printed.log"), end);
    if process.wait_for(|_| client::accepts(address).then_some(())).is_none() {
        return Err(process.printed());
    }
    // A program whose port somebody else holds ends soon after that somebody has accepted.
    pause();
    match process.wait_for(|_| Some(())) {
        Some(()) => Ok(Target { process, address, admin: None, folder: own.to_owned() }),
        None => Err(process.printed()),
    }
}

/// Fills in a file of benches/peers/conf and writes it into the program's own folder.
fn configure(name: &str, settings: &Settings, origin: &Origin, own: &Path, values: &[(&str, &str)]) -> PathBuf {
    let certificate = Certificate::make(own);
    let space = settings.space.unwrap_or(1 << 30) / 1024;
    let common = [
        ("DIR", own.display().to_string()),
        ("CORES", machine::cores().to_string()),
        ("SPACE", format!("{space}k")),
        ("ORIGIN", origin.address().to_string()),
        ("ORIGIN_PORT", origin.address().port().to_string()),
        ("CHAIN", certificate.chain.display().to_string()),
        ("KEY", certificate.key.display().to_string()),
    ];
    let mut text = std::fs::read_to_string(source("conf").join(name)).expect("a committed file");
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    for (name, value) in &common {
        text = text.replace(&format!("@{name}@"), value);
    }
    let path = own.join(name);
    std::fs::write(&path, text).expect("a file in a temporary folder");
    path
}
