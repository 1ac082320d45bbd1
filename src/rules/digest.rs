//! `Digest`: a digest of some bytes, by SHA-256 or SHA-512. The fields that carry one are
//! [`integrity`](super::integrity)'s.
//!
//! It costs about 9 ms per MiB on a CPU without SHA extensions: compute it once, and not on a runtime thread.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT, URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT};
use http::HeaderValue;
use sha2::Digest as _;

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

/// The SHA-512 of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha512(pub [u8; 64]);

impl Sha512 {
    /// The SHA-512 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha512::digest(bytes).into())
    }
}

/// The algorithms whose digests are believed and made: those that RFC 9530 §5 calls active.
///
/// All others in its registry are deprecated: who can choose the bytes can choose the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `sha-256`.
    Sha256,
    /// `sha-512`.
    Sha512,
}

impl Algorithm {
    /// Both, that which is usually known already first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The key in integrity fields.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }
}

/// A digest by either algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// By SHA-256.
    Sha256(Sha256),
    /// By SHA-512.
    Sha512(Sha512),
}

impl Digest {
    /// The digest of `bytes`: for `Content-Digest`, of whatever bytes are a message's content.
    #[must_use]
    pub fn of(bytes: &[u8], algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::of(bytes)),
            Algorithm::Sha512 => Self::Sha512(Sha512::of(bytes)),
        }
    }

    /// The digest that these bytes are; `None` where there are not as many as the algorithm makes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Sha256 => bytes.try_into().ok().map(Sha256).map(Self::Sha256),
            Algorithm::Sha512 => bytes.try_into().ok().map(Sha512).map(Self::Sha512),
        }
    }

    /// By which algorithm it is.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// This digest as a member of an integrity field (RFC 9530 §2): a byte sequence, keyed by its algorithm.
    #[must_use]
    pub fn to_member(&self) -> HeaderValue {
        let bytes = match self {
            Self::Sha256(digest) => &digest.0[..],
            Self::Sha512(digest) => &digest.0[..],
        };
        ascii(&format!("{}=:{}:", self.algorithm().as_str(), STANDARD.encode(bytes)))
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
    use crate::rules::validator::EntityTag;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    const BASE64URL: &str = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";

    #[test]
    fn the_digest_of_abc_in_its_forms() {
        let abc = Sha256::of(b"abc");
        assert_eq!(abc.to_string(), HEX, "FIPS 180-4's own example");
        assert_eq!(abc.entity_tag(), format!("\"{BASE64URL}\""));
        assert_eq!(Digest::Sha256(abc).to_member(), format!("sha-256=:{BASE64}:"));
    }

    #[test]
    fn a_digest_is_as_long_as_its_algorithm_says() {
        for algorithm in Algorithm::ALL {
            let abc = Digest::of(b"abc", algorithm);
            assert_eq!(abc.algorithm(), algorithm);
            let lengths: Vec<_> = (0..100).filter(|n| Digest::from_bytes(&vec![0; *n], algorithm).is_some()).collect();
            assert_eq!(lengths, [if algorithm == Algorithm::Sha256 { 32 } else { 64 }], "FIPS 180-4, figure 1");
        }
        let long = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                    2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        let hex: String = Sha512::of(b"abc").0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, long, "FIPS 180-4's own example");
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
        }

        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = from_endpoint(&body);
        }
    }
}
