//! `is_digest_of`: whether an entity tag is a digest of the stored bytes, whatever its prefix says.
//!
//! A tag that comes out as a digest of the body is a content hash: while the origin makes it so, an equal tag means
//! equal bytes, even if it is marked weak. At least 120 bits are compared, so a tag never looks like a digest by chance.
//!
//! The shape of the tag is matched first: a version number costs no hash. A tag that has the shape of a digest costs at
//! most two passes over the body (32 hexadecimal digits may be MD5 or the start of a SHA-256): about 12 ms per MiB on a
//! CPU without SHA extensions. Ask [`looks_like_digest`] before deciding on which thread to do that.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use sha2::Digest as _;

use super::digest::nibble;
use super::validator::EntityTag;

/// How a recognised tag was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recipe {
    /// The length in hexadecimal, a hyphen, and the first 27 digits of the base64 of SHA-1: the `etag` package of
    /// Express, Koa, Nest and others.
    LengthSha1,
    /// The first 32 hexadecimal digits of SHA-256: `Rack::ETag`, and so Rails and Sinatra.
    Sha256Prefix,
    /// `0` and MD5 in hexadecimal: Spring's `ShallowEtagHeaderFilter`.
    ZeroMd5,
    /// MD5 in hexadecimal: Django, S3 and many by hand.
    Md5Hex,
    /// MD5 in base64: Fastify with `md5`.
    Md5Base64,
    /// SHA-1 in hexadecimal: werkzeug, Hono, Tornado.
    Sha1Hex,
    /// SHA-1 in base64: Fastify with `sha1`.
    Sha1Base64,
    /// SHA-256 in hexadecimal.
    Sha256Hex,
    /// SHA-256 in base64.
    Sha256Base64,
    /// SHA-384 in hexadecimal.
    Sha384Hex,
    /// SHA-384 in base64.
    Sha384Base64,
    /// SHA-512 in hexadecimal.
    Sha512Hex,
    /// SHA-512 in base64.
    Sha512Base64,
}

impl Recipe {
    /// The word for this recipe in logs and `explain`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LengthSha1 => "length-sha1",
            Self::Sha256Prefix => "sha256-prefix",
            Self::ZeroMd5 => "0-md5",
            Self::Md5Hex => "md5-hex",
            Self::Md5Base64 => "md5-base64",
            Self::Sha1Hex => "sha1-hex",
            Self::Sha1Base64 => "sha1-base64",
            Self::Sha256Hex => "sha256-hex",
            Self::Sha256Base64 => "sha256-base64",
            Self::Sha384Hex => "sha384-hex",
            Self::Sha384Base64 => "sha384-base64",
            Self::Sha512Hex => "sha512-hex",
            Self::Sha512Base64 => "sha512-base64",
        }
    }
}

/// The recipe by which `tag` is a digest of `body`, if it is one that is known.
///
/// Hashes the body up to twice if the tag has the shape of a digest; see the top of this file for the cost.
#[must_use]
pub fn is_digest_of(tag: &EntityTag, body: &[u8]) -> Option<Recipe> {
    let (recipes, bytes) = candidates(tag.opaque(), body.len())?;
    recipes.iter().copied().find(|recipe| {
        let digest = hash(*recipe, body);
        // Only the recipe that says so may be cut; the shape has fixed the length of all others.
        digest.get(..bytes.len()) == Some(&*bytes)
    })
}

/// Whether `tag` has the shape of a digest of a body of `length` bytes, so that [`is_digest_of`] would hash it.
#[must_use]
pub fn looks_like_digest(tag: &EntityTag, length: usize) -> bool {
    candidates(tag.opaque(), length).is_some()
}

/// The recipes that a tag's shape leaves, and the digest that it would state.
fn candidates(opaque: &[u8], length: usize) -> Option<(&'static [Recipe], Vec<u8>)> {
    use Recipe::*;
    let (named, text) = split_name(opaque);
    if named.is_none()
        && let Some(hyphen) = opaque.iter().position(|&byte| byte == b'-')
        && opaque[..hyphen] == *format!("{length:x}").as_bytes()
        && matches!(opaque.len() - hyphen, 28 | 29)
        && let Some(digest) = base64(&opaque[hyphen + 1..])
    {
        return Some((&[LengthSha1], digest));
    }
    if let Some(digest) = hex(text) {
        let recipes: &'static [Recipe] = match (digest.len(), named) {
            (16, None) => &[Md5Hex, Sha256Prefix],
            (16, Some(Md5Hex)) => &[Md5Hex],
            (16, Some(Sha256Hex)) => &[Sha256Prefix],
            (20, None | Some(Sha1Hex)) => &[Sha1Hex],
            (32, None | Some(Sha256Hex)) => &[Sha256Hex],
            (48, None | Some(Sha384Hex)) => &[Sha384Hex],
            (64, None | Some(Sha512Hex)) => &[Sha512Hex],
            _ => return None,
        };
        return Some((recipes, digest));
    }
    if let ([b'0', rest @ ..], None) = (text, named)
        && rest.len() == 32
        && let Some(digest) = hex(rest)
    {
        return Some((&[ZeroMd5], digest));
    }
    let digest = base64(text)?;
    let recipes: &'static [Recipe] = match (digest.len(), named) {
        (16, None | Some(Md5Hex)) => &[Md5Base64],
        (20, None | Some(Sha1Hex)) => &[Sha1Base64],
        (32, None | Some(Sha256Hex)) => &[Sha256Base64],
        (48, None | Some(Sha384Hex)) => &[Sha384Base64],
        (64, None | Some(Sha512Hex)) => &[Sha512Base64],
        _ => return None,
    };
    Some((recipes, digest))
}

/// The algorithm that a tag names before its digest (`sha256-…`, `SHA-256:…`, `sha-256=:…:`), and the rest of it.
fn split_name(opaque: &[u8]) -> (Option<Recipe>, &[u8]) {
    const NAMES: [(&str, Recipe); 9] = [
        ("md5", Recipe::Md5Hex),
        ("sha1", Recipe::Sha1Hex),
        ("sha-1", Recipe::Sha1Hex),
        ("sha256", Recipe::Sha256Hex),
        ("sha-256", Recipe::Sha256Hex),
        ("sha384", Recipe::Sha384Hex),
        ("sha-384", Recipe::Sha384Hex),
        ("sha512", Recipe::Sha512Hex),
        ("sha-512", Recipe::Sha512Hex),
    ];
    for (name, recipe) in NAMES {
        let Some((head, rest)) = opaque.split_at_checked(name.len()) else { continue };
        if head.eq_ignore_ascii_case(name.as_bytes()) {
            match rest {
                [b'=', b':', inner @ .., b':'] => return (Some(recipe), inner),
                [b'-' | b':' | b'=', rest @ ..] => return (Some(recipe), rest),
                _ => {}
            }
        }
    }
    (None, opaque)
}

fn hash(recipe: Recipe, body: &[u8]) -> Vec<u8> {
    use Recipe::*;
    match recipe {
        Md5Hex | Md5Base64 | ZeroMd5 => md5::Md5::digest(body).to_vec(),
        LengthSha1 | Sha1Hex | Sha1Base64 => sha1::Sha1::digest(body).to_vec(),
        Sha256Prefix | Sha256Hex | Sha256Base64 => sha2::Sha256::digest(body).to_vec(),
        Sha384Hex | Sha384Base64 => sha2::Sha384::digest(body).to_vec(),
        Sha512Hex | Sha512Base64 => sha2::Sha512::digest(body).to_vec(),
    }
}

/// The bytes that 32 to 128 hexadecimal digits write, in either case.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    if !(32..=128).contains(&text.len()) || !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

/// The bytes that 22 to 88 digits of base64 or base64url write, with or without padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    // Trailing bits may be set: 27 digits hold two bits more than a SHA-1, and a cut leaves them as they fall.
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);
    if !(22..=88).contains(&text.len()) {
        return None;
    }
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use ::base64::engine::general_purpose;
    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] = b"abc";

    fn tag(opaque: &str) -> EntityTag {
        EntityTag::new(true, opaque.as_bytes()).unwrap()
    }

    #[test]
    fn tags_that_frameworks_make() {
        let rows = [
            ("Express: length and 27 digits", "3-qZk+NkcGgWq6PiVxeFDCbJzQ2J0", Recipe::LengthSha1),
            ("Rack::ETag: half a SHA-256", "ba7816bf8f01cfea414140de5dae2223", Recipe::Sha256Prefix),
            ("Spring: a zero and MD5", "0900150983cd24fb0d6963f7d28e17f72", Recipe::ZeroMd5),
            ("Django: MD5", "900150983cd24fb0d6963f7d28e17f72", Recipe::Md5Hex),
            ("in capitals", "900150983CD24FB0D6963F7D28E17F72", Recipe::Md5Hex),
            ("Fastify with md5", "kAFQmDzST7DWlj99KOF/cg==", Recipe::Md5Base64),
            ("Fastify with sha1", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", Recipe::Sha1Base64),
            ("werkzeug: SHA-1", "a9993e364706816aba3e25717850c26c9cd0d89d", Recipe::Sha1Hex),
            ("SHA-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Recipe::Sha256Hex),
            ("base64url without padding", "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", Recipe::Sha256Base64),
            ("named", "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", Recipe::Sha256Base64),
            ("named as RFC 9530 does", "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:", Recipe::Sha256Base64),
            ("named in hexadecimal", "MD5:900150983cd24fb0d6963f7d28e17f72", Recipe::Md5Hex),
        ];
        for (sentence, opaque, recipe) in rows {
            assert_eq!(is_digest_of(&tag(opaque), BODY), Some(recipe), "{sentence}");
            assert_eq!(is_digest_of(&tag(opaque), b"abd"), None, "{sentence}, of another body");
        }
        assert_eq!(is_digest_of(&tag("0-2jmj7l5rSw0yVb/vlWAYkK/YBwk"), b""), Some(Recipe::LengthSha1));
    }

    #[test]
    fn an_opaque_version_costs_no_hash() {
        let rows = [
            "",
            "1",
            "v1.2.3",
            "65a1b2c3-1f4",
            "550e8400-e29b-41d4-a716-446655440000",
            // Express's form for a body of another length.
            "4-qZk+NkcGgWq6PiVxeFDCbJzQ2J0",
            // 116 bits are too few to exclude chance.
            "ba7816bf8f01cfea414140de5dae2",
            "this-is-a-tag-of-some-other-kind",
        ];
        for opaque in rows {
            assert!(!looks_like_digest(&tag(opaque), BODY.len()), "{opaque}");
        }
    }

    #[test]
    fn every_whole_digest_in_every_form_is_recognised() {
        use Recipe::*;
        let pairs = [
            (Md5Hex, Md5Base64),
            (Sha1Hex, Sha1Base64),
            (Sha256Hex, Sha256Base64),
            (Sha384Hex, Sha384Base64),
            (Sha512Hex, Sha512Base64),
        ];
        for (in_hex, in_base64) in pairs {
            let digest = hash(in_hex, BODY);
            let lower: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            for form in [lower.to_ascii_uppercase(), lower] {
                assert_eq!(is_digest_of(&tag(&form), BODY), Some(in_hex), "{form}");
            }
            for form in [
                general_purpose::STANDARD.encode(&digest),
                general_purpose::STANDARD_NO_PAD.encode(&digest),
                general_purpose::URL_SAFE.encode(&digest),
                general_purpose::URL_SAFE_NO_PAD.encode(&digest),
            ] {
                assert_eq!(is_digest_of(&tag(&form), BODY), Some(in_base64), "{form}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_tag_makes_it_panic_or_is_recognised_by_chance(opaque in "[!#-~]{0,100}") {
            prop_assert_eq!(is_digest_of(&tag(&opaque), BODY), None);
        }

        #[test]
        fn a_recognised_tag_is_recognised_for_no_other_body(one: Vec<u8>, two: Vec<u8>) {
            let tag = tag(&hash(Recipe::Sha1Hex, &one).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            prop_assert_eq!(is_digest_of(&tag, &two).is_some(), one == two);
        }
    }
}
