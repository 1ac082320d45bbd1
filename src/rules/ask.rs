//! `Ask`: a request that a cache may answer, named.
//!
//! It says under which key the answer lives, whose credentials it carries and what its own conditions are. What is not
//! such a request passes, and the reason says why.

use http::{HeaderMap, Method, header, request};

use super::directives::RequestDirectives;
use super::key::{CacheKey, ExchangeKey};
use super::moment::Moment;
use super::outcome::PassReason;
use super::policy::{Credentials, Policy, Verify};
use super::preconditions::Preconditions;
use super::vary::Vary;
use super::{digest, fields};

/// The longest target, in bytes, that may become part of a key.
pub const TARGET_MAX: usize = 8 * 1024;

/// A GET or HEAD that may be answered from the store.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whether only the head is wanted.
    pub head_only: bool,
    /// Under which key answers are stored.
    pub key: CacheKey,
    /// When the request's head had been read.
    pub arrived: Moment,
    /// The request's `Cache-Control`.
    pub directives: RequestDirectives,
    /// The request's conditions on what it already has.
    pub preconditions: Preconditions,
    /// Whether it asks for `Repr-Digest` (RFC 9530 §4).
    pub wants_digest: bool,
    /// Whether it carries `Authorization` that is not part of the key.
    pub authorized: bool,
    /// Path and query as received.
    pub target: http::uri::PathAndQuery,
    /// The request's fields as they go to the origin: hop-by-hop fields and the client's own conditions are gone.
    pub fields: HeaderMap,
}

/// Reads a request. `content` says whether it has content; `scheme` and `authority` are those of its target URI.
///
/// # Errors
/// Why the request is not one that a cache may answer.
pub fn read(
    request: &request::Parts,
    content: bool,
    scheme: &str,
    authority: &[u8],
    policy: &Policy,
    arrived: Moment,
) -> Result<Ask, PassReason> {
    if policy.verify == Verify::Off {
        return Err(PassReason::VerifyOff);
    }
    let head_only = request.method == Method::HEAD;
    if !head_only && request.method != Method::GET {
        return Err(PassReason::Method);
    }
    let own = &request.headers;
    if fields::is_upgrade(own) {
        return Err(PassReason::Upgrade);
    }
    // The meaning of content in a GET is not defined (RFC 9110 §9.3.1), and it is not in the key.
    if content {
        return Err(PassReason::Content);
    }
    if own.contains_key(header::RANGE) {
        return Err(PassReason::Range);
    }
    let preconditions = Preconditions::of(own);
    if preconditions.only_origin() {
        return Err(PassReason::Precondition);
    }
    let directives = RequestDirectives::parse(own);
    if directives.no_store {
        return Err(PassReason::NoStore);
    }
    let Some(target) = request.uri.path_and_query().filter(|target| target.as_str().len() <= TARGET_MAX) else {
        return Err(PassReason::Target);
    };
    let mut extra: Vec<(u8, &[u8])> = Vec::new();
    let mut authorized = false;
    for (name, how, part, refusal) in [
        (header::AUTHORIZATION, policy.authorization, 1, PassReason::Authorization),
        (header::COOKIE, policy.cookies, 2, PassReason::Cookie),
    ] {
        if !own.contains_key(&name) {
            continue;
        }
        match how {
            Credentials::Key => extra.extend(own.get_all(&name).iter().map(|value| (part, value.as_bytes()))),
            Credentials::Pass => return Err(refusal),
            Credentials::Rfc => authorized |= name == header::AUTHORIZATION,
            Credentials::Checked => {}
        }
    }
    Ok(Ask {
        head_only,
        key: CacheKey::new(scheme, authority, target.as_str(), &extra),
        arrived,
        directives,
        preconditions,
        wants_digest: digest::wants_repr_digest(own),
        authorized,
        target: target.clone(),
        fields: outgoing(own),
    })
}

/// The request's fields without hop-by-hop ones and without its own conditions, which truehit answers itself.
fn outgoing(own: &HeaderMap) -> HeaderMap {
    let mut outgoing = own.clone();
    fields::remove_hop_by_hop(&mut outgoing);
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::EXPECT, header::CONTENT_LENGTH] {
        outgoing.remove(name);
    }
    outgoing
}

impl Ask {
    /// The key under which requests may share an exchange with this one, given what `Vary` is known to name.
    #[must_use]
    pub fn exchange_key(&self, vary: &[Vary]) -> ExchangeKey {
        let named: Vec<_> = vary
            .iter()
            .filter_map(|vary| match vary {
                Vary::Names(names) => Some(names.iter().cloned()),
                Vary::Star => None,
            })
            .flatten()
            .collect();
        ExchangeKey::new(&self.key, &self.fields, &named)
    }

    /// Whether the request demands an answer that was validated for it (RFC 9111 §5.2.1.4).
    #[must_use]
    pub const fn demands_validation(&self) -> bool {
        self.directives.no_cache
    }
}
