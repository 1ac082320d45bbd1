//! `Settings`: what was written. Each key of the configuration is declared here, and only here.
//!
//! A field's name is the key. The first paragraph of its comment is the one line in `config/truehit.toml`, the rest is
//! added in `docs/config.md`; its type says what is allowed, and `default` or `example` what to show. The JSON Schema,
//! the names of the environment variables, the layer of defaults and both documents are generated from this file.
//!
//! Every key may be left out: the layer of defaults lies below what was written, so a field is an `Option` only where
//! absence means something of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::OriginPlace;
use super::key_rules::{CookieName, Parameters, QueryOrder};
use super::number::{Count, Share};
use super::text::Text;
use super::values::{Authority, FieldName, Filter, Host, Name, PathGlob, Positive, ServerName, Size, SizeOrAuto};
use super::words::{Check, CheckError, Credential, Forward, Keep, Parts, Proof, Protocol};
use crate::rules::key_rule::PathPattern;
use crate::rules::policy::{DigestEndpoint, Verify};

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
    #[schemars(extend("default" = "30s"))]
    pub(super) progress_timeout: Text<Positive>,
    /// How long an idle connection is kept.
    ///
    /// Shorter than the 5 s after which uvicorn and Node.js close theirs, so that truehit is first.
    #[schemars(extend("default" = "4s"))]
    pub(super) idle_timeout: Text<Positive>,
    /// How many idle connections each pool keeps; checks have one pool, fetches and passes the other.
    #[schemars(extend("default" = 64))]
    pub(super) idle_max: Count<0, 65_536>,
    /// How many connections each pool may have open.
    ///
    /// Requests above it wait for one, at most `connect_timeout`.
    #[schemars(extend("default" = 1024))]
    pub(super) connections_max: Count<1, 65_536>,
    /// TLS to the origin, for an `https` address.
    #[serde(default)]
    pub(super) tls: OriginTls,
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
    /// response is not recorded and goes through a piece at a time, and a query passes. `auto` takes a quarter of `memory`,
    /// and no less than the largest `object_max`.
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

/// The rules that `[defaults]` gives and a route may repeat.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    /// When a stored response is checked with the origin before it is served.
    ///
    /// `every-hit`: an exchange that began after the request arrived has confirmed it, so no answer is stale. A
    /// duration is a lease: the exchange may have begun that long before the request arrived. `when-stale`: RFC 9111,
    /// a fresh response is served unasked. `off`: nothing is stored, every request passes.
    #[schemars(extend("default" = "every-hit"))]
    pub(super) verify: Text<Verify>,
    /// How it is checked.
    #[schemars(extend("default" = "auto"))]
    pub(super) check: Check,
    /// What a check that could not be made means.
    #[schemars(extend("default" = "fail"))]
    pub(super) on_check_error: CheckError,
    /// How old the last confirmation may be under `on_check_error = "serve-stale"`.
    #[schemars(extend("default" = "60s"))]
    pub(super) stale_max: Text<Positive>,
    /// What is accepted as proof beyond strong entity tags and digests.
    ///
    /// An origin that changes twice within a second, or whose weak tags stay the same over changes, makes stale
    /// answers with these.
    #[schemars(extend("default" = [], "examples" = [["weak-etag", "last-modified"]]))]
    pub(super) trust: Vec<Proof>,
    /// What `Authorization` means for sharing; left out, `key`, and `rfc` under `verify = "when-stale"`.
    #[schemars(with = "Credential", example = &"key")]
    pub(super) authorization: Option<Credential>,
    /// What `Cookie` means for sharing; left out, `key`, and `pass` under `verify = "when-stale"`.
    #[schemars(with = "Credential", example = &"key")]
    pub(super) cookies: Option<Credential>,
    /// In which order the parameters of a query are in the cache key.
    ///
    /// `sorted` is for an origin to which the order of parameters with different names means nothing. A query in which
    /// it is not certain which names are the same (they have escapes, or there is a `;`) is taken exactly.
    #[schemars(extend("default" = "exact"))]
    pub(super) key_query: QueryOrder,
    /// The parameters of a query that are in the cache key: names, or their beginnings with a `*`.
    ///
    /// The others still go to the origin, so no response may depend on them. A parameter stays in the key where an
    /// origin could take it for an allowed one: its name in another case, with escapes or a dot, or with a `;` near it.
    #[schemars(extend("default" = ["*"], "examples" = [["id", "page"]]))]
    pub(super) key_query_allow: Vec<Text<Parameters>>,
    /// The parameters of a query that are not in the cache key: names, or their beginnings with a `*`.
    ///
    /// They still go to the origin, so no response may depend on them. Names are compared as they are sent. `@tracking`
    /// stands for these: `utm_*`, `gclid`, `gclsrc`, `dclid`, `gbraid`, `wbraid`, `gad_source`, `gad_campaignid`,
    /// `srsltid`, `_ga`, `_gl`, `fbclid`, `igsh`, `igshid`, `msclkid`, `yclid`, `ysclid`, `_openstat`, `ttclid`,
    /// `twclid`, `li_fat_id`, `epik`, `rdt_cid`, `ScCid`, `s_kwcid`, `mc_cid`, `mc_eid`, `mkt_tok`, `_hsenc`, `_hsmi`,
    /// `__hssc`, `__hstc`, `__hsfp`, `hsCtaTracking`, `_kx`, `vero_id`, `oly_anon_id`, `oly_enc_id` and `wickedid`.
    #[schemars(extend("default" = [], "examples" = [["@tracking", "session_*"]]))]
    pub(super) key_query_drop: Vec<Text<Parameters>>,
    /// Request fields that are in the cache key.
    #[schemars(extend("default" = [], "examples" = [["X-Tenant"]]))]
    pub(super) key_headers: Vec<Text<FieldName>>,
    /// Cookies that are in the cache key, where not all are: with `cookies = "rfc"` or `"checked"`.
    #[schemars(extend("default" = [], "examples" = [["session"]]))]
    pub(super) key_cookies: Vec<Text<CookieName>>,
    /// Names for segments of the path, which become parts of the cache key beside the path itself.
    ///
    /// They take nothing out of the key: they are labels of what is stored.
    #[schemars(with = "Text<PathPattern>", example = "/users/{id}/**")]
    pub(super) key_path: Option<Text<PathPattern>>,
    /// Whether a response may say by `No-Vary-Search` for which other queries it answers.
    ///
    /// As draft-ietf-httpbis-no-vary-search has it: `params=("utm_source")` names parameters that do not count,
    /// `params, except=("id")` the only ones that do, and `key-order` says that their order does not. A request whose own
    /// target is not stored is then answered by what is stored for an equivalent one, and checked, where a check is due,
    /// with its own target. At most 16 targets of a path are looked at.
    #[schemars(extend("default" = false))]
    pub(super) no_vary_search: bool,
    /// What becomes of a response with `Set-Cookie`.
    #[schemars(extend("default" = "pass"))]
    pub(super) set_cookie: Keep,
    /// What becomes of a response whose end is the end of the connection.
    ///
    /// HTTP/1.1 cannot tell such a response from one that broke off (RFC 9112, section 8).
    #[schemars(extend("default" = "pass"))]
    pub(super) close_delimited: Keep,
    /// Whether a response with `Last-Modified` and without explicit freshness counts as fresh for a tenth of its age.
    ///
    /// Heuristic freshness (RFC 9111, section 4.2.2), for the statuses that RFC 9110 calls heuristically cacheable. It
    /// means something under `verify = "when-stale"` alone.
    #[schemars(extend("default" = false))]
    pub(super) heuristic: bool,
    /// The longest that `heuristic` takes a response for fresh.
    #[schemars(extend("default" = "24h"))]
    pub(super) heuristic_max: Text<Positive>,
    /// Whether a fresh response in the one language that a request prefers to all others is served, whatever else its
    /// `Accept-Language` says.
    ///
    /// Of what is stored under `Vary: Accept-Language`, that is a response whose `Content-Language` is exactly the
    /// language of the highest weight. It is true for an origin that chooses by the weights alone (RFC 9110, section
    /// 12.5.4), and goes beyond RFC 9111, section 4.1. It means something under `verify = "when-stale"` alone.
    #[schemars(extend("default" = false))]
    pub(super) select_language: bool,
    /// What a part counts for that contradicts itself, or that nothing shows to be of what the origin has now.
    ///
    /// `lenient` risks wrong files, so it is not the default. An origin that answers `bytes=-5` with five bytes and a
    /// `Content-Range` of another number of bytes has made a mistake, and nobody can see which. Under `lenient` the
    /// field's first position is believed and its last position and complete length are not: if it is the first position
    /// that is wrong, later requests get bytes from another place, in answers that look right. And where a fresh part has
    /// no strong validator, the whole is asked for as the part's rest: an origin that sends the rest, which cannot be
    /// joined with the part, is asked twice, about once per route and `relearn_after`. It means something under
    /// `verify = "when-stale"` alone.
    #[schemars(extend("default" = "exact"))]
    pub(super) parts: Parts,
    /// Response fields that speak to truehit in place of `Cache-Control` and `Expires`, most important first.
    ///
    /// Targeted cache control (RFC 9213): the first field of the list that is present and a valid structured field
    /// decides. `CDN-Cache-Control` belongs in the list where truehit is the last cache before the origin of a CDN's
    /// customer.
    #[schemars(extend("default" = ["Truehit-Cache-Control"], "examples" = [["Truehit-Cache-Control", "CDN-Cache-Control"]]))]
    pub(super) targeted: Vec<Text<FieldName>>,
    /// Whether clients get the fields of `targeted`.
    #[schemars(extend("default" = "pass"))]
    pub(super) targeted_fields: Forward,
    /// Where the SHA-256 of the current representation can be asked for.
    ///
    /// `{path}` stands for the request's path and `{query}` for its query with its `?`, byte for byte. A template
    /// that starts with `/` is asked of the origin itself.
    #[schemars(with = "Text<DigestEndpoint>", example = "/digest{path}{query}")]
    pub(super) digest_endpoint: Option<Text<DigestEndpoint>>,
    /// The largest body that is stored.
    #[schemars(extend("default" = "8MiB"))]
    pub(super) object_max: Text<Size>,
    /// The longest content of a request that a cached response may answer.
    ///
    /// The content of a QUERY (RFC 10008), and with `graphql` that of a POST, says what is asked. It is read before
    /// anything is looked up, and held while the request waits. What is longer passes.
    #[schemars(extend("default" = "64KiB"))]
    pub(super) content_max: Text<Size>,
    /// Whether a POST that carries a GraphQL query is answered like a QUERY.
    ///
    /// Only for endpoints whose queries have no side effects: a query may then be answered from the store, sent once for
    /// many clients, and sent again. Mutations and subscriptions pass, and so does what is not surely a query. A 304 is
    /// not defined for a POST, so checks are full requests whose answers are compared (`check = "body"`).
    #[schemars(extend("default" = false))]
    pub(super) graphql: bool,
    /// Whether requests that wait for the same answer share one exchange with the origin.
    #[schemars(extend("default" = true))]
    pub(super) collapse: bool,
    /// How many exchanges may run at once for one variant.
    ///
    /// More of them shorten the wait and cost the origin as many more checks. They begin a share of the recent round trip
    /// apart, so there are never more of them than milliseconds in it.
    #[schemars(extend("default" = 2))]
    pub(super) overlap: Count<1, 16>,
    /// The share of the recent round trip that a batch of requests may wait for company.
    ///
    /// Clients that were answered together ask again together. The wait ends as soon as nearly as many are there again,
    /// is given up where they do not come back, and is left out where it would be shorter than a millisecond.
    #[schemars(extend("default" = 0.5))]
    pub(super) gather: Share,
    /// The longest such wait.
    #[schemars(extend("default" = "5ms"))]
    pub(super) gather_max: Text<Duration>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    /// The route's name: the label of its metrics and the `route` of its log lines. Each has its own.
    #[schemars(with = "Text<Name>", example = &"users", extend("x-required" = true))]
    pub(super) name: Option<Text<Name>>,
    /// Methods that it takes.
    #[schemars(with = "Vec<Text<http::Method>>", example = ["GET", "HEAD"])]
    pub(super) methods: Option<Vec<Text<http::Method>>>,
    /// Path globs that it takes: `*` within a segment, `**` across.
    ///
    /// They are held against the path as it was sent, byte for byte, without the query: nothing is decoded.
    #[schemars(with = "Vec<Text<PathGlob>>", example = ["/users/**"])]
    pub(super) paths: Option<Vec<Text<PathGlob>>>,
    /// Hosts that it takes, without port; `*.example.com` takes every name below `example.com`.
    #[schemars(with = "Vec<Text<Host>>", example = ["api.example.com"])]
    pub(super) hosts: Option<Vec<Text<Host>>>,
    /// In a file its keys stand beside the others. `layers::complete` moves them here and fills them up from
    /// `[defaults]`: serde's own flattening would lose the path of an error.
    #[schemars(flatten)]
    pub(super) rules: Rules,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Open connections of clients; more wait to be accepted.
    #[schemars(extend("default" = 10000))]
    pub(super) connections: Count<1, 1_000_000>,
    /// Requests that wait for exchanges with the origin, all together.
    #[schemars(extend("default" = 10000))]
    pub(super) waiters: Count<1, 1_000_000>,
    /// Longest wait of one request for its exchanges.
    #[schemars(extend("default" = "60s"))]
    pub(super) wait_max: Text<Positive>,
    /// Longest head of a request, from 8KiB to 1MiB.
    #[schemars(extend("default" = "32KiB"))]
    pub(super) head_bytes: Text<Size>,
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
    /// Probes of a kubelet come to the pod's address: give `0.0.0.0:9090` there.
    #[schemars(extend("default" = "127.0.0.1:9090"))]
    pub(super) address: Text<SocketAddr>,
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
