//! `Vary`: the request fields that a response was selected by, and whether two requests agree in them (RFC 9111 §4.1).

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::key::{put, put_lines};
use super::list::members;

/// The most names that are read; a response that names more is taken for one that matches nothing.
const MOST_NAMES: usize = 64;

/// What a response's `Vary` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Vary {
    /// These request fields, sorted, each once; none when there is no `Vary`.
    Names(Box<[HeaderName]>),
    /// `*`: something beyond the request's fields. Nothing matches it.
    Star,
}

impl Vary {
    /// What all `Vary` field lines of a response name.
    ///
    /// A member that is no field name is taken for `*`: whatever it meant cannot be compared.
    #[must_use]
    pub fn of(head: &HeaderMap) -> Self {
        let mut names = Vec::new();
        for member in head.get_all(header::VARY).iter().flat_map(|line| members(line.as_bytes())) {
            // RFC 9111 §4.1: "A stored response with a Vary header field value containing a member "*" always fails to
            // match." An asterisk is also a token, so it is looked for before names are.
            match HeaderName::from_bytes(member) {
                Ok(name) if member != b"*" && names.len() < MOST_NAMES => names.push(name),
                _ => return Self::Star,
            }
        }
        names.sort_unstable_by(|one, two| one.as_str().cmp(two.as_str()));
        names.dedup();
        Self::Names(names.into())
    }

    /// The names, or `None` for `*`.
    #[must_use]
    pub fn names(&self) -> Option<&[HeaderName]> {
        match self {
            Self::Names(names) => Some(names),
            Self::Star => None,
        }
    }

    /// The request's values of the named fields, as [`selecting`] writes them; nothing for `*`.
    #[must_use]
    pub fn selecting(&self, request: &HeaderMap) -> Box<[u8]> {
        self.names().map(|names| selecting(names, request)).unwrap_or_default()
    }

    /// Whether `request` selects what was selected by `selecting`. Nothing selects what varies by everything.
    #[must_use]
    pub fn selects(&self, request: &HeaderMap, selecting: &[u8]) -> bool {
        self.names().is_some_and(|names| names.is_empty() || *self.selecting(request) == *selecting)
    }
}

/// The nominated fields of a request in canonical bytes: two requests match (RFC 9111 §4.1) if these are equal.
///
/// "The header fields from two requests are defined to match if and only if those in the first request can be
/// transformed to those in the second request by" combining lines, or by whitespace and other changes that are "known
/// to have identical semantics". Known are the fields of preferences, whose whitespace around commas is dropped, and
/// cookies. Credentials and other fields of one value are never combined. Absent differs from empty.
#[must_use]
pub fn selecting(names: &[HeaderName], request: &HeaderMap) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(64 * names.len());
    for name in names {
        put(&mut bytes, name.as_str().as_bytes());
        if SINGLE.contains(&name.as_str()) || !request.contains_key(name) {
            put_lines(&mut bytes, request, name);
            continue;
        }
        let lines = request.get_all(name).iter().map(HeaderValue::as_bytes);
        let combined = if LISTS.contains(&name.as_str()) {
            lines.flat_map(members).collect::<Vec<_>>().join(&b","[..])
        } else if name == header::COOKIE {
            // RFC 9113 §8.2.3: the crumbs of a cookie "MUST be concatenated into a single octet string using the
            // two-octet delimiter of 0x3b, 0x20".
            lines.collect::<Vec<_>>().join(&b"; "[..])
        } else {
            // RFC 9110 §5.3: lines are combined with a comma and optional whitespace; "For consistency, use comma SP."
            lines.collect::<Vec<_>>().join(&b", "[..])
        };
        // One line, as `put_lines` would have written it.
        bytes.push(1);
        put(&mut bytes, &combined);
    }
    bytes.into()
}

/// Fields that are lists by definition: whitespace around their commas, and empty members, mean nothing.
const LISTS: &[&str] = &["accept", "accept-charset", "accept-encoding", "accept-language", "prefer"];

/// Fields of one value: a second line is no continuation of the first.
const SINGLE: &[&str] = &["authorization", "proxy-authorization", "host", "origin", "referer", "user-agent"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{Lines, any_head, head};

    fn vary(lines: &[&str]) -> Vary {
        Vary::of(&head(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>()))
    }

    #[test]
    fn what_vary_names() {
        type Row = (&'static str, &'static [&'static str], Option<&'static [&'static str]>);
        let rows: &[Row] = &[
            ("nothing", &[], Some(&[])),
            ("names, sorted, each once, over several lines", &["B, a", "A ,, c"], Some(&["a", "b", "c"])),
            ("an asterisk among names (RFC 9111 §4.1)", &["a, *"], None),
            ("what is no name cannot be compared", &["a, (b)"], None),
        ];
        for (sentence, lines, expected) in rows {
            let vary = vary(lines);
            let names = vary.names().map(|names| names.iter().map(HeaderName::as_str).collect::<Vec<_>>());
            assert_eq!(names.as_deref(), *expected, "{sentence}");
        }
        let many: Vec<String> = (0..10_000).map(|n| format!("x-{n}")).collect();
        assert_eq!(vary(&[&many.join(",")]), Vary::Star, "more than can be compared");
    }

    #[test]
    fn when_two_requests_match() {
        let rows: &[(&str, Lines, Lines, bool)] = &[
            ("the same value", &[("accept", "a")], &[("accept", "a")], true),
            ("both absent (RFC 9111 §4.1)", &[], &[("x-other", "a")], true),
            ("absent is not empty", &[], &[("accept", "")], false),
            ("whitespace where a list allows it", &[("accept", "a,\tb ,c")], &[("accept", "a, b, c")], true),
            ("combined lines of a list", &[("accept", "a"), ("accept", "b")], &[("accept", "a,b")], true),
            ("not another order", &[("accept", "a, b")], &[("accept", "b, a")], false),
            ("not another case", &[("accept", "A")], &[("accept", "a")], false),
            ("whitespace in quotes is a value's", &[("accept", "a;b=\"1, 2\"")], &[("accept", "a;b=\"1,2\"")], false),
            ("combined lines of an unknown field", &[("x-a", "1"), ("x-a", "2")], &[("x-a", "1, 2")], true),
            ("whitespace of an unknown field may matter", &[("x-a", "1,2")], &[("x-a", "1, 2")], false),
            ("crumbs of a cookie (RFC 9113 §8.2.3)", &[("cookie", "a"), ("cookie", "b")], &[("cookie", "a; b")], true),
            (
                "a second credential is not a longer one",
                &[("authorization", "a"), ("authorization", "b")],
                &[("authorization", "a, b")],
                false,
            ),
            ("a value does not slide into the next field", &[("accept", "a")], &[("cookie", "a")], false),
        ];
        let vary = vary(&["accept, authorization, cookie, x-a"]);
        let names = vary.names().unwrap();
        for (sentence, one, two, expected) in rows {
            assert_eq!(selecting(names, &head(one)) == selecting(names, &head(two)), *expected, "{sentence}");
        }
    }

    const FIELDS: &[&str] = &["accept", "authorization", "cookie", "x-a", "x-b"];

    proptest! {
        #[test]
        fn a_request_matches_itself_whatever_else_it_carries(any in any_head(FIELDS), vary in any_head(&["vary"])) {
            let names = [HeaderName::from_static("accept"), HeaderName::from_static("x-a")];
            let mut other = any.clone();
            other.remove("x-b");
            prop_assert_eq!(selecting(&names, &any), selecting(&names, &other));
            let _ = Vary::of(&vary);
        }

        #[test]
        fn different_values_of_one_line_never_match(one in any_head(&["x-a"]), two in any_head(&["x-a"])) {
            let names = [HeaderName::from_static("x-a")];
            let joined = |head: &HeaderMap| {
                let lines: Vec<_> = head.get_all("x-a").iter().map(|line| line.as_bytes().to_vec()).collect();
                (!lines.is_empty()).then(|| lines.join(&b", "[..]))
            };
            prop_assert_eq!(selecting(&names, &one) == selecting(&names, &two), joined(&one) == joined(&two));
        }
    }
}
