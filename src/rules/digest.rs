//! `Sha256`: the digest of a representation, and the fields that carry one (RFC 9530).
//!
//! It costs about 9 ms per MiB on a CPU without SHA extensions: compute it once, and not on a runtime thread.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT, URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};
use sha2::Digest as _;

/// `Repr-Digest` (RFC 9530 §3).
pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// `Want-Repr-Digest` (RFC 9530 §4).
pub const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// The longest answer of a digest endpoint that is read, in bytes: the longest form is 75 with quotes.
const LONGEST_ANSWER: usize = 256;

/// The SHA-256 of some bytes. It is shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A strong entity tag of this digest, for origins that send none.
    #[must_use]
    pub fn entity_tag(&self) -> HeaderValue {
        ascii(&format!("\"{}\"", URL_SAFE_NO_PAD.encode(self.0)))
    }

    /// This digest as the value of `Repr-Digest`.
    #[must_use]
    pub fn repr_digest(&self) -> HeaderValue {
        ascii(&format!("sha-256=:{}:", STANDARD.encode(self.0)))
    }

    /// The digest that 64 hexadecimal digits write.
    #[must_use]
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(digest))
    }

    /// The digest that base64 or base64url writes, with or without padding.
    #[must_use]
    pub fn from_base64(text: &[u8]) -> Option<Self> {
        let mut digest = [0; 48];
        let length = STANDARD_PAD_INDIFFERENT
            .decode_slice(text, &mut digest)
            .or_else(|_| URL_SAFE_PAD_INDIFFERENT.decode_slice(text, &mut digest))
            .ok()?;
        digest.get(..length)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

/// The `sha-256` of a `Repr-Digest` field; `None` when it is absent, or the field is malformed in any part.
///
/// RFC 9530 §2, §3: a dictionary of byte sequences, keyed by algorithm. Other algorithms are ignored.
#[must_use]
pub fn repr_digest_of(head: &HeaderMap) -> Option<Sha256> {
    let dictionary = dictionary(head, &REPR_DIGEST)?;
    match dictionary.get("sha-256")? {
        ListEntry::Item(Item { bare_item: BareItem::ByteSequence(bytes), .. }) => {
            bytes.as_slice().try_into().ok().map(Sha256)
        }
        _ => None,
    }
}

/// Whether a request asks for a `Repr-Digest` in SHA-256.
///
/// RFC 9530 §4: the value of each algorithm is a preference from 0 to 10, and "a value of 0 means "not acceptable"".
#[must_use]
pub fn wants_repr_digest(head: &HeaderMap) -> bool {
    let Some(dictionary) = dictionary(head, &WANT_REPR_DIGEST) else { return false };
    match dictionary.get("sha-256") {
        Some(ListEntry::Item(Item { bare_item: BareItem::Integer(preference), .. })) => {
            (1..=10).contains(&i64::from(*preference))
        }
        _ => false,
    }
}

/// The digest that the body of a digest endpoint's answer states.
///
/// Accepted, with or without whitespace around it and double quotes: 64 hexadecimal digits, base64 or base64url, each
/// also after `sha256:`; and RFC 9530's `sha-256=:…:`. Anything else is no answer: to guess here would be to trust a page
/// that merely happens to hold a number.
#[must_use]
pub fn from_endpoint(body: &[u8]) -> Option<Sha256> {
    let mut text = body.get(..LONGEST_ANSWER).map_or(body, |_| &[]).trim_ascii();
    if let [b'"', inner @ .., b'"'] = text {
        text = inner;
    }
    if let Some(inner) = text.strip_prefix(b"sha-256=:") {
        return Sha256::from_base64(inner.strip_suffix(b":")?);
    }
    text = text.strip_prefix(b"sha256:").unwrap_or(text);
    Sha256::from_hex(text).or_else(|| Sha256::from_base64(text))
}

/// All lines of a field as one dictionary (RFC 9651 §4.2: lines are joined with a comma before they are parsed).
fn dictionary(head: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    let lines: Vec<&[u8]> = head.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    Parser::new(&lines.join(&b", "[..])).parse().ok()
}

/// The value of one hexadecimal digit, in either case.
pub(super) const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn ascii(text: &str) -> HeaderValue {
    // Base64 and punctuation are always allowed in a field value, so this cannot fail.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{any_head, head};
    use crate::rules::validator::EntityTag;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    const BASE64URL: &str = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";

    #[test]
    fn the_digest_of_abc_in_its_forms() {
        let abc = Sha256::of(b"abc");
        assert_eq!(abc.to_string(), HEX, "FIPS 180-4's own example");
        assert_eq!(abc.entity_tag(), format!("\"{BASE64URL}\""));
        assert_eq!(abc.repr_digest(), format!("sha-256=:{BASE64}:"));
    }

    #[test]
    fn repr_digest_fields() {
        let good = format!("sha-256=:{BASE64}:");
        let rows: &[(&str, &[&str], bool)] = &[
            ("RFC 9530 §3", &[&good], true),
            ("other algorithms are ignored", &["md5=:AAAA:, unixsum=:AA==:", &good], true),
            ("of two, the last counts (RFC 9651 §4.2.2)", &["sha-256=:AAAA:", &good], true),
            ("absent", &[], false),
            ("another algorithm alone", &["sha-512=:AAAA:"], false),
            ("a wrong length", &["sha-256=:AAAA:"], false),
            ("no byte sequence", &["sha-256=1"], false),
            ("one malformed line spoils the field", &[&good, "sha-512=:"], false),
            ("the older Digest's syntax", &["SHA-256=ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="], false),
        ];
        for (sentence, lines, expected) in rows {
            let lines: Vec<_> = lines.iter().map(|line| ("repr-digest", *line)).collect();
            assert_eq!(repr_digest_of(&head(&lines)), expected.then(|| Sha256::of(b"abc")), "{sentence}");
        }
    }

    #[test]
    fn want_repr_digest_fields() {
        let rows = [
            ("sha-256=10", true),
            ("sha-512=3, sha-256=1", true),
            ("sha-256=0", false),
            ("sha-256=11", false),
            ("sha-256", false),
            ("sha-512=10", false),
        ];
        for (value, expected) in rows {
            assert_eq!(wants_repr_digest(&head(&[("want-repr-digest", value)])), expected, "RFC 9530 §4: {value}");
        }
        assert!(!wants_repr_digest(&HeaderMap::new()));
    }

    #[test]
    fn answers_of_a_digest_endpoint() {
        let upper = HEX.to_ascii_uppercase();
        for said in [HEX, &upper, BASE64, BASE64URL, BASE64.trim_end_matches('=')] {
            for form in
                [said.to_owned(), format!("sha256:{said}"), format!("\"{said}\""), format!(" \n\"sha256:{said}\"\r\n")]
            {
                assert_eq!(from_endpoint(form.as_bytes()), Some(Sha256::of(b"abc")), "{form}");
            }
        }
        assert_eq!(from_endpoint(format!("sha-256=:{BASE64}:\n").as_bytes()), Some(Sha256::of(b"abc")));
        let json = format!("{{\"sha256\":\"{HEX}\"}}");
        let two = format!("{HEX}  file.txt");
        let long = format!("{}{HEX}", " ".repeat(300));
        for not in ["", "\"", "\"\"", "404 not found", &HEX[1..], &json, &two, &long, "sha-256=:AAAA:", "sha-256=:"] {
            assert_eq!(from_endpoint(not.as_bytes()), None, "{not}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read(digest: [u8; 32]) {
            let digest = Sha256(digest);
            prop_assert_eq!(from_endpoint(digest.to_string().as_bytes()), Some(digest));
            prop_assert_eq!(from_endpoint(digest.entity_tag().as_bytes()), Some(digest));
            prop_assert!(!EntityTag::parse(&digest.entity_tag()).unwrap().weak);
            let mut head = HeaderMap::new();
            head.insert(REPR_DIGEST, digest.repr_digest());
            prop_assert_eq!(repr_digest_of(&head), Some(digest));
        }

        #[test]
        fn no_bytes_make_it_panic(
            any in any_head(&["repr-digest", "want-repr-digest"]), body in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = (repr_digest_of(&any), wants_repr_digest(&any), from_endpoint(&body));
        }
    }
}
