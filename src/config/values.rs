//! The kinds of values that are written as text, and how each is read: `"250ms"`, `"64MiB"`, `"every-hit"`.
//!
//! Only what a value says by itself is judged here; what must agree with other keys is `resolve`'s.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::text::Written;
use super::{OriginPlace, duration, size};
use crate::rules::policy::{DigestEndpoint, Verify};

/// What a duration looks like, for editors.
const DURATION: &str = r"^[0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns)$";

impl Written for Duration {
    const ALLOWED: &'static str = r#"a duration as "250ms", "1.5s" or "5m""#;
    const PATTERN: &'static str = DURATION;

    fn read(text: &str) -> Option<Self> {
        duration::parse(text)
    }
}

/// A duration for which zero makes no sense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Positive(pub(super) Duration);

impl Written for Positive {
    const ALLOWED: &'static str = r#"a duration above zero, as "250ms", "1.5s" or "5m""#;
    const PATTERN: &'static str = DURATION;

    fn read(text: &str) -> Option<Self> {
        duration::parse(text).filter(|duration| !duration.is_zero()).map(Self)
    }
}

/// A number of bytes above zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(pub(super) u64);

/// What a size looks like, for editors.
const SIZE: &str = r"^[0-9]+(\.[0-9]+)?(B|kB|KiB|MB|MiB|GB|GiB|TB|TiB)?$";

impl Written for Size {
    const ALLOWED: &'static str = r#"a size above zero, as "64KiB", "8MiB" or "1GiB""#;
    const PATTERN: &'static str = SIZE;
    const INTEGER: bool = true;

    fn read(text: &str) -> Option<Self> {
        size::parse(text).filter(|bytes| *bytes > 0).map(Self)
    }
}

/// A number of bytes, or `auto`.
#[derive(Clone, Copy, Debug)]
pub(super) enum SizeOrAuto {
    /// By the system.
    Auto,
    /// So many bytes.
    Bytes(u64),
}

impl Written for SizeOrAuto {
    const ALLOWED: &'static str = r#""auto" or a size above zero, as "64MiB" or "1GiB""#;
    const WORDS: &'static [&'static str] = &["auto"];
    const PATTERN: &'static str = SIZE;
    const INTEGER: bool = true;

    fn read(text: &str) -> Option<Self> {
        if text == "auto" { Some(Self::Auto) } else { Size::read(text).map(|size| Self::Bytes(size.0)) }
    }
}

impl Written for Verify {
    const ALLOWED: &'static str = r#""every-hit", "when-stale", "off" or a duration above zero, as "250ms" (a lease)"#;
    const WORDS: &'static [&'static str] = &["every-hit", "when-stale", "off"];
    const PATTERN: &'static str = DURATION;

    fn read(text: &str) -> Option<Self> {
        match text {
            "every-hit" => Some(Self::EveryHit),
            "when-stale" => Some(Self::WhenStale),
            "off" => Some(Self::Off),
            _ => Positive::read(text).map(|lease| Self::Lease(lease.0)),
        }
    }
}

impl Written for SocketAddr {
    const ALLOWED: &'static str = r#"an IP address and a port, as "127.0.0.1:8080" or "[::]:8080""#;
    const PATTERN: &'static str = r"^.+:[0-9]{1,5}$";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Written for ipnet::IpNet {
    const ALLOWED: &'static str = r#"an IP address or network, as "10.0.0.0/8" or "::1""#;
    const PATTERN: &'static str = r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(Self::from))
    }
}

impl Written for OriginPlace {
    const ALLOWED: &'static str =
        r#""http://host:port", "https://host:port" (without path, query or credentials) or "unix:/path""#;
    const PATTERN: &'static str = r"^(https?://[^/?#@]+/?|unix:/.+)$";

    fn read(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (path.len() > 1 && path.starts_with('/')).then(|| Self::Unix(path.into()));
        }
        let uri: http::Uri = text.parse().ok()?;
        let (tls, usual) = match uri.scheme_str()? {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // `http` reads a port that is no number as part of nothing; so what follows the host decides.
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" => usual,
            rest => rest.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
        };
        (!host.is_empty()).then(|| Self::Tcp { tls, host: host.to_owned(), port })
    }
}

impl Written for DigestEndpoint {
    const ALLOWED: &'static str =
        r#"a template that starts with "/", "http://" or "https://", with the placeholders {path} and {query}"#;
    const PATTERN: &'static str = r"^(/|https?://[^/])([^{}]|\{path\}|\{query\})*$";

    fn read(text: &str) -> Option<Self> {
        let filled = text.replace("{path}", "/x").replace("{query}", "?x");
        if filled.contains(['{', '}']) || !filled.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        if text.starts_with('/') {
            return Some(Self::OnOrigin(text.into()));
        }
        let uri: http::Uri = filled.parse().ok()?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        (known && !uri.authority()?.as_str().contains(['@', '{'])).then(|| Self::Elsewhere(text.into()))
    }
}

impl Written for http::Method {
    const ALLOWED: &'static str = r#"a method in capitals, as "GET" or "HEAD""#;
    const PATTERN: &'static str = "^[A-Z][A-Z0-9_-]*$";

    fn read(text: &str) -> Option<Self> {
        // Methods are case-sensitive (RFC 9110 §9.1), and no registered one has a small letter: "get" would match nothing.
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        text.parse().ok().filter(|_| text.bytes().all(plain))
    }
}

/// A field's name.
#[derive(Clone, Debug)]
pub(super) struct FieldName(pub(super) http::HeaderName);

impl Written for FieldName {
    const ALLOWED: &'static str = r#"a field name, as "CDN-Cache-Control""#;
    const PATTERN: &'static str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

    fn read(text: &str) -> Option<Self> {
        http::HeaderName::from_bytes(text.as_bytes()).ok().map(Self)
    }
}

/// A route's name: it becomes a metric label.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) String);

impl Written for Name {
    const ALLOWED: &'static str = r#"1 to 64 letters, digits, "-", "_" or ".", other than "default""#;
    const PATTERN: &'static str = "^[A-Za-z0-9_.-]{1,64}$";

    fn read(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let good = (1..=64).contains(&text.len()) && text.bytes().all(plain) && text != "default";
        good.then(|| Self(text.to_owned()))
    }
}

/// A host name that a route takes.
#[derive(Clone, Debug)]
pub(super) struct Host(pub(super) String);

impl Written for Host {
    const ALLOWED: &'static str = r#"a host name without port, as "api.example.com" or "*.example.com""#;
    const PATTERN: &'static str = r"^(\*\.)?[^*/:@?#\s]+$|^\[[0-9a-fA-F:.]+\]$";

    fn read(text: &str) -> Option<Self> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let authority: http::uri::Authority = name.parse().ok()?;
        (authority.host() == name && !name.contains('*')).then(|| Self(text.trim_end_matches('.').to_ascii_lowercase()))
    }
}

/// A path glob that a route takes.
#[derive(Clone, Debug)]
pub(super) struct PathGlob(pub(super) globset::Glob);

impl Written for PathGlob {
    const ALLOWED: &'static str = r#"a glob that starts with "/" or "*", as "/users/*" or "/static/**""#;
    const PATTERN: &'static str = "^[/*]";

    fn read(text: &str) -> Option<Self> {
        let glob = globset::GlobBuilder::new(text).literal_separator(true).build().ok()?;
        text.starts_with(['/', '*']).then_some(Self(glob))
    }
}

/// What is sent as `Host` to the origin.
#[derive(Clone, Debug)]
pub(super) struct Authority(pub(super) String);

impl Written for Authority {
    const ALLOWED: &'static str = r#"a host name, with a port if it needs one, as "api.example.com""#;
    const PATTERN: &'static str = r"^[^/@?#\s]+$";

    fn read(text: &str) -> Option<Self> {
        let authority: http::uri::Authority = text.parse().ok()?;
        (!authority.as_str().contains('@')).then(|| Self(text.to_owned()))
    }
}

/// A name that a certificate can be checked against.
#[derive(Clone, Debug)]
pub(super) struct ServerName(pub(super) String);

impl Written for ServerName {
    const ALLOWED: &'static str = r#"a host name or an IP address, as "api.internal""#;
    const PATTERN: &'static str = r"^[^/@?#\s]+$";

    fn read(text: &str) -> Option<Self> {
        rustls::pki_types::ServerName::try_from(text).ok().map(|_| Self(text.to_owned()))
    }
}

/// A log filter.
#[derive(Clone, Debug)]
pub(super) struct Filter(pub(super) String);

impl Written for Filter {
    const ALLOWED: &'static str =
        r#""error", "warn", "info", "debug", "trace", "off", or a filter as "info,truehit::origin=debug""#;
    const WORDS: &'static [&'static str] = &["error", "warn", "info", "debug", "trace", "off"];
    const PATTERN: &'static str = "^.+[=,].+$";

    fn read(text: &str) -> Option<Self> {
        // `EnvFilter` takes any single word as the name of a target, and would then log nothing else.
        let shaped = Self::WORDS.contains(&text) || text.contains(['=', ',']);
        let known = tracing_subscriber::EnvFilter::builder().parse(text).is_ok();
        (shaped && known).then(|| Self(text.to_owned()))
    }
}
