//! `Ask`: a request that a cache may answer, named.
//!
//! It says under which key the answer lives, whose credentials it carries and what its own conditions are. What is not
//! such a request passes, and the reason says why.

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, request};

use super::directives::RequestDirectives;
use super::integrity::Wants;
use super::key::{CacheKey, ExchangeKey};
use super::moment::Moment;
use super::no_vary_search::Variance;
use super::outcome::PassReason;
use super::policy::{Credentials, Policy, Verify};
use super::preconditions::Preconditions;
use super::query::{Carried, Query};
use super::range::{self, Asked, Extent, RangeRequest};
use super::request_fields::{RequestFields, nominates_none, stripped};
use super::stored::StoredHead;
use super::vary::Vary;
use super::wellformed::is_alias;
use super::{fields, forwarding};
use crate::faults::{Fault, seeded};

/// The longest target, in bytes, that may become part of a key.
pub const TARGET_MAX: usize = 8 * 1024;

/// A GET, HEAD or query that may be answered from the store.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whether only the head is wanted.
    pub head_only: bool,
    /// The content that says what is asked, where it is not the target alone that does.
    pub query: Option<Box<Query>>,
    /// Under which key answers are stored.
    pub key: CacheKey,
    /// The same key without the query, where responses may answer for other queries (`no_vary_search`).
    pub path: Option<CacheKey>,
    /// The key of an equivalent target whose stored response may answer in place of one under `key`.
    pub twin: Option<CacheKey>,
    /// When the request's head had been read.
    pub arrived: Moment,
    /// The request's `Cache-Control`.
    pub directives: RequestDirectives,
    /// The request's conditions on what it already has.
    pub preconditions: Preconditions,
    /// The bytes that it asks for, if not all.
    pub range: Option<RangeRequest>,
    /// The digests that it asks for (RFC 9530 §4).
    pub wants: Wants,
    /// Whether it carries `Authorization` that is not part of the key.
    pub authorized: bool,
    /// Path and query as received.
    pub target: http::uri::PathAndQuery,
    /// The request's fields. `Range` and `If-Range` go out by [`Extent::Range`] alone.
    pub fields: RequestFields,
}

/// Reads a request, and takes its fields. `carried` says what it has of content; `scheme` and `authority` are those of
/// its target URI.
///
/// # Errors
/// Why the request is not one that a cache may answer. It is then as it was.
pub fn read(
    request: &mut request::Parts,
    carried: Carried,
    scheme: &str,
    authority: &[u8],
    policy: &Policy,
    arrived: Moment,
) -> Result<Ask, PassReason> {
    if policy.verify == Verify::Off {
        return Err(PassReason::VerifyOff);
    }
    let head_only = request.method == Method::HEAD;
    let (query, content) = match carried {
        Carried::Query(query) => (Some(Box::new(query)), false),
        Carried::Content => (None, true),
        Carried::Nothing => (None, false),
    };
    if query.is_none() && !head_only && request.method != Method::GET {
        // A QUERY is one by its content, which has a type.
        return Err(if request.method == Method::QUERY { PassReason::ContentType } else { PassReason::Method });
    }
    let own = &request.headers;
    // One look at each name is cheaper than a search for each that matters, and most requests have none of them.
    let special = own.keys().any(is_special);
    if special && fields::is_upgrade(own) {
        return Err(PassReason::Upgrade);
    }
    // The meaning of content in a GET is not defined (RFC 9110 §9.3.1), and it is not in the key.
    if content {
        return Err(PassReason::Content);
    }
    // RFC 9110 §14.2: range handling is defined for GET. What an origin makes of it with other methods is its affair.
    if special && query.is_some() && own.contains_key(header::RANGE) {
        return Err(PassReason::Range);
    }
    let asked = if special { range::asked(&request.method, own) } else { Asked::Whole };
    let range = match asked {
        Asked::Whole => None,
        Asked::Bytes(range) => Some(range),
        Asked::Foreign => return Err(PassReason::Range),
    };
    let preconditions = if special { Preconditions::of(own) } else { Preconditions::default() };
    let unconditional = query.as_ref().is_some_and(|query| !query.is_conditional());
    if preconditions.only_origin() || unconditional && preconditions != Preconditions::default() {
        return Err(PassReason::Precondition);
    }
    let directives = if special { RequestDirectives::parse(own) } else { RequestDirectives::default() };
    if directives.no_store {
        return Err(PassReason::NoStore);
    }
    let Some(target) = request.uri.path_and_query().filter(|target| target.as_str().len() <= TARGET_MAX) else {
        return Err(PassReason::Target);
    };
    let parts = match policy.key.reads_fields() && !nominates_none(own) {
        true => policy.key.parts(target.path(), &stripped(own, range.is_some())),
        false => policy.key.parts(target.path(), own),
    };
    let mut extra: Vec<(u8, &[u8])> = parts.iter().map(|(tag, part)| (*tag, &**part)).collect();
    let mut authorized = false;
    for (name, how, part, refusal) in [
        (header::AUTHORIZATION, policy.authorization, 1, PassReason::Authorization),
        (header::COOKIE, policy.cookies, 2, PassReason::Cookie),
    ] {
        if !special || !own.contains_key(&name) {
            continue;
        }
        match how {
            Credentials::Key if name == header::COOKIE && seeded(Fault::ShareAcrossCookie) => {}
            Credentials::Key => extra.extend(own.get_all(&name).iter().map(|value| (part, value.as_bytes()))),
            Credentials::Pass => return Err(refusal),
            Credentials::Rfc => authorized |= name == header::AUTHORIZATION,
            Credentials::Checked => {}
        }
    }
    let aliases = || own.iter().filter(|(name, _)| is_alias(name) && !forwarding::may_be_removed(name));
    let aliases: Vec<Vec<u8>> = if special { aliases().map(alias_part).collect() } else { Vec::new() };
    extra.extend(aliases.iter().map(|part| (ALIAS, &**part)));
    extra.extend(query.iter().flat_map(|query| query.key_parts(own)));
    let key = CacheKey::new(scheme, authority, &policy.key.target(target), &extra);
    let path = policy.no_vary_search.then(|| CacheKey::new(scheme, authority, target.path(), &extra));
    Ok(Ask {
        head_only,
        query,
        key,
        path,
        twin: None,
        arrived,
        directives,
        preconditions,
        wants: if special { Wants::of(own) } else { Wants::default() },
        authorized,
        target: target.clone(),
        fields: RequestFields::new(std::mem::take(&mut request.headers), range.is_some()),
        range,
    })
}

/// The place in a key of a field that an origin may take for another.
const ALIAS: u8 = 3;

/// What a key says of such a field. A CGI or WSGI origin cannot tell `X_Tenant` from `X-Tenant`, by which it may select: so
/// whoever sends the one must not make the answer that is stored for those who send neither.
fn alias_part((name, value): (&HeaderName, &HeaderValue)) -> Vec<u8> {
    [name.as_str().as_bytes(), b":", value.as_bytes()].concat()
}

/// Whether a field of this name is one that reading a request looks at.
fn is_special(name: &HeaderName) -> bool {
    if is_alias(name) {
        return true;
    }
    match name.as_str() {
        "authorization" | "cookie" | "cache-control" | "pragma" | "range" | "upgrade" => true,
        "want-content-digest" | "want-repr-digest" => true,
        name => name.starts_with("if-"),
    }
}

impl Ask {
    /// The key under which to look for an answer, and to keep one that a check confirms.
    #[must_use]
    pub fn held_at(&self) -> &CacheKey {
        self.twin.as_ref().unwrap_or(&self.key)
    }

    /// Whether a response that is stored under [`held_at`](Self::held_at) may answer: any under the own key does, one of
    /// a twin only while it says so itself.
    #[must_use]
    pub fn answered_by(&self, stored: &StoredHead) -> bool {
        self.twin.as_ref().is_none_or(|twin| {
            Variance::of_stored(&stored.fields)
                .is_some_and(|variance| variance.equates(twin.target().1, self.key.target().1))
        })
    }

    /// The key under which requests may share an exchange of this extent with this one, given what `Vary` is known to
    /// name. What goes out with a `Range` is shared by requests for the very same.
    #[must_use]
    pub fn exchange_key(&self, vary: &[Vary], extent: Extent) -> ExchangeKey {
        let ranged: &[HeaderName] = match extent {
            Extent::Whole => &[],
            Extent::Range => &[header::RANGE, header::IF_RANGE],
        };
        let named: Vec<&HeaderName> = vary.iter().filter_map(Vary::names).flatten().chain(ranged).collect();
        ExchangeKey::new(&self.key, self.fields.named(named.iter().copied()), &named)
    }

    /// Whether a condition may go out with it, to be answered with 304.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.query.as_ref().is_none_or(|query| query.is_conditional())
    }

    /// Whether the request demands an answer that was validated for it (RFC 9111 §5.2.1.4).
    #[must_use]
    pub const fn demands_validation(&self) -> bool {
        self.directives.no_cache
    }

    /// Whether the request wants nothing stale: RFC 9111 §5.2.1.1: "Unless the max-stale request directive is also
    /// present, the client does not wish to receive a stale response"; §5.2.1.3 goes further.
    #[must_use]
    pub const fn declines_stale(&self) -> bool {
        let RequestDirectives { max_age, min_fresh, max_stale, .. } = &self.directives;
        min_fresh.is_some() || (max_age.is_some() && max_stale.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::key_rule::{Glob, Keep, KeyRule, QueryRule};
    use crate::rules::policy::Verify;
    use crate::rules::testing::{Req, get, method, policy, policy_with, stored, verify};

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
        let query = || method("QUERY", "/a").with("content-type", "text/plain").with_query("x");
        check("a QUERY (RFC 10008 §2.7)", query(), &plain, Ok(()));
        check("with conditions for caches", query().with("if-none-match", "\"1\""), &plain, Ok(()));
        check("not without Content-Type", method("QUERY", "/a").with_content(), &plain, Err(PassReason::ContentType));
        check("no range of it", query().with("range", "bytes=0-1"), &plain, Err(PassReason::Range));
        let graphql = || method("POST", "/a").with("content-type", "application/json").with_query(r#"{"query":"{a}"}"#);
        let conditional = graphql().with("if-none-match", "\"1\"");
        check("a POST that was found to be a query", graphql(), &plain, Ok(()));
        check("no condition on it (RFC 9110 §13.1.2)", conditional, &plain, Err(PassReason::Precondition));
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
        let long = |length: usize| get(&format!("/{}", "a".repeat(length - 1)));
        check("a target of 8 KiB", long(8192), &plain, Ok(()));
        check("none over 8 KiB", long(8193), &plain, Err(PassReason::Target));
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
            assert_eq!(alice.fields.leaving()[name], "alice", "{sentence}, and a check carries the request's own");
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
    fn what_a_route_makes_of_the_key() {
        let rule = KeyRule {
            query: QueryRule { keep: Keep::Without([Glob::parse("utm_*").unwrap()].into()), sorted: false },
            headers: [HeaderName::from_static("x-tenant")].into(),
            ..KeyRule::default()
        };
        let policy = policy_with(|policy| policy.key = rule.into());
        let plain = get("/a?x=1").ask(&policy);
        let tracked = get("/a?x=1&utm_source=y").ask(&policy);
        assert_eq!(tracked.key, plain.key);
        assert_eq!(tracked.target, "/a?x=1&utm_source=y", "the origin gets what the client sent");
        assert_ne!(get("/a?x=1").with("x-tenant", "1").ask(&policy).key, plain.key);
        let hidden = get("/a?x=1").with("x-tenant", "1").with("connection", "x-tenant");
        assert_eq!(
            hidden.ask(&policy).key,
            plain.key,
            "what the origin does not see is not believed (RFC 9110 §7.6.1)"
        );
    }

    #[test]
    fn what_an_origin_may_take_for_another_field_is_in_the_key() {
        let key = |fields: &[(&str, &str)]| {
            fields.iter().fold(get("/a"), |request, (name, value)| request.with(name, value)).ask(&policy()).key
        };
        assert_eq!(key(&[("x-tenant", "1")]), key(&[]));
        assert_ne!(key(&[("x_tenant", "1")]), key(&[]));
        assert_ne!(key(&[("x_tenant", "1")]), key(&[("x_tenant", "2")]));
        assert_eq!(key(&[("x_forwarded_host", "1")]), key(&[]), "it does not leave (RFC 3875 §4.1.18)");
    }

    #[test]
    fn who_answers_in_place_of_whom() {
        let policy = policy_with(|policy| policy.no_vary_search = true);
        let says = |value: &str| stored().with("no-vary-search", value).build();
        let mut ask = get("/a?utm=2").ask(&policy);
        assert_eq!(ask.path, Some(get("/a").ask(&policy).key));
        assert!(ask.answered_by(stored().build().head()), "what is stored for the own target");
        ask.twin = Some(get("/a?utm=1").ask(&policy).key);
        assert_ne!(ask.held_at(), &ask.key);
        assert!(ask.answered_by(says("params=(\"utm\")").head()));
        assert!(!ask.answered_by(says("params=(\"x\")").head()), "not what says otherwise");
        assert!(!ask.answered_by(stored().build().head()), "nor what says nothing");
        assert_eq!(get("/a?utm=2").ask(&crate::rules::testing::policy()).path, None, "where the route does not say so");
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
        assert_eq!(request.fields.leaving().keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["accept"]);
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
            assert!(
                ask(ignored).range.is_none() && ask(ignored).fields.leaving().is_empty(),
                "RFC 9110 §14.2, §13.1.5"
            );
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
