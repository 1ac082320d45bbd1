//! Configuration, in two layers: `Settings` is what was written, [`Config`] is what it means.
//!
//! `settings` declares each key once; everything else is made of that. The way of a value: `file` and `env` read it,
//! `layers` merges it and remembers where it came from, `resolve` and `routes` judge it among the others, and [`load()`]
//! does these in turn. [`schema`], [`default_file`], [`reference()`] and [`Loaded::explain`] show it.

mod decimal;
mod documents;
pub mod duration;
mod env;
mod error;
mod explain;
mod file;
mod key_rules;
mod keys;
mod layers;
mod load;
mod memory;
mod nearest;
mod number;
mod path;
mod resolve;
mod route_settings;
mod routes;
mod settings;
mod shown;
pub mod size;
mod structure;
mod text;
mod token;
mod values;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use documents::{default_file, reference};
pub use error::{ConfigError, Place, Problem};
pub use keys::schema;
pub use load::{Loaded, Overrides, load, load_with};
pub use memory::Memory;
pub use token::Token;

use crate::rules::breaker::BreakerSettings;
use crate::rules::policy::Policy;

/// What the operator's words mean: validated, complete, ready to build from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listening side.
    pub listen: Listen,
    /// The admin listener.
    pub admin: Admin,
    /// The origin side.
    pub origin: Origin,
    /// The store's bounds.
    pub cache: Cache,
    /// Routes in order of matching; the last matches everything and is named `default`.
    pub routes: Vec<Route>,
    /// Bounds on what clients may hold.
    pub limits: Limits,
    /// Logs.
    pub log: Log,
    /// Draining.
    pub drain: Drain,
    /// Runtime threads; `None` asks the system (cgroup quotas included).
    pub workers: Option<usize>,
}

/// `[listen]`: where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// TLS on the listening side, if configured.
    pub tls: Option<ListenTls>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are believed and extended.
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// `[listen.tls]`: PEM files, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Private key.
    pub private_key: PathBuf,
}

/// `[admin]`: probes and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Names that it is asked by, beside addresses and `localhost`; lower case.
    pub hosts: Vec<String>,
    /// The token for those who are not on this machine, and the file that holds it.
    pub token: Option<(PathBuf, Token)>,
}

/// `[origin]`: where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where to connect.
    pub place: OriginPlace,
    /// HTTP version on this leg.
    pub protocol: OriginProtocol,
    /// `Host` sent to the origin; `None` keeps the client's.
    pub host: Option<String>,
    /// TLS details, used when `place` is TLS.
    pub tls: OriginTls,
    /// Longest wait for a connection, name resolution and TLS handshake included.
    pub connect_timeout: Duration,
    /// Longest wait from sending the request to its response head.
    pub response_timeout: Duration,
    /// Longest silence within a response body; a stream of events that passes is exempt.
    pub progress_timeout: Duration,
    /// How long a body is recorded, or compared with what is stored, from the beginning of its exchange.
    pub total_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How many idle connections are kept per pool (checks; fetches and passes).
    pub idle_max: usize,
    /// How old a connection may get before another takes its place.
    pub age_max: Duration,
    /// How many connections may be open at once per pool, and over HTTP/2 how many requests under way; requests above
    /// it wait within `connect_timeout`.
    pub connections_max: usize,
    /// How many requests may wait for one, per pool.
    pub queue_max: usize,
    /// When checks and fetches are held back.
    pub breaker: BreakerSettings,
}

/// The origin's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPlace {
    /// `http://host:port` or `https://host:port`.
    Tcp {
        /// Whether the connection is TLS.
        tls: bool,
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path/to.sock`.
    Unix(PathBuf),
}

impl OriginPlace {
    /// Host and port, as a request names them that has no other name for it.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }
}

/// HTTP version on the origin leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginProtocol {
    /// ALPN decides under TLS; HTTP/1.1 otherwise.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, by ALPN under TLS and with prior knowledge otherwise.
    H2,
}

/// `[origin.tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginTls {
    /// PEM file of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Name for SNI and verification instead of the URL's host.
    pub server_name: Option<String>,
    /// Client certificate chain and private key, PEM files.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// `[cache]`: bounds of the store, in bytes, `auto` already resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// What stored responses may weigh together.
    pub memory: u64,
    /// What bodies under way may take together.
    pub fill_memory: u64,
    /// Stored variants per resource.
    pub variants_max: usize,
    /// How long "not storable" is remembered.
    pub uncacheable_for: Duration,
    /// How long what the origin has shown it supports is believed.
    pub relearn_after: Duration,
}

impl Cache {
    /// How many bytes of bodies may be held at a time: holding them takes a third more of the process than they have
    /// (ADR 9).
    #[must_use]
    pub const fn body_bytes(&self) -> u64 {
        self.fill_memory - self.fill_memory / 4
    }
}

/// What `fill_memory` has to be for a body of so many bytes: half as much again, which is a little more than it takes, and
/// a round number of a round number.
const fn fill_memory_for(body: u64) -> u64 {
    body.saturating_add(body.div_ceil(2))
}

/// One route: which requests, and their rules.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which requests it takes.
    pub matcher: Matcher,
    /// Their rules.
    pub policy: Policy,
}

/// Which requests a route takes: all three must agree; an empty list agrees with everything.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// Methods, exact.
    pub methods: Vec<http::Method>,
    /// Path globs (`*` within a segment, `**` across), matched on the raw path bytes without the query.
    pub paths: globset::GlobSet,
    /// Host names without port, lower case; `*.example.com` matches one label or more.
    pub hosts: Vec<String>,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open client connections.
    pub connections: usize,
    /// Requests under way, waiting or not.
    pub requests: usize,
    /// Requests waiting for exchanges, all variants together.
    pub waiters: usize,
    /// Longest wait of one request for its exchanges.
    pub wait_max: Duration,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Bytes of a request's target.
    pub target_bytes: usize,
    /// Bytes of a request's content.
    pub content_bytes: u64,
    /// Longest wait for a request head, first byte included.
    pub head_timeout: Duration,
    /// Longest silence within a request's content.
    pub content_timeout: Duration,
    /// Longest time in which a client takes not one byte of what waits for it.
    pub write_timeout: Duration,
    /// Longest idle time of a client connection between requests.
    pub idle_timeout: Duration,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub level: String,
    /// Whether each request is logged, as one JSON line on standard output.
    pub access: bool,
}

/// `[drain]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long to keep serving, not ready, before connections are closed.
    pub delay: Duration,
    /// How long running requests may then take.
    pub timeout: Duration,
}
