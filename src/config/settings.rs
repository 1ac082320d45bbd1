//! `Settings`: what was written. Each key of the configuration is declared here, those of routes in `route_settings`, and
//! nowhere else.
//!
//! A field's name is the key. The first paragraph of its comment is the one line in `config/truehit.toml`, the rest is
//! added in `docs/config.md`; its type says what is allowed, and `default` or `example` what to show. The JSON Schema,
//! the names of the environment variables, the layer of defaults and both documents are generated from these two files.
//!
//! Every key may be left out: the layer of defaults lies below what was written, so a field is an `Option` only where
//! absence means something of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::OriginPlace;
use super::number::Count;
use super::route_settings::{Route, Rules};
use super::text::Text;
use super::values::{Authority, Filter, Host, Positive, ServerName, Size, SizeOrAuto};
use super::words::Protocol;

/// The configuration of truehit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "truehit")]
pub(super) struct Settings {
    /// The listening side: where clients connect.
    pub(super) listen: Listen,
    /// The origin server: where requests go.
    pub(super) origin: Origin,
    /// The store of responses in memory.
    pub(super) cache: Cache,
    /// The rules for all requests that no route takes, and for what a route leaves out.
    pub(super) defaults: Rules,
    /// Routes: which requests have other rules. The first that matches decides.
    ///
    /// A route takes a request if its methods, paths and hosts all agree; one that is left out agrees with
    /// everything. Every key of `[defaults]` may be repeated in a route. After the last route comes one named
    /// `default` that takes the rest, with the rules of `[defaults]`.
    #[schemars(extend("default" = []))]
    pub(super) route: Vec<Route>,
    /// Bounds on what clients may hold.
    pub(super) limits: Limits,
    /// Logs, on standard output.
    pub(super) log: Log,
    /// The admin listener: probes and metrics.
    pub(super) admin: Admin,
    /// What happens between the signal to stop and the end.
    pub(super) drain: Drain,
    /// Threads.
    #[serde(default)]
    pub(super) runtime: Runtime,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// IP address and port for clients; port 0 lets the system choose.
    ///
    /// The default takes requests from everywhere, because a sidecar is reached through its pod's address.
    #[schemars(extend("default" = "127.0.0.1:8080"))]
    pub(super) address: Text<SocketAddr>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are believed and extended.
    ///
    /// From everybody else these fields are replaced.
    #[schemars(extend("default" = [], "examples" = [["10.0.0.0/8", "::1"]]))]
    pub(super) trusted_proxies: Vec<Text<ipnet::IpNet>>,
    /// TLS on the listening side.
    #[serde(default)]
    pub(super) tls: ListenTls,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenTls {
    /// PEM file of the certificate chain, leaf first; with it, clients connect by TLS.
    ///
    /// Needs `private_key`.
    #[schemars(with = "PathBuf", example = "/etc/truehit/tls.crt")]
    pub(super) certificate: Option<PathBuf>,
    /// PEM file of the private key.
    #[schemars(with = "PathBuf", example = "/etc/truehit/tls.key")]
    pub(super) private_key: Option<PathBuf>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    /// The origin's address. The one key that must be set, here, in the environment or by `--origin`.
    #[schemars(with = "Text<OriginPlace>", example = "http://127.0.0.1:8000", extend("x-required" = true))]
    pub(super) url: Option<Text<OriginPlace>>,
    /// HTTP version on the connections to the origin.
    #[schemars(extend("default" = "auto"))]
    pub(super) protocol: Protocol,
    /// `Host` that the origin sees; left out, it sees the client's.
    #[schemars(with = "Text<Authority>", example = "api.example.com")]
    pub(super) host: Option<Text<Authority>>,
    /// Longest wait for a connection, name resolution and TLS handshake included.
    #[schemars(extend("default" = "1s"))]
    pub(super) connect_timeout: Text<Positive>,
    /// Longest wait from the request to the head of its response.
    #[schemars(extend("default" = "30s"))]
    pub(super) response_timeout: Text<Positive>,
    /// Longest silence within the body of a response.
    ///
    /// It does not bound streams that pass and are silent by their nature: `text/event-stream`,
    /// `multipart/x-mixed-replace` and gRPC end when either side ends them.
    #[schemars(extend("default" = "30s"))]
    pub(super) progress_timeout: Text<Positive>,
    /// Longest time from the beginning of an exchange to the end of a body that is stored or compared.
    ///
    /// A body that still arrives then is no longer recorded, and goes on to who reads it; a check that compares bytes
    /// fails.
    #[schemars(extend("default" = "10m"))]
    pub(super) total_timeout: Text<Positive>,
    /// How long an idle connection is kept.
    ///
    /// Shorter than the 5 s after which uvicorn and Node.js close theirs, so that truehit is first.
    #[schemars(extend("default" = "4s"))]
    pub(super) idle_timeout: Text<Positive>,
    /// How many idle connections each pool keeps; checks have one pool, fetches and passes the other.
    #[schemars(extend("default" = 64))]
    pub(super) idle_max: Count<0, 65_536>,
    /// How old a connection may get before another takes its place.
    ///
    /// Names are resolved anew with each connection, so that after a change of address the old one is left within that time,
    /// also under a load that never leaves a connection idle.
    #[schemars(extend("default" = "5m"))]
    pub(super) age_max: Text<Positive>,
    /// How many connections each pool may have open; over HTTP/2, how many requests may be under way.
    ///
    /// Requests above it wait for one, at most `connect_timeout`.
    #[schemars(extend("default" = 1024))]
    pub(super) connections_max: Count<1, 65_536>,
    /// How many requests may wait for a connection of each pool.
    ///
    /// Those above it are answered with 503 at once.
    #[schemars(extend("default" = 1024))]
    pub(super) queue_max: Count<0, 1_000_000>,
    /// When an origin that fails is left alone.
    pub(super) breaker: Breaker,
    /// TLS to the origin, for an `https` address.
    #[serde(default)]
    pub(super) tls: OriginTls,
}

/// Checks and fetches are what it counts and holds back: requests that pass are their client's affair.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    /// How many of the last 64 checks and fetches must fail for it to open; 0 turns it off.
    ///
    /// A connection that cannot be had, a deadline that passes and an answer that is none are failures; a status is not,
    /// whatever it says. While it is open, what needs the origin is answered with 503 at once, or excused as
    /// `on_check_error` says.
    #[schemars(extend("default" = 20))]
    pub(super) failures: Count<0, 64>,
    /// How long it opens for; then one request tries.
    ///
    /// Each try that fails doubles it, up to `open_max`. Chance adds up to a quarter.
    #[schemars(extend("default" = "1s"))]
    pub(super) open_for: Text<Positive>,
    /// The longest that it opens for.
    #[schemars(extend("default" = "30s"))]
    pub(super) open_max: Text<Positive>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginTls {
    /// PEM file of the authorities to trust instead of the system's.
    #[schemars(with = "PathBuf", example = "/etc/truehit/origin-ca.crt")]
    pub(super) ca_file: Option<PathBuf>,
    /// Name to ask for (SNI) and to verify, instead of the host in `origin.url`.
    #[schemars(with = "Text<ServerName>", example = "api.internal")]
    pub(super) server_name: Option<Text<ServerName>>,
    /// PEM file of a client certificate chain, leaf first.
    ///
    /// Needs `client_key`.
    #[schemars(with = "PathBuf", example = "/etc/truehit/client.crt")]
    pub(super) client_certificate: Option<PathBuf>,
    /// PEM file of the client certificate's private key.
    #[schemars(with = "PathBuf", example = "/etc/truehit/client.key")]
    pub(super) client_key: Option<PathBuf>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    /// What stored responses may weigh together.
    ///
    /// `auto` takes half of the memory limit of the container (control groups, version 2 or 1). Without a limit it
    /// takes a quarter of the machine's memory, at most 1 GiB, and 64 MiB where that cannot be read either.
    #[schemars(extend("default" = "auto"))]
    pub(super) memory: Text<SizeOrAuto>,
    /// What bodies under way may hold together, in addition to `memory`.
    ///
    /// These are responses that are still arriving, and the content of queries that wait. Where nothing is left, a
    /// response is not recorded and goes through a piece at a time, and a query passes. Holding a body takes more than
    /// its bytes, so these may be three quarters of it, and it is at least half as much again as the largest `object_max`.
    /// `auto` takes a quarter of `memory`, and no less than that.
    #[schemars(extend("default" = "auto"))]
    pub(super) fill_memory: Text<SizeOrAuto>,
    /// How many variants of one resource are stored.
    #[schemars(extend("default" = 16))]
    pub(super) variants_max: Count<1, 1024>,
    /// How long it is remembered that a resource cannot be stored.
    ///
    /// Meanwhile its requests do not wait for each other.
    #[schemars(extend("default" = "10s"))]
    pub(super) uncacheable_for: Text<Duration>,
    /// How long what the origin has shown it supports is believed.
    #[schemars(extend("default" = "10m"))]
    pub(super) relearn_after: Text<Positive>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Open connections of clients; more wait to be accepted.
    ///
    /// At most three quarters of the system's limit of descriptors (`ulimit -n`): the rest is for connections to the
    /// origin.
    #[schemars(extend("default" = 10000))]
    pub(super) connections: Count<1, 1_000_000>,
    /// Requests under way: from a request's head to the end of its answer. More are answered 503.
    #[schemars(extend("default" = 10000))]
    pub(super) requests: Count<1, 1_000_000>,
    /// Requests that wait for exchanges with the origin, all together. More are answered 503.
    #[schemars(extend("default" = 10000))]
    pub(super) waiters: Count<1, 1_000_000>,
    /// Longest wait of one request for its exchanges.
    #[schemars(extend("default" = "60s"))]
    pub(super) wait_max: Text<Positive>,
    /// Longest head of a request, from 8KiB to 1MiB.
    #[schemars(extend("default" = "32KiB"))]
    pub(super) head_bytes: Text<Size>,
    /// Longest target of a request, path and query, from 1KiB to 64KiB. A longer one is answered 414.
    ///
    /// One that is longer than 8KiB is forwarded and never stored. It is part of the head, and no longer than
    /// `head_bytes` allows.
    #[schemars(extend("default" = "8KiB"))]
    pub(super) target_bytes: Text<Size>,
    /// Longest content of a request. A longer one is answered 413.
    #[schemars(extend("default" = "1GiB"))]
    pub(super) content_bytes: Text<Size>,
    /// Longest wait for the head of a request.
    #[schemars(extend("default" = "10s"))]
    pub(super) head_timeout: Text<Positive>,
    /// Longest silence within the content of a request.
    ///
    /// Then the request is broken off at the origin and answered with 408. Until the response begins, the silences of one
    /// request may together last no longer than this, and a second more for each 500 bytes that came.
    #[schemars(extend("default" = "30s"))]
    pub(super) content_timeout: Text<Positive>,
    /// Longest time in which a client takes not one byte of what waits for it.
    ///
    /// Then its connection is closed, a tunnel too; one response over HTTP/2 that waits for its window is reset. Who is
    /// sent nothing, because the origin says nothing, is not hurried.
    #[schemars(extend("default" = "30s"))]
    pub(super) write_timeout: Text<Positive>,
    /// Longest idle time of a client's connection between requests.
    #[schemars(extend("default" = "60s"))]
    pub(super) idle_timeout: Text<Positive>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// Which events are logged. `TRUEHIT_LOG` is short for this key.
    #[schemars(extend("default" = "info"))]
    pub(super) level: Text<Filter>,
    /// Whether each request is logged.
    #[schemars(extend("default" = false))]
    pub(super) access: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    /// IP address and port for probes and metrics; port 0 lets the system choose.
    ///
    /// Probes of a kubelet come to the pod's address: give `0.0.0.0:9090` there. Then whoever reaches it may look, and
    /// who is not on this machine needs the token to drain.
    #[schemars(extend("default" = "127.0.0.1:9090"))]
    pub(super) address: Text<SocketAddr>,
    /// Names that the listener is asked by, beside addresses and `localhost`.
    ///
    /// `*.example.com` stands for every name below `example.com`. A request for another name may not drain, and on a loopback
    /// address not look either: it may be of a web page whose name was made to resolve to this machine.
    #[schemars(extend("default" = [], "examples" = [["truehit.example.com"]]))]
    pub(super) hosts: Vec<Text<Host>>,
    /// File with the bearer token that `/drain` wants from who is not on this machine, 16 to 1024 visible characters.
    ///
    /// Without it nobody else may drain. Ten wrong tokens a minute may come from one address.
    #[schemars(with = "PathBuf", example = "/etc/truehit/admin-token")]
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    /// How long to keep serving, reported as not ready, before connections are closed.
    #[schemars(extend("default" = "5s"))]
    pub(super) delay: Text<Duration>,
    /// How long running requests may then take.
    ///
    /// Both together should stay below the pod's `terminationGracePeriodSeconds`.
    #[schemars(extend("default" = "20s"))]
    pub(super) timeout: Text<Positive>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Runtime {
    /// Worker threads; left out, as many as the system grants (CPU quotas included).
    #[schemars(with = "Count<1, 1024>", example = 2)]
    pub(super) workers: Option<Count<1, 1024>>,
}
