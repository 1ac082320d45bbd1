//! `Cache-Control`: the directives of a request or a response (RFC 9111 §5.2), read once into plain fields.
//!
//! Where a directive is malformed, the reading that serves less from the store wins. Extension directives are ignored
//! (RFC 9111 §5.2.3).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, PRAGMA};

use super::list::{members, unquote};

/// RFC 9111 §1.2.2: a delta that does not fit is taken as 2^31 seconds, and so is every larger one.
pub(super) const LONGEST: Duration = Duration::from_secs(1 << 31);

/// What `no-cache` or `private` is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The directive is absent.
    #[default]
    Nothing,
    /// These fields of the response (the qualified form).
    Fields(Arc<[HeaderName]>),
    /// All of the response.
    Everything,
}

/// The directives of a response (RFC 9111 §5.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`.
    pub no_cache: Scope,
    /// `private`.
    pub private: Scope,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `s-maxage`; zero when it is malformed or contradicts itself.
    pub s_maxage: Option<Duration>,
    /// `max-age`; zero when it is malformed or contradicts itself.
    pub max_age: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3); zero when it is malformed or contradicts itself.
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4); zero when it is malformed or contradicts itself.
    pub stale_if_error: Option<Duration>,
    /// Whether a targeted field said this, so that `Expires` does not count (RFC 9213 §2.2).
    pub targeted: bool,
}

impl ResponseDirectives {
    /// The directives of all `Cache-Control` field lines of a response.
    #[must_use]
    pub fn parse(head: &HeaderMap) -> Self {
        let mut said = Self::default();
        for Directive { name, value } in directives(head) {
            // RFC 9111 §5.2: "Cache directives are identified by a token, to be compared case-insensitively".
            match name.as_str() {
                "no-store" => said.no_store = true,
                "no-cache" => said.no_cache.add(value.as_deref()),
                "private" => said.private.add(value.as_deref()),
                "must-revalidate" => said.must_revalidate = true,
                "proxy-revalidate" => said.proxy_revalidate = true,
                // What permits is only believed in the form that the RFC gives it: without an argument.
                "public" => said.public |= value.is_none(),
                "immutable" => said.immutable |= value.is_none(),
                "must-understand" => said.must_understand |= value.is_none(),
                "s-maxage" => said.s_maxage = merged(said.s_maxage, value.as_deref()),
                "max-age" => said.max_age = merged(said.max_age, value.as_deref()),
                "stale-while-revalidate" => {
                    said.stale_while_revalidate = merged(said.stale_while_revalidate, value.as_deref());
                }
                "stale-if-error" => said.stale_if_error = merged(said.stale_if_error, value.as_deref()),
                _ => {}
            }
        }
        said
    }
}

impl Scope {
    /// Widens the scope by one more occurrence of the directive: by the fields that `argument` names, or to everything
    /// where there is none.
    ///
    /// RFC 9111 §5.2.2.4, §5.2.2.7: "the cache MUST NOT [..] listed fields", "the field names are case-insensitive".
    /// An argument in which anything is no field name forbids everything: whatever it meant, that is in it.
    pub fn add(&mut self, argument: Option<&[u8]>) {
        let named: Option<Vec<HeaderName>> =
            argument.and_then(|names| members(names).map(|name| HeaderName::from_bytes(name).ok()).collect());
        let known = match (&*self, named) {
            (Self::Everything, _) | (_, None) => return *self = Self::Everything,
            (Self::Nothing, Some(named)) => named,
            (Self::Fields(known), Some(mut named)) => {
                named.extend(known.iter().cloned());
                named
            }
        };
        *self = if known.is_empty() { Self::Everything } else { Self::Fields(known.into()) };
    }

    /// Whether it is all of the response.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// The fields that are named; none where the directive is absent, or about everything.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Nothing | Self::Everything => &[],
        }
    }
}

/// The directives of a request (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`, or `Pragma: no-cache` without `Cache-Control`.
    pub no_cache: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age`; zero when it is malformed or contradicts itself.
    pub max_age: Option<Duration>,
    /// `min-fresh`; 2^31 seconds when it is malformed.
    pub min_fresh: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4); zero when it is malformed or contradicts itself.
    pub stale_if_error: Option<Duration>,
    /// `max-stale`: `Some(None)` accepts any staleness; absent when it is malformed.
    pub max_stale: Option<Option<Duration>>,
}

impl RequestDirectives {
    /// The directives of all `Cache-Control` field lines of a request, or of `Pragma` where there is none.
    #[must_use]
    pub fn parse(head: &HeaderMap) -> Self {
        let mut said = Self::default();
        let mut stale: Option<Staleness> = None;
        for Directive { name, value } in directives(head) {
            match name.as_str() {
                "no-store" => said.no_store = true,
                "no-cache" => said.no_cache = true,
                "only-if-cached" => said.only_if_cached = true,
                "max-age" => said.max_age = merged(said.max_age, value.as_deref()),
                "stale-if-error" => said.stale_if_error = merged(said.stale_if_error, value.as_deref()),
                "min-fresh" => {
                    let asked = value.as_deref().and_then(seconds).unwrap_or(LONGEST);
                    said.min_fresh = said.min_fresh.max(Some(asked));
                }
                "max-stale" => {
                    let read = match value {
                        // RFC 9111 §5.2.1.2: "If no value is assigned to max-stale, then the client will accept a
                        // stale response of any age."
                        None => Staleness::Any,
                        Some(value) => seconds(&value).map_or(Staleness::Malformed, Staleness::UpTo),
                    };
                    stale = Some(stale.map_or(read, |before| before.stricter(read)));
                }
                _ => {}
            }
        }
        said.max_stale = match stale {
            Some(Staleness::Any) => Some(None),
            Some(Staleness::UpTo(most)) => Some(Some(most)),
            Some(Staleness::Malformed) | None => None,
        };
        // RFC 7234 §5.4: "When the Cache-Control header field is not present in a request, caches MUST consider the
        // no-cache request pragma-directive as having the same effect as if "Cache-Control: no-cache" were present".
        // RFC 9111 §5.4 deprecates Pragma; old clients that send it alone still mean it.
        if !head.contains_key(CACHE_CONTROL) {
            said.no_cache = head
                .get_all(PRAGMA)
                .iter()
                .any(|line| members(line.as_bytes()).any(|member| member.eq_ignore_ascii_case(b"no-cache")));
        }
        said
    }
}

/// What one `max-stale` accepts.
#[derive(Clone, Copy)]
enum Staleness {
    Any,
    UpTo(Duration),
    Malformed,
}

impl Staleness {
    fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Malformed, _) | (_, Self::Malformed) => Self::Malformed,
            (Self::Any, one) | (one, Self::Any) => one,
            (Self::UpTo(one), Self::UpTo(two)) => Self::UpTo(one.min(two)),
        }
    }
}

/// One directive: its name in lower case, and its argument without quotes.
struct Directive {
    name: String,
    value: Option<Vec<u8>>,
}

fn directives(head: &HeaderMap) -> impl Iterator<Item = Directive> {
    head.get_all(CACHE_CONTROL).iter().flat_map(|line| members(line.as_bytes())).map(|member| {
        let mut parts = member.splitn(2, |&byte| byte == b'=');
        let name = parts.next().unwrap_or_default();
        // RFC 9111 §5.2: "For the directives defined below that define arguments, recipients ought to accept both
        // forms", token and quoted string.
        let value = parts.next().map(|value| unquote(value).unwrap_or_else(|| value.to_vec()));
        // `max-age = 60` is not the grammar. The name is recognised all the same, and the argument keeps its space, so
        // that a forbidding directive holds and a lifetime is malformed.
        Directive { name: String::from_utf8_lossy(name).trim_end().to_ascii_lowercase(), value }
    })
}

/// A lifetime directive read after `before`, an earlier line's reading of the same one.
///
/// RFC 9111 §4.2.1: "When there is more than one value present for a given directive [..] either the first occurrence
/// should be used or the response should be considered stale. [..] Caches are encouraged to consider responses that
/// have invalid freshness information [..] to be stale."
fn merged(before: Option<Duration>, value: Option<&[u8]>) -> Option<Duration> {
    let read = value.and_then(seconds).unwrap_or_default();
    match before {
        Some(before) if before != read => Some(Duration::ZERO),
        _ => Some(read),
    }
}

/// RFC 9111 §1.2.2: `delta-seconds = 1*DIGIT`.
pub(super) fn seconds(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = value.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{any_head, head};

    fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn response(value: &str) -> ResponseDirectives {
        ResponseDirectives::parse(&head(&[("cache-control", value)]))
    }

    fn request(value: &str) -> RequestDirectives {
        RequestDirectives::parse(&head(&[("cache-control", value)]))
    }

    #[test]
    fn flags_of_a_response() {
        type Flag = fn(&ResponseDirectives) -> bool;
        let rows: &[(&str, &str, Flag, bool)] = &[
            ("names are case-insensitive (RFC 9111 §5.2)", "No-STORE", |d| d.no_store, true),
            ("an unknown directive is ignored (§5.2.3)", "no-stores, x=no-store", |d| d.no_store, false),
            ("a forbidding directive holds with an argument", "no-store=1", |d| d.no_store, true),
            ("private is about everything (§5.2.2.7)", "private", |d| d.private.is_everything(), true),
            ("or about named fields", "private=\"set-cookie, X\"", |d| d.private.fields() == ["set-cookie", "x"], true),
            ("named over several lines", "no-cache=\"x\", no-cache=y", |d| d.no_cache.fields() == ["y", "x"], true),
            ("what is no name forbids everything", "no-cache=\"x, (\"", |d| d.no_cache.is_everything(), true),
            ("and so does no name at all", "private=\"\"", |d| d.private.is_everything(), true),
            ("the wider of two counts (§5.2.2.4)", "no-cache, no-cache=x", |d| d.no_cache.is_everything(), true),
            ("a permitting directive takes no argument", "public=0", |d| d.public, false),
            ("public (§5.2.2.9)", "max-age=1 , public", |d| d.public, true),
            ("must-revalidate (§5.2.2.2)", "must-revalidate", |d| d.must_revalidate, true),
            ("proxy-revalidate (§5.2.2.8)", "proxy-revalidate", |d| d.proxy_revalidate, true),
            ("must-understand (§5.2.2.3)", "must-understand, no-store", |d| d.must_understand, true),
            ("immutable (RFC 8246)", "immutable", |d| d.immutable, true),
            ("an open quote hides nothing", "max-age=\"60, no-store", |d| d.no_store, true),
            ("what is quoted is no directive", "x=\"no-store\"", |d| d.no_store, false),
        ];
        for (sentence, value, flag, expected) in rows {
            assert_eq!(flag(&response(value)), *expected, "{sentence}: {value}");
        }
    }

    #[test]
    fn lifetimes_of_a_response() {
        let rows = [
            ("a delta (RFC 9111 §1.2.2)", "max-age=60", secs(60)),
            ("a quoted delta (§5.2)", "max-age=\"60\"", secs(60)),
            ("an overflow is 2^31 (§1.2.2)", "max-age=99999999999999999999999", secs(1 << 31)),
            ("so is what is only larger", "max-age=2147483649", secs(1 << 31)),
            ("absent", "s-maxage=60", None),
            ("no argument: stale (§4.2.1)", "max-age", secs(0)),
            ("an empty one: stale", "max-age=", secs(0)),
            ("negative: stale", "max-age=-1", secs(0)),
            ("a fraction: stale", "max-age=1.5", secs(0)),
            ("space around the sign: stale", "max-age = 60", secs(0)),
            ("twice the same", "max-age=60, max-age=\"60\"", secs(60)),
            ("contradictory: stale (§4.2.1)", "max-age=60, max-age=61", secs(0)),
            ("contradictory three times", "max-age=60, max-age=61, max-age=61", secs(0)),
        ];
        for (sentence, value, expected) in rows {
            assert_eq!(response(value).max_age, expected, "{sentence}: {value}");
        }
        let all = response("s-maxage=1, stale-while-revalidate=2, stale-if-error=3");
        assert_eq!((all.s_maxage, all.stale_while_revalidate, all.stale_if_error), (secs(1), secs(2), secs(3)));
    }

    #[test]
    fn directives_of_a_request() {
        assert_eq!(request("max-stale").max_stale, Some(None), "any staleness (RFC 9111 §5.2.1.2)");
        assert_eq!(request("max-stale=5").max_stale, Some(secs(5)));
        assert_eq!(request("max-stale=x").max_stale, None, "malformed accepts none");
        assert_eq!(request("max-stale, max-stale=5").max_stale, Some(secs(5)), "the stricter of two");
        assert_eq!(request("max-stale=x, max-stale").max_stale, None, "malformed stays malformed");
        assert_eq!(request("min-fresh=5").min_fresh, secs(5), "§5.2.1.3");
        assert_eq!(request("min-fresh=x").min_fresh, secs(1 << 31), "malformed asks for the most");
        assert_eq!(request("max-age=0").max_age, secs(0), "§5.2.1.1");
        assert_eq!(request("stale-if-error=5").stale_if_error, secs(5), "RFC 5861 §4");
        assert!(request("only-if-cached").only_if_cached, "§5.2.1.7");
        assert!(request("no-store").no_store, "§5.2.1.5");
        assert!(request("no-cache").no_cache, "§5.2.1.4");
    }

    #[test]
    fn all_field_lines_count() {
        let both = head(&[("cache-control", "max-age=60"), ("cache-control", "no-store")]);
        let said = ResponseDirectives::parse(&both);
        assert!(said.no_store && said.max_age == secs(60));
    }

    #[test]
    fn pragma_counts_only_without_cache_control() {
        let no_cache = |lines: &[(&str, &str)]| RequestDirectives::parse(&head(lines)).no_cache;
        assert!(no_cache(&[("pragma", "x, No-Cache")]), "RFC 7234 §5.4");
        assert!(!no_cache(&[("pragma", "no-cache"), ("cache-control", "max-age=60")]));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(any in any_head(&["cache-control", "pragma"])) {
            let _ = ResponseDirectives::parse(&any);
            let _ = RequestDirectives::parse(&any);
        }

        #[test]
        fn what_is_written_is_read(
            seconds in proptest::option::of(0u32..1 << 31), shared in proptest::option::of(0u32..1 << 31),
            no_store: bool, private: bool, quoted: bool,
        ) {
            let mut written: Vec<String> = Vec::new();
            let quote = if quoted { "\"" } else { "" };
            written.extend(seconds.map(|s| format!("max-age={quote}{s}{quote}")));
            written.extend(shared.map(|s| format!("S-MaxAge={quote}{s}{quote}")));
            written.extend(no_store.then(|| "no-store".to_owned()));
            written.extend(private.then(|| "private".to_owned()));
            let expected = ResponseDirectives {
                max_age: seconds.map(|s| Duration::from_secs(s.into())),
                s_maxage: shared.map(|s| Duration::from_secs(s.into())),
                no_store,
                private: if private { Scope::Everything } else { Scope::Nothing },
                ..ResponseDirectives::default()
            };
            prop_assert_eq!(response(&written.join(",")), expected);
        }
    }
}
