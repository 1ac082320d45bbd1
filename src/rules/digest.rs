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
/// RFC 9530 §4: the value of each algorithm is a preference from 0 to 10; "0 means "not acceptable"".
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
/// Accepted, each with whitespace around it and in double quotes or not: 64 hexadecimal digits, base64 or base64url;
/// the same after `sha256:`, `sha-256:`, `sha256=` or `sha-256=`; and RFC 9530's `sha-256=:…:`. Anything else is no
/// answer: to guess here would be to trust a page that merely happens to hold a number.
#[must_use]
pub fn from_endpoint(body: &[u8]) -> Option<Sha256> {
    let mut text = body.get(..LONGEST_ANSWER).map_or(body, |_| &[]).trim_ascii();
    if let [b'"', inner @ .., b'"'] = text {
        text = inner;
    }
    for prefix in [&b"sha-256"[..], b"sha256"] {
        let Some((head, rest)) = text.split_at_checked(prefix.len()) else { continue };
        if head.eq_ignore_ascii_case(prefix) {
            text = match rest {
                [b'=', b':', inner @ .., b':'] => inner,
                [b'=' | b':', rest @ ..] => rest,
                _ => return None,
            };
            break;
        }
    }
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
