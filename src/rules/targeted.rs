//! Targeted cache control (RFC 9213): response fields that speak to some caches in place of `Cache-Control`.
//!
//! Such a field is a structured field (RFC 9651): a dictionary whose members have the names and meanings of the response
//! directives. A route lists the fields that are meant for this cache, most important first.

use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::directives::{LONGEST, ResponseDirectives, Scope};

/// The directives that `head` targets at this cache by one of `fields`, or `None` where `Cache-Control` and `Expires`
/// hold.
///
/// RFC 9213 §2.2: the first field of the list with a valid, non-empty value decides, and `Cache-Control` and `Expires`
/// are ignored; §2.1: a field that cannot be parsed is treated as if it were absent. A field in which a directive that
/// is known here has a value of another type than it needs is taken for such a one: whatever it meant to allow, the
/// general fields say what is safe.
#[must_use]
pub fn directives(head: &HeaderMap, fields: &[HeaderName]) -> Option<ResponseDirectives> {
    fields.iter().find_map(|name| {
        let lines: Vec<&[u8]> = head.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        if lines.is_empty() {
            return None;
        }
        let members: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
        if members.is_empty() { None } else { read(&members) }
    })
}

/// What a response says to this cache: by the first of these fields that can be read, or by `Cache-Control`.
#[must_use]
pub fn effective(head: &HeaderMap, fields: &[HeaderName]) -> ResponseDirectives {
    directives(head, fields).unwrap_or_else(|| ResponseDirectives::parse(head))
}

/// The directives that the members of a field are; unknown ones and parameters are ignored (RFC 9213 §2.1). `None` where
/// a value is of the wrong type.
fn read(members: &Dictionary) -> Option<ResponseDirectives> {
    let mut said = ResponseDirectives { targeted: true, ..ResponseDirectives::default() };
    for (name, member) in members {
        let value = match member {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        match name.as_str() {
            "no-store" => said.no_store = flag(value)?,
            "no-cache" => widen(&mut said.no_cache, value)?,
            "private" => widen(&mut said.private, value)?,
            "public" => said.public = flag(value)?,
            "must-revalidate" => said.must_revalidate = flag(value)?,
            "proxy-revalidate" => said.proxy_revalidate = flag(value)?,
            "immutable" => said.immutable = flag(value)?,
            "must-understand" => said.must_understand = flag(value)?,
            "s-maxage" => said.s_maxage = Some(seconds(value)?),
            "max-age" => said.max_age = Some(seconds(value)?),
            "stale-while-revalidate" => said.stale_while_revalidate = Some(seconds(value)?),
            "stale-if-error" => said.stale_if_error = Some(seconds(value)?),
            _ => {}
        }
    }
    Some(said)
}

/// A directive without argument is a Boolean.
fn flag(value: Option<&BareItem>) -> Option<bool> {
    match value? {
        BareItem::Boolean(flag) => Some(*flag),
        _ => None,
    }
}

/// A number of seconds is an Integer; RFC 9111 §1.2.2 caps it.
fn seconds(value: Option<&BareItem>) -> Option<Duration> {
    match value? {
        BareItem::Integer(seconds) => u64::try_from(i64::from(*seconds)).ok().map(Duration::from_secs),
        _ => None,
    }
    .map(|seconds| seconds.min(LONGEST))
}

/// `no-cache` and `private` are Booleans, or Strings of field names.
fn widen(scope: &mut Scope, value: Option<&BareItem>) -> Option<()> {
    match value? {
        BareItem::Boolean(false) => {}
        BareItem::Boolean(true) => scope.add(None),
        BareItem::String(names) => scope.add(Some(names.as_str().as_bytes())),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{Lines, any_head, head, secs};

    const FIELDS: [HeaderName; 2] =
        [HeaderName::from_static("truehit-cache-control"), HeaderName::from_static("cdn-cache-control")];

    fn max_age(lines: Lines) -> Option<Option<Duration>> {
        directives(&head(lines), &FIELDS).map(|said| said.max_age)
    }

    #[test]
    fn which_field_decides() {
        let rows: &[(&str, Lines, Option<Option<Duration>>)] = &[
            ("one that is there (RFC 9213 §2.2)", &[("cdn-cache-control", "max-age=60")], Some(Some(secs(60)))),
            (
                "the first of the list, not of the response",
                &[("cdn-cache-control", "max-age=60"), ("truehit-cache-control", "max-age=1")],
                Some(Some(secs(1))),
            ),
            (
                "the next where the first is not valid",
                &[("truehit-cache-control", "&&&"), ("cdn-cache-control", "max-age=60")],
                Some(Some(secs(60))),
            ),
            ("or empty", &[("truehit-cache-control", ""), ("cdn-cache-control", "max-age=60")], Some(Some(secs(60)))),
            ("none but those listed", &[("surrogate-control", "max-age=60"), ("cache-control", "max-age=1")], None),
            (
                "one over several lines",
                &[("cdn-cache-control", "max-age=1"), ("cdn-cache-control", "public")],
                Some(Some(secs(1))),
            ),
            ("one without a lifetime too", &[("cdn-cache-control", "foo")], Some(None)),
            ("a broken member breaks the field (§2.1)", &[("cdn-cache-control", "max-age=60, &&&")], None),
            ("and so does a wrong type", &[("cdn-cache-control", "max-age=\"60\"")], None),
            ("a fraction", &[("cdn-cache-control", "max-age=6.5")], None),
            ("a negative number", &[("cdn-cache-control", "max-age=-1")], None),
            ("a list", &[("cdn-cache-control", "max-age=(60)")], None),
            ("capitals, which no key has (RFC 9651 §3.1.2)", &[("cdn-cache-control", "Max-Age=60")], None),
            ("parameters are ignored", &[("cdn-cache-control", "max-age=60;x=1")], Some(Some(secs(60)))),
            (
                "of two, the last counts (RFC 9651 §4.2.2)",
                &[("cdn-cache-control", "max-age=1, max-age=60")],
                Some(Some(secs(60))),
            ),
            (
                "a large one is capped (RFC 9111 §1.2.2)",
                &[("cdn-cache-control", "max-age=99999999999")],
                Some(Some(LONGEST)),
            ),
        ];
        for (sentence, lines, expected) in rows {
            assert_eq!(max_age(lines), *expected, "{sentence}");
        }
    }

    #[test]
    fn what_a_field_says() {
        let of = |value: &str| directives(&head(&[("cdn-cache-control", value)]), &FIELDS).unwrap();
        let flags = of("no-store, public, must-revalidate, proxy-revalidate, immutable, must-understand");
        assert!(flags.no_store && flags.public && flags.must_revalidate && flags.proxy_revalidate);
        assert!(flags.immutable && flags.must_understand && flags.targeted);
        assert!(!of("no-store=?0").no_store, "a Boolean can also be false");
        assert!(of("no-cache").no_cache.is_everything());
        assert_eq!(of("private=\"set-cookie, x\"").private.fields(), ["set-cookie", "x"]);
        assert_eq!(of("no-cache=?0").no_cache, Scope::Nothing);
        let times = of("s-maxage=1, stale-while-revalidate=2, stale-if-error=3");
        assert_eq!(
            (times.s_maxage, times.stale_while_revalidate, times.stale_if_error),
            (Some(secs(1)), Some(secs(2)), Some(secs(3)))
        );
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(any in any_head(&["cdn-cache-control", "truehit-cache-control"])) {
            let _ = directives(&any, &FIELDS);
        }
    }
}
