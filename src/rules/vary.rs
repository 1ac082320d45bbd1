//! `Vary`: the request fields that a response was selected by, and whether two requests agree in them (RFC 9111 §4.1).

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::key::{after_lines, put, put_lines, take};
use super::list::{members, pieces};
use super::preference::{self, Preferences};
use super::request_fields::RequestFields;
use crate::faults::{Fault, seeded};

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
        if seeded(Fault::DropVary) {
            return Self::Names(names.into());
        }
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

    /// Whether a field is named.
    #[must_use]
    pub fn names_any(&self) -> bool {
        self.names().is_some_and(|names| !names.is_empty())
    }

    /// The request's values of the named fields, as [`selecting`] writes them; nothing for `*`.
    #[must_use]
    pub fn selecting(&self, request: &RequestFields) -> Box<[u8]> {
        self.names().map(|names| selecting(names, request.named(names.iter()))).unwrap_or_default()
    }

    /// The lines of the named fields, word for word: a request that [repeats](Self::repeats) them selects what they
    /// selected, and that can be seen without putting them into canonical form.
    #[must_use]
    pub fn words(&self, request: &RequestFields) -> Box<[u8]> {
        let names = self.names().unwrap_or_default();
        let fields = request.named(names.iter());
        let mut words = Vec::new();
        names.iter().for_each(|name| put_lines(&mut words, fields, name));
        words.into()
    }

    /// Whether `request` has the named fields word for word as [`words`](Self::words) has written them.
    #[must_use]
    pub fn repeats(&self, request: &RequestFields, words: &[u8]) -> bool {
        let Some(names) = self.names() else { return false };
        let fields = request.named(names.iter());
        names.iter().try_fold(words, |rest, name| after_lines(rest, fields, name)).is_some_and(<[u8]>::is_empty)
    }

    /// Whether `request` selects what was selected by `selecting`. Nothing selects what varies by everything.
    #[must_use]
    pub fn selects(&self, request: &RequestFields, selecting: &[u8]) -> bool {
        self.names().is_some_and(|names| names.is_empty() || *self.selecting(request) == *selecting)
    }

    /// Whether `request` would select what was selected by `selecting`, if it had its value of `except`.
    #[must_use]
    pub fn selects_but_for(&self, except: &HeaderName, request: &RequestFields, selecting: &[u8]) -> bool {
        let Some(names) = self.names().filter(|names| names.contains(except)) else { return false };
        let own = self.selecting(request);
        let (mut own, mut other) = (&*own, selecting);
        // Both are a part per name, and one for its values.
        names.iter().all(|name| {
            let ((Some(one), rest), (Some(two), others)) = (values(own), values(other)) else { return false };
            (own, other) = (rest, others);
            one == two || name == except
        })
    }
}

/// The values of the first field in what [`selecting`] has written, and what follows them.
fn values(selecting: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let part = take(selecting).and_then(|(_name, rest)| take(rest));
    part.map_or((None, &[]), |(values, rest)| (Some(values), rest))
}

/// The nominated fields of a request in canonical bytes: two requests match (RFC 9111 §4.1) if these are equal.
///
/// "The header fields from two requests are defined to match if and only if those in the first request can be
/// transformed to those in the second request by applying any of the following:"
///
/// - "combining multiple header field lines with the same field name";
/// - "adding or removing whitespace, where allowed in the header field's syntax". It is allowed around the commas of a
///   list. A field that is not known here, and has a comma outside quotes, is taken for a list: RFC 9110 §5.3 lets every
///   recipient on the way combine its lines with a comma "and optional whitespace", so a sender cannot mean anything by
///   the whitespace there. What is within quotes, empty members, case and order stay;
/// - "normalizing both header field values in a way that is known to have identical semantics according to the header
///   field's specification". That is known of preferences (see [`preference`]) and of cookies.
///
/// Credentials and other fields of one value are compared byte by byte, and never combined. "If [..] a header field is
/// absent from a request, it can only match another request if it is also absent there": absent differs from empty.
#[must_use]
pub fn selecting(names: &[HeaderName], request: &HeaderMap) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(64 * names.len());
    for name in names {
        put(&mut bytes, name.as_str().as_bytes());
        let mut values = Vec::new();
        if SINGLE.contains(&name.as_str()) || !request.contains_key(name) {
            put_lines(&mut values, request, name);
        } else {
            // One line, as `put_lines` would have written it.
            values.push(1);
            put(&mut values, &combined(name, request));
        }
        put(&mut bytes, &values);
    }
    bytes.into()
}

/// The lines of a field as one value that has the same meaning.
fn combined(name: &HeaderName, request: &HeaderMap) -> Vec<u8> {
    let lines = || request.get_all(name).iter().map(HeaderValue::as_bytes);
    if name == header::COOKIE {
        // RFC 9113 §8.2.3: the crumbs of a cookie "MUST be concatenated into a single octet string using the two-octet
        // delimiter of 0x3b, 0x20".
        return lines().collect::<Vec<_>>().join(&b"; "[..]);
    }
    if let Some(of) = Preferences::named(name)
        && let Some(canonical) = preference::canonical(of, lines())
    {
        return canonical;
    }
    if LISTS.contains(&name.as_str()) {
        // Empty members of a list mean nothing (RFC 9110 §5.6.1.2).
        return lines().flat_map(members).collect::<Vec<_>>().join(&b","[..]);
    }
    lines().flat_map(|line| pieces(line, b',')).collect::<Vec<_>>().join(&b","[..])
}

/// Fields that are lists by definition: empty members mean nothing.
const LISTS: &[&str] = &["accept", "accept-charset", "accept-encoding", "accept-language", "prefer"];

/// Fields of one value: a second line is no continuation of the first.
const SINGLE: &[&str] = &["authorization", "proxy-authorization", "host", "origin", "referer", "user-agent"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{Lines, any_head, head, sent};

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
        let named = |many: usize| vary(&[&(0..many).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(",")]);
        assert_eq!(named(64).names().map(<[_]>::len), Some(64));
        assert_eq!(named(65), Vary::Star, "more than are compared");
    }

    #[test]
    fn when_two_requests_match() {
        let rows: &[(&str, Lines, Lines, bool)] = &[
            ("the same value", &[("accept", "a")], &[("accept", "a")], true),
            ("both absent (RFC 9111 §4.1)", &[], &[("x-other", "a")], true),
            ("absent is not empty", &[], &[("accept", "")], false),
            ("whitespace where a list allows it", &[("accept", "a,\tb ,c")], &[("accept", "a, b, c")], true),
            ("combined lines of a list", &[("accept", "a"), ("accept", "b")], &[("accept", "a,b")], true),
            (
                "preferences in another order (RFC 9110 §12.5.4)",
                &[("accept-language", "a, b")],
                &[("accept-language", "b, A")],
                true,
            ),
            ("an unknown field in another order", &[("x-a", "a, b")], &[("x-a", "b, a")], false),
            ("an unknown field in another case", &[("x-a", "A")], &[("x-a", "a")], false),
            ("what is no preference, in another order", &[("accept", "a, b")], &[("accept", "b, a")], false),
            ("nor in another case", &[("accept", "A")], &[("accept", "a")], false),
            ("whitespace in quotes is a value's", &[("accept", "a;b=\"1, 2\"")], &[("accept", "a;b=\"1,2\"")], false),
            ("combined lines of an unknown field", &[("x-a", "1"), ("x-a", "2")], &[("x-a", "1, 2")], true),
            ("whitespace around its commas (RFC 9111 §4.1)", &[("x-a", "1,2")], &[("x-a", "1,\t2")], true),
            ("not whitespace elsewhere", &[("x-a", "1 2")], &[("x-a", "1  2")], false),
            ("nor within its quotes", &[("x-a", "\"1,2\"")], &[("x-a", "\"1, 2\"")], false),
            ("nor its empty members", &[("x-a", "1,,2")], &[("x-a", "1,2")], false),
            ("whitespace of a single value", &[("user-agent", "a, b")], &[("user-agent", "a,b")], false),
            ("crumbs of a cookie (RFC 9113 §8.2.3)", &[("cookie", "a"), ("cookie", "b")], &[("cookie", "a; b")], true),
            (
                "a second credential is not a longer one",
                &[("authorization", "a"), ("authorization", "b")],
                &[("authorization", "a, b")],
                false,
            ),
            ("a value does not slide into the next field", &[("accept", "a")], &[("cookie", "a")], false),
        ];
        let vary = vary(&["accept, accept-language, authorization, cookie, user-agent, x-a"]);
        let names = vary.names().unwrap();
        for (sentence, one, two, expected) in rows {
            assert_eq!(selecting(names, &head(one)) == selecting(names, &head(two)), *expected, "{sentence}");
        }
    }

    #[test]
    fn what_is_left_out_of_the_match() {
        let check = |sentence: &str, names: &str, one: Lines, two: Lines, expected: bool| {
            let vary = vary(&[names]);
            let selecting = vary.selecting(&sent(one));
            let selects = vary.selects_but_for(&header::ACCEPT_LANGUAGE, &sent(two), &selecting);
            assert_eq!(selects, expected, "{sentence}");
        };
        let (de, en): (Lines, Lines) = (&[("accept-language", "de")], &[("accept-language", "en")]);
        check("the field alone", "accept-language", de, en, true);
        check("or absent", "accept-language", de, &[], true);
        check("beside fields that match", "accept, accept-language, x-a", de, en, true);
        check("beside one that does not", "accept-language, x-a", de, &[("x-a", "1")], false);
        check("not where it was not named", "x-a", de, en, false);
        check("not where everything was", "*", de, en, false);
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
        fn a_request_repeats_another_in_the_very_same_lines(one in any_head(FIELDS), two in any_head(FIELDS)) {
            let vary = Vary::Names([HeaderName::from_static("accept"), HeaderName::from_static("x-a")].into());
            let names = vary.names().unwrap();
            let lines = |head: &HeaderMap| -> Vec<Vec<HeaderValue>> {
                names.iter().map(|name| head.get_all(name).iter().cloned().collect()).collect()
            };
            let fields = |head: &HeaderMap| RequestFields::new(head.clone(), false);
            let repeats = vary.repeats(&fields(&two), &vary.words(&fields(&one)));
            prop_assert_eq!(repeats, lines(&one) == lines(&two));
            prop_assert!(vary.repeats(&fields(&one), &vary.words(&fields(&one))));
            prop_assert!(!repeats || vary.selecting(&fields(&one)) == vary.selecting(&fields(&two)));
        }

        #[test]
        fn different_values_of_one_line_never_match(one in any_head(&["x-a"]), two in any_head(&["x-a"])) {
            let names = [HeaderName::from_static("x-a")];
            // All whitespace is more than may be dropped, so what still differs must not match.
            let joined = |head: &HeaderMap| {
                let lines: Vec<_> = head.get_all("x-a").iter().map(|line| line.as_bytes().to_vec()).collect();
                (!lines.is_empty()).then(|| {
                    let mut all = lines.join(&b","[..]);
                    all.retain(|byte| !matches!(byte, b' ' | b'\t'));
                    all
                })
            };
            if selecting(&names, &one) == selecting(&names, &two) {
                prop_assert_eq!(joined(&one), joined(&two));
            }
        }
    }
}
