//! `Ask`: a request that a cache may answer, named.
//!
//! It says under which key the answer lives, whose credentials it carries and what its own conditions are. What is not
//! such a request passes, and the reason says why.

use http::header::{self, HeaderName};
use http::{HeaderMap, Method, request};

use super::directives::RequestDirectives;
use super::key::{CacheKey, ExchangeKey};
use super::moment::Moment;
use super::outcome::PassReason;
use super::policy::{Credentials, Policy, Verify};
use super::preconditions::Preconditions;
use super::range::{self, Asked, Extent, RangeRequest};
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
    /// The bytes that it asks for, if not all.
    pub range: Option<RangeRequest>,
    /// Whether it asks for `Repr-Digest` (RFC 9530 §4).
    pub wants_digest: bool,
    /// Whether it carries `Authorization` that is not part of the key.
    pub authorized: bool,
    /// Path and query as received.
    pub target: http::uri::PathAndQuery,
    /// The request's fields as they go to the origin: hop-by-hop fields and the client's own conditions are gone.
    /// `Range` and `If-Range` are there if [`range`](Self::range) is; they go out by [`Extent::Range`] alone.
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
    let range = match range::asked(&request.method, own) {
        Asked::Whole => None,
        Asked::Bytes(range) => Some(range),
        Asked::Foreign => return Err(PassReason::Range),
    };
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
        fields: outgoing(own, range.is_some()),
        range,
    })
}

/// The request's fields without hop-by-hop ones and without its own conditions, which truehit answers itself.
fn outgoing(own: &HeaderMap, ranged: bool) -> HeaderMap {
    let mut outgoing = own.clone();
    fields::remove_hop_by_hop(&mut outgoing);
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::EXPECT, header::CONTENT_LENGTH] {
        outgoing.remove(name);
    }
    if !ranged {
        range::remove(&mut outgoing);
    }
    outgoing
}

impl Ask {
    /// The key under which requests may share an exchange of this extent with this one, given what `Vary` is known to
    /// name. What goes out with a `Range` is shared by requests for the very same.
    #[must_use]
    pub fn exchange_key(&self, vary: &[Vary], extent: Extent) -> ExchangeKey {
        let ranged: &[HeaderName] = match extent {
            Extent::Whole => &[],
            Extent::Range => &[header::RANGE, header::IF_RANGE],
        };
        let named: Vec<_> = vary
            .iter()
            .filter_map(|vary| match vary {
                Vary::Names(names) => Some(names.iter().cloned()),
                Vary::Star => None,
            })
            .flatten()
            .chain(ranged.iter().cloned())
            .collect();
        ExchangeKey::new(&self.key, &self.fields, &named)
    }

    /// Whether the request demands an answer that was validated for it (RFC 9111 §5.2.1.4).
    #[must_use]
    pub const fn demands_validation(&self) -> bool {
        self.directives.no_cache
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::policy::Verify;
    use crate::rules::testing::{Req, get, method, policy, policy_with, verify};

    #[test]
    fn which_requests_a_cache_may_answer() {
        fn check(sentence: &str, request: Req, policy: &Policy, expected: Result<(), PassReason>) {
            assert_eq!(request.read(policy).map(|_| ()), expected, "{sentence}");
        }
        let plain = policy();
        let pass =
            policy_with(|policy| (policy.authorization, policy.cookies) = (Credentials::Pass, Credentials::Pass));
        check("a GET", get("/a"), &plain, Ok(()));
        check("a HEAD (RFC 9110 §9.3.2)", method("HEAD", "/a"), &plain, Ok(()));
        check("nothing where verify is off", get("/a"), &verify(Verify::Off), Err(PassReason::VerifyOff));
        check("no POST (RFC 9110 §9.3.3)", method("POST", "/a"), &plain, Err(PassReason::Method));
        check("no get: methods have a case (RFC 9110 §9.1)", method("get", "/a"), &plain, Err(PassReason::Method));
        let upgrade = get("/a").with("connection", "upgrade").with("upgrade", "websocket");
        check("no change of protocol (RFC 9110 §7.8)", upgrade, &plain, Err(PassReason::Upgrade));
        check("no content (RFC 9110 §9.3.1)", get("/a").with_content(), &plain, Err(PassReason::Content));
        check("a range of bytes (RFC 9110 §14.2)", get("/a").with("range", "bytes=0-1"), &plain, Ok(()));
        let foreign = get("/a").with("range", "items=0-1");
        check("no other range", foreign, &plain, Err(PassReason::Range));
        for (name, value) in [("if-match", "\"1\""), ("if-unmodified-since", "Thu, 01 Jan 2026 00:00:00 GMT")] {
            let conditional = get("/a").with(name, value);
            check(
                "no condition for origins only (RFC 9111 §4.3.2)",
                conditional,
                &plain,
                Err(PassReason::Precondition),
            );
        }
        check("conditions for caches", get("/a").with("if-none-match", "\"1\""), &plain, Ok(()));
        let no_store = get("/a").with("cache-control", "no-store");
        check("no no-store (RFC 9111 §5.2.1.5)", no_store, &plain, Err(PassReason::NoStore));
        let long = get(&format!("/{}", "a".repeat(TARGET_MAX)));
        check("no target over 8 KiB", long, &plain, Err(PassReason::Target));
        check("no authority alone", method("GET", "api.test:80"), &plain, Err(PassReason::Target));
        let authorized = get("/a").with("authorization", "Basic YQ==");
        check("credentials under key", authorized.clone(), &plain, Ok(()));
        check("no credentials under pass", authorized, &pass, Err(PassReason::Authorization));
        check("no cookies under pass", get("/a").with("cookie", "a=1"), &pass, Err(PassReason::Cookie));
    }

    #[test]
    fn whose_answer_it_is() {
        fn check(sentence: &str, how: Credentials, name: &str, (shared, authorized): (bool, bool)) {
            let policy = policy_with(|policy| (policy.authorization, policy.cookies) = (how, how));
            let (alice, bob) = (get("/a").with(name, "alice").ask(&policy), get("/a").with(name, "bob").ask(&policy));
            assert_eq!((alice.key == bob.key, alice.authorized), (shared, authorized), "{sentence}");
            assert_eq!(alice.fields[name], "alice", "{sentence}, and a check carries the request's own");
            assert_ne!(
                alice.exchange_key(&[], Extent::Whole),
                bob.exchange_key(&[], Extent::Whole),
                "{sentence}, and users share no exchange"
            );
        }
        check("under key a credential is part of the key", Credentials::Key, "authorization", (false, false));
        check("and so is a cookie", Credentials::Key, "cookie", (false, false));
        check("under checked there is one body for all", Credentials::Checked, "authorization", (true, false));
        check("whatever their cookies", Credentials::Checked, "cookie", (true, false));
        check("under rfc §3.5 will decide", Credentials::Rfc, "authorization", (true, true));
        check("and a cookie means nothing", Credentials::Rfc, "cookie", (true, false));
    }

    #[test]
    fn a_check_goes_out_without_the_clients_conditions_and_connection_fields() {
        let request = get("/a")
            .with("if-none-match", "\"1\"")
            .with("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT")
            .with("connection", "x-hop")
            .with("x-hop", "1")
            .with("accept", "text/plain")
            .ask(&policy());
        assert_eq!(request.fields.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn a_range_is_for_exchanges_that_ask_for_it() {
        let ask = |fields: &[(&str, &str)]| {
            fields.iter().fold(get("/a"), |request, (name, value)| request.with(name, value)).ask(&policy())
        };
        let (plain, part) = (ask(&[]), ask(&[("range", "bytes=0-1")]));
        let on_condition = ask(&[("range", "bytes=0-1"), ("if-range", "\"1\"")]);
        let key = |ask: &Ask, extent| ask.exchange_key(&[], extent);
        assert_eq!(key(&plain, Extent::Whole), key(&part, Extent::Whole), "what asks for the whole is shared");
        assert_ne!(key(&plain, Extent::Whole), key(&part, Extent::Range));
        assert_ne!(key(&on_condition, Extent::Range), key(&part, Extent::Range), "other answers are possible");
        assert_ne!(key(&ask(&[("range", "bytes=0-2")]), Extent::Range), key(&part, Extent::Range));
        for ignored in [&[("range", "bytes=1-0")][..], &[("if-range", "\"1\"")]] {
            assert!(ask(ignored).range.is_none() && ask(ignored).fields.is_empty(), "RFC 9110 §14.2, §13.1.5");
        }
    }

    #[test]
    fn requests_that_could_select_differently_share_no_exchange() {
        fn check(sentence: &str, name: &str, vary: Option<&str>, shared: bool) {
            let vary: Vec<_> =
                vary.map(|vary| Vary::of(&crate::rules::testing::head(&[("vary", vary)]))).into_iter().collect();
            let key = |value| get("/a").with(name, value).ask(&policy()).exchange_key(&vary, Extent::Whole);
            assert_eq!(key("1") == key("2"), shared, "{sentence}");
        }
        for name in ["accept", "accept-language", "accept-encoding", "cookie", "authorization"] {
            check("fields by which origins decide without saying so", name, None, false);
        }
        check("a field of no meaning is let be", "x-a", None, true);
        check("until Vary has named it (RFC 9111 §4.1)", "x-a", Some("X-A"), false);
        check("an asterisk names nothing", "x-a", Some("*"), true);
    }
}
