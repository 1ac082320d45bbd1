//! Preferences: what `Accept`, `Accept-Charset`, `Accept-Encoding` and `Accept-Language` say (RFC 9110 §12.5), in one
//! canonical form for all ways to say it.
//!
//! RFC 9111 §4.1 lets a cache normalise a selecting field "in a way that is known to have identical semantics according
//! to the header field's specification (e.g., reordering field values when order is not significant;
//! case-normalization, where values are defined to be case-insensitive)". What is known of these four: they are lists of
//! ranges, each with a weight that says all about its rank; ranges have no case; no weight is a weight of 1.
//!
//! RFC 9110 §12.5.4 notes that "some recipients treat the order in which language tags are listed as an indication of
//! descending priority, particularly for tags that are assigned equal quality values", and that "this behavior cannot be
//! relied upon". An origin that does so and still says only `Vary: Accept-Language` gets two such orders for one where a
//! response is served unasked: while it is fresh, or within a lease. A check has the request's own order.

use std::ops::Range;

use http::header::{self, HeaderName};

use super::list::{self, pieces};

/// A field of preferences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preferences {
    /// `Accept`: media ranges, which may have parameters.
    Media,
    /// `Accept-Charset`, `Accept-Encoding` or `Accept-Language`: tokens.
    Tokens,
}

/// A weight (RFC 9110 §12.4.2), in thousandths.
type Weight = u16;

/// The weight of a member without one.
const WHOLE: Weight = 1000;

impl Preferences {
    /// What a field holds, or `None` for a field that is not of preferences.
    #[must_use]
    pub fn named(name: &HeaderName) -> Option<Self> {
        match *name {
            header::ACCEPT => Some(Self::Media),
            header::ACCEPT_CHARSET | header::ACCEPT_ENCODING | header::ACCEPT_LANGUAGE => Some(Self::Tokens),
            _ => None,
        }
    }
}

/// The canonical value of a field of preferences: members by descending weight and then by their bytes, each once, in
/// lower case, and with a weight only below 1. `None` where a member is malformed or two give one range different
/// weights: what a recipient makes of that is not known, so nothing about it is.
///
/// A member of weight 0 stays: it says what is not acceptable, which leaving it out would not.
#[must_use]
pub fn canonical<'a>(of: Preferences, lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let ranked = Ranked::read(of, lines)?;
    let mut value = Vec::with_capacity(ranked.bytes.len() + 8 * ranked.members.len());
    for (range, weight) in ranked.members() {
        if !value.is_empty() {
            value.push(b',');
        }
        value.extend_from_slice(range);
        if weight < WHOLE {
            value.extend_from_slice(b";q=0.");
            value.extend([weight / 100, weight / 10 % 10, weight % 10].map(|digit| b'0' + digit as u8));
            while let Some(b'0' | b'.') = value.last() {
                let dot = value.pop() == Some(b'.');
                if dot {
                    break;
                }
            }
        }
    }
    Some(value)
}

/// The one language that is preferred to all others, in lower case: of the highest weight alone, above 0, and no
/// wildcard.
#[must_use]
pub fn best_language<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let ranked = Ranked::read(Preferences::Tokens, lines)?;
    let mut best = ranked.members();
    let (range, weight) = best.next()?;
    let alone = best.next().is_none_or(|(_, next)| next < weight);
    (alone && weight > 0 && range != b"*").then(|| range.to_vec())
}

/// The members of a field, best first. Their ranges stand in one buffer: this is on the way of every hit.
#[derive(Default)]
struct Ranked {
    bytes: Vec<u8>,
    members: Vec<(Range<usize>, Weight)>,
}

impl Ranked {
    fn read<'a>(of: Preferences, lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let Self { mut bytes, mut members } = Self::default();
        for member in lines.flat_map(list::members) {
            let start = bytes.len();
            let weight = read(of, member, &mut bytes)?;
            members.push((start..bytes.len(), weight));
        }
        let range = |member: &(Range<usize>, Weight)| bytes.get(member.0.clone()).unwrap_or_default();
        members.sort_unstable_by(|one, two| (range(one), one.1).cmp(&(range(two), two.1)));
        members.dedup_by(|one, two| one.1 == two.1 && range(one) == range(two));
        if members.windows(2).any(|pair| matches!(pair, [one, two] if range(one) == range(two))) {
            return None;
        }
        members.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        Some(Self { bytes, members })
    }

    fn members(&self) -> impl Iterator<Item = (&[u8], Weight)> {
        self.members.iter().map(|(range, weight)| (self.bytes.get(range.clone()).unwrap_or_default(), *weight))
    }
}

/// A member: its weight; its range is appended in canonical form.
fn read(of: Preferences, member: &[u8], into: &mut Vec<u8>) -> Option<Weight> {
    let mut parts = pieces(member, b';');
    push_folded(into, parts.next().filter(|range| is_range(of, range))?);
    let mut weight = None;
    for part in parts {
        let equals = part.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&part[..equals], &part[equals + 1..]);
        // RFC 9110 §12.5.1: "Recipients SHOULD process any parameter named "q" as weight, regardless of parameter
        // ordering."
        if name.eq_ignore_ascii_case(b"q") {
            if weight.replace(read_weight(value)?).is_some() {
                return None;
            }
            continue;
        }
        // RFC 9110 §5.6.6: `parameter-value = ( token / quoted-string )`. Parameter names have no case; whether values
        // have one depends on the parameter.
        let is_value = is_token(value) || list::unquote(value).is_some();
        if of == Preferences::Tokens || !is_token(name) || !is_value {
            return None;
        }
        into.push(b';');
        push_folded(into, name);
        into.push(b'=');
        into.extend_from_slice(value);
    }
    Some(weight.unwrap_or(WHOLE))
}

fn push_folded(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(bytes.iter().map(u8::to_ascii_lowercase));
}

/// RFC 9110 §12.4.2: `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`.
fn read_weight(value: &[u8]) -> Option<Weight> {
    let (whole, digits) = match value {
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        [whole] => (whole, &[][..]),
        _ => return None,
    };
    let mut part = 0;
    for at in 0..3 {
        let digit = digits.get(at).copied().unwrap_or(b'0');
        part = part * 10 + Weight::from(char::from(digit).to_digit(10)? as u8);
    }
    match (whole, part) {
        (b'0', part) => Some(part),
        (b'1', 0) => Some(WHOLE),
        _ => None,
    }
}

/// Whether these bytes can be a range: a token, or two around a slash.
fn is_range(of: Preferences, range: &[u8]) -> bool {
    match of {
        Preferences::Tokens => is_token(range),
        Preferences::Media => {
            let mut halves = range.splitn(2, |byte| *byte == b'/');
            halves.next().is_some_and(is_token) && halves.next().is_some_and(is_token)
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let allowed = |byte: &u8| match byte {
        b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' => true,
        byte => byte.is_ascii_alphanumeric(),
    };
    !bytes.is_empty() && bytes.iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::any_value;

    fn of(preferences: Preferences, value: &str) -> Option<String> {
        canonical(preferences, std::iter::once(value.as_bytes())).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn one_form_for_all_ways_to_say_it() {
        let rows = [
            ("members without order (RFC 9110 §12.5.4)", "en, de", Some("de,en")),
            ("without case (RFC 4647 §2)", "eN, De", Some("de,en")),
            ("best first", "fr;q=0.5, de;q=1.0", Some("de,fr;q=0.5")),
            ("no weight is a weight of 1 (RFC 9110 §12.4.2)", "a;q=1, b;q=1.000, c", Some("a,b,c")),
            (
                "zeros at the end of a weight mean nothing",
                "a;q=0.500, b;q=0.25, c;q=0.05",
                Some("a;q=0.5,b;q=0.25,c;q=0.05"),
            ),
            ("whitespace and the case of q", "a ;\tQ=0.5", Some("a;q=0.5")),
            ("a member of weight 0 says something", "gzip, identity;q=0.0", Some("gzip,identity;q=0")),
            ("the same said twice", "en, EN, en;q=1", Some("en")),
            ("nothing", " , ", Some("")),
            ("two weights for one range have no known meaning", "en, en;q=0.5", None),
            ("more than three digits", "en;q=0.1234", None),
            ("more than 1", "en;q=1.5", None),
            ("no number", "en;q=.5", None),
            ("two weights", "en;q=1;q=1", None),
            ("another parameter", "en;a=b", None),
            ("a parameter without a value", "en;a", None),
            ("no token", "en us", None),
        ];
        for (sentence, value, expected) in rows {
            assert_eq!(of(Preferences::Tokens, value).as_deref(), expected, "{sentence}");
        }
        let rows = [
            ("media ranges without case", "Text/HTML, */*;q=0.1", Some("text/html,*/*;q=0.1")),
            ("a parameter's value keeps its case", "a/b;Level=A", Some("a/b;level=A")),
            ("and its quotes hide nothing", "a/b;x=\";q=0\" ;q=0.5", Some("a/b;x=\";q=0\";q=0.5")),
            ("a weight among parameters (RFC 9110 §12.5.1)", "a/b;q=0.5;x=y", Some("a/b;x=y;q=0.5")),
            ("no slash", "text", None),
            ("a quote that is never closed, which another order would close", "z/z;a=\"x, b/b;c=\"y\"", None),
        ];
        for (sentence, value, expected) in rows {
            assert_eq!(of(Preferences::Media, value).as_deref(), expected, "{sentence}");
        }
    }

    #[test]
    fn the_language_that_is_preferred_to_all_others() {
        let rows = [
            ("the only one", "de", Some("de")),
            ("the best of several", "fr;q=0.5, De;q=0.8", Some("de")),
            ("none of two that are equal", "en, de", None),
            ("not a wildcard", "*, de;q=0.5", None),
            ("not what is not acceptable", "de;q=0", None),
            ("none of nothing", "", None),
            ("none where nothing is known", "de;q=2", None),
        ];
        for (sentence, value, expected) in rows {
            let best = best_language(std::iter::once(value.as_bytes()));
            assert_eq!(best.as_deref(), expected.map(str::as_bytes), "{sentence}");
        }
    }

    fn any_preferences() -> impl Strategy<Value = String> {
        proptest::collection::vec("[abAB]{1,2}( ?; ?[qQ]=(0|1|0\\.[0-9]{0,3}|1\\.0{0,3}))?", 0..5)
            .prop_map(|members| members.join(", "))
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own(value in any_preferences()) {
            if let Some(once) = of(Preferences::Tokens, &value) {
                let again = of(Preferences::Tokens, &once);
                prop_assert_eq!(again, Some(once));
            }
        }

        #[test]
        fn order_means_nothing(mut members in proptest::collection::vec("[abc]{1,2}(;q=0\\.[0-9])?", 0..5)) {
            let one = of(Preferences::Tokens, &members.join(","));
            members.reverse();
            prop_assert_eq!(of(Preferences::Tokens, &members.join(",")), one);
        }

        #[test]
        fn no_bytes_make_it_panic(value in any_value()) {
            for of in [Preferences::Media, Preferences::Tokens] {
                let once = canonical(of, std::iter::once(value.as_bytes()));
                if let Some(once) = once {
                    prop_assert_eq!(canonical(of, std::iter::once(&once[..])), Some(once));
                }
            }
        }
    }
}
