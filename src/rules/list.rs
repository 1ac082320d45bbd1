//! `members`: the members of a comma-separated field value (RFC 9110 §5.6.1), as slices of its bytes.
//!
//! Entity-tag lists are not read here: a backslash escapes nothing in a tag (see
//! [`TagList`](crate::rules::validator::TagList)).

/// The members of a list, without surrounding whitespace; empty members are left out.
///
/// A comma within a quoted string does not separate. A quote that is never closed is an ordinary byte, so it cannot
/// hide the members after it (`max-age="60, no-store` still says `no-store`). Linear in the length of `value`.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    // RFC 9110 §5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements".
    pieces(value, b',').filter(|member| !member.is_empty())
}

/// What stands between the separators of `value`, without surrounding whitespace, empty pieces among them: for fields
/// that are not known to be lists, and for parameters (`;`). Quotes are read as in [`members`].
pub fn pieces(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    let mut quotes = true;
    std::iter::from_fn(move || {
        let now = rest?;
        let end = piece_end(now, separator, &mut quotes);
        rest = now.get(end + 1..);
        Some(trim(&now[..end]))
    })
}

/// `bytes` without optional whitespace (RFC 9110 §5.6.3: space and tab) at both ends.
#[must_use]
pub fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// What a quoted string (RFC 9110 §5.6.4) says, or `None` when `bytes` is not exactly one.
#[must_use]
pub fn unquote(bytes: &[u8]) -> Option<Vec<u8>> {
    let [b'"', inner @ .., b'"'] = bytes else { return None };
    let mut said = Vec::with_capacity(inner.len());
    let mut inner = inner.iter();
    while let Some(&byte) = inner.next() {
        match byte {
            b'\\' => said.push(*inner.next()?),
            b'"' => return None,
            _ => said.push(byte),
        }
    }
    Some(said)
}

/// Where the first piece of `value` ends: at a separator outside quotes, or at the end.
///
/// `quotes` turns false at the first quote that is never closed, so that no later quote is looked up again: that would
/// make `"\"\"\"` quadratic.
fn piece_end(value: &[u8], separator: u8, quotes: &mut bool) -> usize {
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match byte {
            _ if byte == separator => return at,
            b'"' if *quotes => match closing_quote(value, at) {
                Some(close) => at = close,
                None => *quotes = false,
            },
            _ => {}
        }
        at += 1;
    }
    at
}

fn closing_quote(value: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while let Some(&byte) = value.get(at) {
        match byte {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Vec<String> {
        members(value.as_bytes()).map(|member| String::from_utf8_lossy(member).into_owned()).collect()
    }

    #[test]
    fn members_are_split_at_commas_outside_quotes() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("nothing has no members", "", &[]),
            ("empty members are ignored (RFC 9110 §5.6.1.2)", ", a,, b ,", &["a", "b"]),
            ("whitespace around members is not theirs", "\ta \t,  b=1", &["a", "b=1"]),
            ("a quoted comma does not separate", "a=\"1, 2\", b", &["a=\"1, 2\"", "b"]),
            ("an escaped quote does not close", r#"a="1\", 2", b"#, &[r#"a="1\", 2""#, "b"]),
            ("an open quote hides nothing", "max-age=\"60, no-store", &["max-age=\"60", "no-store"]),
        ];
        for (sentence, value, expected) in rows {
            assert_eq!(read(value), *expected, "{sentence}");
        }
    }

    #[test]
    fn pieces_may_be_empty() {
        let read = |value: &'static str, separator| -> Vec<_> {
            pieces(value.as_bytes(), separator).map(|piece| std::str::from_utf8(piece).unwrap()).collect()
        };
        assert_eq!(read(" a ,,\"b, c\",", b','), ["a", "", "\"b, c\"", ""]);
        assert_eq!(read("a ; b=\"1;2\"", b';'), ["a", "b=\"1;2\""]);
        assert_eq!(read("", b','), [""]);
    }

    #[test]
    fn a_quoted_string_says_what_is_in_it() {
        assert_eq!(unquote(br#""a\"b""#).unwrap(), b"a\"b");
        assert_eq!(unquote(br#""""#).unwrap(), b"");
        for not in [&b"a"[..], b"\"", b"\"a", b"\"a\"b\"", b"\"a\\\""] {
            assert_eq!(unquote(not), None);
        }
    }

    #[test]
    fn a_megabyte_of_open_quotes_is_read_in_linear_time() {
        let value = "\"\\".repeat(500_000);
        assert_eq!(members(value.as_bytes()).count(), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            for member in members(&value) {
                prop_assert!(!member.is_empty());
                let _ = unquote(member);
            }
        }
    }
}
