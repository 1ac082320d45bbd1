//! `KeyRule`: what a route makes of a request in its cache key, beyond the exact target.
//!
//! Less of the query ([`QueryRule`]), and more than the target: fields, cookies, and labels for segments of the path.
//! What a rule leaves out of the key still goes to the origin, byte for byte: the request that fills an entry asks with
//! its own target. So a parameter may only be left out where no response depends on it.
//!
//! The target in the key is a target again, and a fixed point: what is invalidated for it reaches all that is stored
//! under it (RFC 9111 §4.4).

mod path;
mod query;

use std::borrow::Cow;

use http::header::{self, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};

use super::key::{CacheKey, put, put_lines};
use super::list::trim;

pub use self::path::PathPattern;
pub use self::query::{Glob, Keep, PARAMETERS_MAX, QueryRule, TRACKING};

/// What of a request is in its key. The default is the exact target, and costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRule {
    /// What of the query (`key_query`, `key_query_allow`, `key_query_drop`).
    pub query: QueryRule,
    /// Which fields, each with all its lines (`key_headers`).
    pub headers: Box<[HeaderName]>,
    /// Which cookies (`key_cookies`).
    pub cookies: Box<[Box<str>]>,
    /// Which segments of the path have a name (`key_path`).
    pub path: Option<PathPattern>,
}

impl KeyRule {
    /// Path and query as they are in the key.
    #[must_use]
    pub fn target<'a>(&self, target: &'a PathAndQuery) -> Cow<'a, str> {
        self.query.apply(target.as_str())
    }

    /// Whether fields are in the key.
    #[must_use]
    pub const fn reads_fields(&self) -> bool {
        !self.headers.is_empty() || !self.cookies.is_empty()
    }

    /// What the key has beside the target, each part under its tag. `fields` are those that the origin will see: a field
    /// that goes no further must not be believed here.
    ///
    /// A field or cookie that is absent is a part too, so it differs from an empty one.
    #[must_use]
    pub fn parts(&self, path: &str, fields: &HeaderMap) -> Vec<(u8, Vec<u8>)> {
        let mut parts = Vec::new();
        for name in &self.headers {
            let mut part = Vec::new();
            put(&mut part, name.as_str().as_bytes());
            put_lines(&mut part, fields, name);
            parts.push((CacheKey::FIELD, part));
        }
        for name in &self.cookies {
            let mut part = Vec::new();
            put(&mut part, name.as_bytes());
            crumbs(fields, name).for_each(|crumb| put(&mut part, crumb));
            parts.push((CacheKey::CRUMB, part));
        }
        for (name, value) in self.path.iter().flat_map(|pattern| pattern.captures(path)) {
            let mut part = Vec::new();
            put(&mut part, name.as_bytes());
            put(&mut part, value.as_bytes());
            parts.push((CacheKey::SEGMENT, part));
        }
        parts
    }
}

/// Every pair of `Cookie` with this name, as it was sent: `name=value` (RFC 6265 §4.2.1).
///
/// The whole pair counts, and not its value, because recipients differ in how they read quotes, escapes and a pair
/// without `=`.
fn crumbs<'a>(fields: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).map(trim).filter(move |pair| {
        let own = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        trim(own) == name.as_bytes()
    })
}

#[cfg(test)]
mod tests;
