//! From [`Settings`] to [`Config`]: what must agree between keys, and what the words mean.
//!
//! Everything is looked at before the first problem ends the start, so a problem never hides another.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::error::Problem;
use super::layers::Layers;
use super::memory::Memory;
use super::settings::Settings;
use super::values::SizeOrAuto;
use super::words::Protocol;
use super::{
    Admin, Cache, Config, Drain, Limits, Listen, ListenTls, Log, Origin, OriginPlace, OriginProtocol, OriginTls, Token,
    fill_memory_for, routes, shown, size,
};
use crate::rules::breaker::BreakerSettings;

/// The bounds of `limits.head_bytes`: hyper's buffer has at least the lower one; above the upper one the number of
/// connections that may be open would turn into gigabytes.
const HEAD_BYTES: std::ops::RangeInclusive<u64> = (8 << 10)..=(1 << 20);

/// The bounds of `limits.target_bytes`: above the upper one the HTTP library refuses a target by itself.
const TARGET_BYTES: std::ops::RangeInclusive<u64> = (1 << 10)..=(64 << 10);

/// What was found wrong so far, and where the values came from.
pub(super) struct Findings<'a> {
    /// The merged layers.
    layers: &'a Layers,
    /// What was found, each with the path at which its value was written.
    found: Vec<(String, Problem)>,
}

impl<'a> Findings<'a> {
    /// Nothing is wrong yet.
    pub(super) const fn new(layers: &'a Layers) -> Self {
        Self { layers, found: Vec::new() }
    }

    /// Refuses the value of a key; `why` goes on after "found ...; ".
    pub(super) fn refuse(&mut self, key: &str, why: &str) {
        let (written, value) = self.layers.effective(key);
        let message = match value {
            Some(value) => format!("found {}; {why}", shown::found(value)),
            None => why.to_owned(),
        };
        // What is wrong in `[defaults]` is not repeated for each route that has it from there.
        if !self.found.iter().any(|(known, problem)| *known == written && problem.message == message) {
            let place = self.layers.place_to_change(key);
            self.found.push((written, Problem { place, key: key.to_owned(), message }));
        }
    }

    /// Refuses a file that cannot be read now: better at the start than at the first handshake.
    fn readable(&mut self, key: &str, file: Option<&Path>) {
        let Some(file) = file else { return };
        if let Err(error) = std::fs::File::open(file).and_then(|mut open| std::io::Read::read(&mut open, &mut [0])) {
            self.refuse(key, &format!("cannot be read ({error}); allowed: the path of a readable file"));
        }
    }
}

/// The configuration, or all that speaks against it.
pub(super) fn resolve(settings: Settings, memory: Memory, layers: &Layers) -> Result<Config, Vec<Problem>> {
    let mut findings = Findings::new(layers);
    let listen = listen(&settings, &mut findings);
    let admin = admin(&settings, &mut findings);
    if collide(listen.address, admin.address) {
        findings.refuse("admin.address", "allowed: another address or port than listen.address");
    }
    let origin = origin(&settings, &mut findings);
    if let Some(Origin { place: OriginPlace::Tcp { host, port, .. }, .. }) = &origin {
        let ip = if host == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { host.parse().ok() };
        // Behind an unspecified address only loopback is surely this machine: the others may be anywhere.
        let own = |ip: IpAddr| ip == listen.address.ip() || listen.address.ip().is_unspecified() && ip.is_loopback();
        if ip.is_some_and(own) && *port == listen.address.port() {
            findings.refuse("origin.url", "allowed: another address than listen.address, or truehit would ask itself");
        }
    }
    let budget = match settings.cache.memory.0 {
        SizeOrAuto::Auto => memory.budget(),
        SizeOrAuto::Bytes(bytes) => bytes,
    };
    let routes = routes::resolve(&settings, budget, &mut findings);
    let largest = routes.iter().map(|route| route.policy.object_max).max().unwrap_or_default();
    let needed = fill_memory_for(largest);
    let fill_memory = match settings.cache.fill_memory.0 {
        SizeOrAuto::Auto => (budget / 4).max(needed),
        SizeOrAuto::Bytes(bytes) => bytes,
    };
    if fill_memory < needed {
        let (needed, largest) = (size::render(needed), size::render(largest));
        let why = format!("allowed: at least {needed}, or the largest object_max, {largest}, could never be stored");
        findings.refuse("cache.fill_memory", &why);
    }
    let head_bytes = settings.limits.head_bytes.0.0;
    if !HEAD_BYTES.contains(&head_bytes) {
        findings.refuse("limits.head_bytes", "allowed: a size from 8KiB to 1MiB");
    }
    let target_bytes = settings.limits.target_bytes.0.0;
    if !TARGET_BYTES.contains(&target_bytes) {
        findings.refuse("limits.target_bytes", "allowed: a size from 1KiB to 64KiB");
    }
    let (Some(origin), true) = (origin, findings.found.is_empty()) else {
        return Err(findings.found.into_iter().map(|(_, problem)| problem).collect());
    };
    let (cache, limits) = (settings.cache, settings.limits);
    Ok(Config {
        listen,
        admin,
        origin,
        cache: Cache {
            memory: budget,
            fill_memory,
            variants_max: cache.variants_max.0,
            uncacheable_for: cache.uncacheable_for.0,
            relearn_after: cache.relearn_after.0.0,
        },
        routes,
        limits: Limits {
            connections: limits.connections.0,
            requests: limits.requests.0,
            waiters: limits.waiters.0,
            wait_max: limits.wait_max.0.0,
            head_bytes: usize::try_from(head_bytes).unwrap_or(usize::MAX),
            target_bytes: usize::try_from(target_bytes).unwrap_or(usize::MAX),
            content_bytes: limits.content_bytes.0.0,
            head_timeout: limits.head_timeout.0.0,
            content_timeout: limits.content_timeout.0.0,
            write_timeout: limits.write_timeout.0.0,
            idle_timeout: limits.idle_timeout.0.0,
        },
        log: Log { level: settings.log.level.0.0, access: settings.log.access },
        drain: Drain { delay: settings.drain.delay.0, timeout: settings.drain.timeout.0.0 },
        workers: settings.runtime.workers.map(|workers| workers.0),
    })
}

/// Whether two addresses would be the same socket; an unspecified one is every address of the machine.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && same_ip
}

/// `[admin]`.
fn admin(settings: &Settings, findings: &mut Findings<'_>) -> Admin {
    let written = &settings.admin;
    let token = written.token_file.as_ref().and_then(|file| match Token::read(file) {
        Ok(token) => Some((file.clone(), token)),
        Err(why) => {
            let why = format!("{why}; allowed: a file with 16 to 1024 visible characters of ASCII");
            findings.refuse("admin.token_file", &why);
            None
        }
    });
    let hosts = written.hosts.iter().map(|host| host.0.0.clone()).collect();
    Admin { address: written.address.0, hosts, token }
}

/// `[listen]`.
fn listen(settings: &Settings, findings: &mut Findings<'_>) -> Listen {
    let written = &settings.listen;
    let (certificate, private_key) = (&written.tls.certificate, &written.tls.private_key);
    findings.readable("listen.tls.certificate", certificate.as_deref());
    findings.readable("listen.tls.private_key", private_key.as_deref());
    let tls = pair(certificate, private_key, "listen.tls.certificate", "listen.tls.private_key", findings);
    Listen {
        address: written.address.0,
        tls: tls.map(|(certificate, private_key)| ListenTls { certificate, private_key }),
        trusted_proxies: written.trusted_proxies.iter().map(|network| network.0).collect(),
    }
}

/// `[origin]`, if there is an address.
fn origin(settings: &Settings, findings: &mut Findings<'_>) -> Option<Origin> {
    let written = &settings.origin;
    let tls = &written.tls;
    findings.readable("origin.tls.ca_file", tls.ca_file.as_deref());
    findings.readable("origin.tls.client_certificate", tls.client_certificate.as_deref());
    findings.readable("origin.tls.client_key", tls.client_key.as_deref());
    let names = ("origin.tls.client_certificate", "origin.tls.client_key");
    let client = pair(&tls.client_certificate, &tls.client_key, names.0, names.1, findings);
    let Some(place) = &written.url else {
        let allowed = <OriginPlace as super::text::Written>::ALLOWED;
        let why = format!("not set; allowed: {allowed}, in the file, as TRUEHIT_ORIGIN__URL or by --origin");
        findings.refuse("origin.url", &why);
        return None;
    };
    Some(Origin {
        place: place.0.clone(),
        protocol: match written.protocol {
            Protocol::Auto => OriginProtocol::Auto,
            Protocol::Http1 => OriginProtocol::Http1,
            Protocol::H2 => OriginProtocol::H2,
        },
        host: written.host.as_ref().map(|host| host.0.0.clone()),
        tls: OriginTls {
            ca_file: tls.ca_file.clone(),
            server_name: tls.server_name.as_ref().map(|name| name.0.0.clone()),
            client,
        },
        connect_timeout: written.connect_timeout.0.0,
        response_timeout: written.response_timeout.0.0,
        progress_timeout: written.progress_timeout.0.0,
        total_timeout: written.total_timeout.0.0,
        idle_timeout: written.idle_timeout.0.0,
        idle_max: written.idle_max.0,
        age_max: written.age_max.0.0,
        connections_max: written.connections_max.0,
        queue_max: written.queue_max.0,
        breaker: BreakerSettings {
            failures: u32::try_from(written.breaker.failures.0).unwrap_or(u32::MAX),
            open_for: written.breaker.open_for.0.0,
            open_max: written.breaker.open_max.0.0,
        },
    })
}

/// A certificate and its key: both or none.
fn pair(
    a: &Option<PathBuf>,
    b: &Option<PathBuf>,
    a_key: &str,
    b_key: &str,
    findings: &mut Findings<'_>,
) -> Option<(PathBuf, PathBuf)> {
    match (a, b) {
        (Some(a), Some(b)) => return Some((a.clone(), b.clone())),
        (Some(_), None) => findings.refuse(a_key, &format!("allowed: only together with {b_key}")),
        (None, Some(_)) => findings.refuse(b_key, &format!("allowed: only together with {a_key}")),
        (None, None) => {}
    }
    None
}
