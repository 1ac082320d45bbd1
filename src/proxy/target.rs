//! `Target`: whom a request is addressed to, and what it looks like when it leaves for the origin.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};

use super::Proxy;
use crate::origin::Origin;
use crate::rules::forwarding::Hop;
use crate::rules::key::CacheKey;
use crate::server::Peer;

/// A request's target URI, but for the path and query.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// `http` or `https`, as the client connected.
    pub(super) scheme: &'static str,
    /// The authority that the request names: `:authority`, an absolute target's, or `Host` (RFC 9110 §7.1).
    authority: HeaderValue,
}

impl Target {
    /// Reads a request's target; one that names nobody is for `own`, the origin. In a target in absolute form the authority
    /// there wins (RFC 9112 §3.2.2).
    pub(super) fn of<C>(request: &Request<C>, peer: &Peer, own: &HeaderValue) -> Self {
        let authority = match request.uri().authority() {
            // An authority is made of characters that a field value may have.
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => request.headers().get(header::HOST).cloned(),
        };
        let authority = authority.unwrap_or_else(|| own.clone());
        Self { scheme: if peer.tls { "https" } else { "http" }, authority }
    }

    /// The authority.
    pub(super) fn authority(&self) -> &[u8] {
        self.authority.as_bytes()
    }

    /// The authority as text.
    pub(super) fn host(&self) -> Option<&str> {
        std::str::from_utf8(self.authority()).ok()
    }
}

impl<O: Origin> Proxy<O> {
    /// Adds to `marks` what tells whatever is stored, or being fetched, for a target URI (RFC 9111 §4.4).
    ///
    /// It is stored under what the route of a GET makes of the target, which need not be the route of the request that
    /// invalidates. What was stored before that route's rules changed has the exact target, or is found no more.
    pub(super) fn mark_target(&self, target: &Target, path_and_query: &PathAndQuery, marks: &mut Vec<u64>) {
        let policy = self.routes.select(&Method::GET, target.authority(), path_and_query.path());
        let exact = path_and_query.as_str();
        let stored = policy.key.target(path_and_query);
        let targets = std::iter::once(&*stored).chain((*stored != *exact).then_some(exact));
        for path_and_query in targets {
            let key = CacheKey::new(target.scheme, target.authority(), path_and_query, &[]);
            marks.push(key.target_hash());
            // A response may have answered for this target without being stored for it.
            marks.extend(policy.no_vary_search.then(|| key.path_hash()));
        }
    }

    /// What this hop adds to the fields of a request that came in `received`, and takes from them.
    pub(super) fn hop(&self, received: Version, target: &Target, peer: &Peer) -> Hop {
        let address = peer.address.ip().to_canonical();
        Hop {
            peer: address,
            tls: peer.tls,
            trusted: self.config.listen.trusted_proxies.iter().any(|net| net.contains(&address)),
            authority: target.authority.clone(),
            received,
            marks: Arc::clone(&self.marks),
        }
    }
}

/// The target in origin form, its path and query byte for byte (`*` for a server-wide OPTIONS).
pub(super) fn origin_form(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(target) => Uri::from(target.clone()),
        None => Uri::from_static("/"),
    }
}
