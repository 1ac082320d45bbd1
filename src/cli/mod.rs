//! The command line: what can be typed, and what a process answers with its exit code.

mod config;
mod health;
mod probe;
mod run;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;

pub use self::config::config;
pub use self::health::{drain, health};
pub use self::probe::probe;
pub use self::run::run;

/// Exit codes, by `sysexits.h` where it has one.
pub mod exit {
    /// All went well.
    pub const CLEAN: u8 = 0;
    /// It failed while running.
    pub const FAILURE: u8 = 1;
    /// The command line is wrong (`EX_USAGE`).
    pub const USAGE: u8 = 64;
    /// The origin or the process that was asked is not available (`EX_UNAVAILABLE`).
    pub const UNAVAILABLE: u8 = 69;
    /// An address could not be bound, or other I/O failed (`EX_IOERR`).
    pub const IO: u8 = 74;
    /// The configuration is invalid (`EX_CONFIG`).
    pub const CONFIG: u8 = 78;
}

/// A read-through caching reverse proxy that asks the origin before it serves a cached body.
#[derive(Debug, Parser)]
#[command(name = "truehit", version = VERSION)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy
    Run(RunArgs),
    /// Check and show configurations
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Find out how an origin's responses can be checked
    Probe(ProbeArgs),
    /// Ask a running truehit whether it is alive (for container health checks)
    Health(HealthArgs),
    /// Tell a running truehit that it is about to be stopped (for a container's preStop hook)
    Drain(DrainArgs),
    /// Print the version
    Version,
}

/// The flags that override the configuration, in `run` and in `config check` alike.
#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    /// The origin's address, such as http://127.0.0.1:8000 or unix:/run/app.sock
    #[arg(long, value_name = "URL")]
    pub origin: Option<String>,
    /// Where clients connect
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Where probes and metrics are served
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// The configuration file, in TOML or YAML
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// When a stored response is checked: every-hit, a duration such as 250ms, when-stale, off
    #[arg(long, value_name = "WHEN")]
    pub verify: Option<String>,
    /// How it is checked: auto, digest-endpoint, conditional, head, body
    #[arg(long, value_name = "HOW")]
    pub check: Option<String>,
}

impl Flags {
    /// As the configuration's topmost layer.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            origin: self.origin.clone(),
            listen: self.listen.clone(),
            admin: self.admin.clone(),
            verify: self.verify.clone(),
            check: self.check.clone(),
        }
    }
}

/// `truehit run`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// What overrides the configuration.
    #[command(flatten)]
    pub flags: Flags,
    /// Log each request, as one JSON line on standard output
    #[arg(long)]
    pub access_log: bool,
}

/// `truehit config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Validate the configuration and print each value with its source
    Check(Flags),
    /// Print the JSON Schema of the configuration file
    Schema,
    /// Print a configuration file with every default and its comment
    Default,
    /// Print the reference page of all keys
    Reference,
}

/// The environment, without what is not text: no key has such a name, and such a value fits no key.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// `truehit probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// What to ask the origin for, such as http://127.0.0.1:8000/users/1
    pub url: String,
    /// A field to send along, as 'Name: value'; may be given more than once
    #[arg(long, short = 'H', value_name = "FIELD")]
    pub header: Vec<String>,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

/// `truehit health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Address of the admin listener [default: TRUEHIT_ADMIN__ADDRESS, else 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
    /// Ask whether it is ready for traffic, not only alive
    #[arg(long)]
    pub ready: bool,
}

/// `truehit drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Address of the admin listener [default: TRUEHIT_ADMIN__ADDRESS, else 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
}

/// `truehit version`: the version, and the revision if the build was told one.
#[must_use]
pub fn version() -> String {
    match REVISION {
        "" => format!("truehit {VERSION}"),
        revision => format!("truehit {VERSION} ({revision})"),
    }
}

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The source revision of this build, from `TRUEHIT_REVISION` at build time; empty if it was not set.
pub const REVISION: &str = match option_env!("TRUEHIT_REVISION") {
    Some(revision) => revision,
    None => "",
};
