//! Integrity fields (RFC 9530): the digests that a message claims of its bytes, and those that a client wants to know.
//!
//! Two algorithms count, [`Algorithm::ALL`]; members of others are ignored. A field that is malformed in any part is
//! taken for absent (RFC 9651 §4.2), and so is a digest of a length that its algorithm does not make: neither says
//! anything that bytes could contradict.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

use super::digest::{Algorithm, Digest};

/// `Content-Digest` (RFC 9530 §2): of the message's content.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// `Repr-Digest` (RFC 9530 §3): of the selected representation, whatever part of it the message carries.
pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// `Want-Content-Digest` (RFC 9530 §4).
pub const WANT_CONTENT_DIGEST: HeaderName = HeaderName::from_static("want-content-digest");
/// `Want-Repr-Digest` (RFC 9530 §4).
pub const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// What a check by HEAD asks for: either will do, and the SHA-256 of stored content is usually known.
pub const EITHER: HeaderValue = HeaderValue::from_static("sha-256=10, sha-512=5");

/// What a whole response claims of its content, in its head and in its trailers.
///
/// Where the content is the whole representation, both fields are about the same bytes: a content coding is part of the
/// representation (RFC 9110 §8.4), and a transfer coding is in neither (RFC 9530 §2, §3). A trailer says as much as the
/// head: RFC 9530 §2: "Content-Digest can be sent in a trailer section"; §3 says the same of `Repr-Digest`.
pub fn claims<'a>(head: &'a HeaderMap, trailers: Option<&'a HeaderMap>) -> impl Iterator<Item = Digest> + 'a {
    let sections = std::iter::once(head).chain(trailers);
    sections.flat_map(|section| [CONTENT_DIGEST, REPR_DIGEST].map(|name| claimed(section, &name))).flatten()
}

/// The digest that a head claims of its representation: by SHA-256 where it has both.
#[must_use]
pub fn repr_digest(head: &HeaderMap) -> Option<Digest> {
    claimed(head, &REPR_DIGEST).into_iter().next()
}

/// Which digests a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Of the representation (`Want-Repr-Digest`).
    pub repr: Option<Algorithm>,
    /// Of the content (`Want-Content-Digest`).
    pub content: Option<Algorithm>,
}

impl Wants {
    /// What the fields of a request ask for.
    #[must_use]
    pub fn of(request: &HeaderMap) -> Self {
        Self { repr: preferred(request, &WANT_REPR_DIGEST), content: preferred(request, &WANT_CONTENT_DIGEST) }
    }
}

/// Whether the field `name` of `head` has a digest by `algorithm`.
#[must_use]
pub fn states(head: &HeaderMap, name: &HeaderName, algorithm: Algorithm) -> bool {
    claimed(head, name).iter().any(|digest| digest.algorithm() == algorithm)
}

/// States `digest` in the field `name` of `head`, beside what that says already. A malformed field is replaced: a
/// member more would not make it readable.
pub fn state(head: &mut HeaderMap, name: HeaderName, digest: &Digest) {
    if dictionary(head, &name).is_some_and(|members| !members.is_empty()) {
        head.append(name, digest.to_member());
    } else {
        head.insert(name, digest.to_member());
    }
}

/// The digests that a field claims, in the order of [`Algorithm::ALL`].
///
/// RFC 9530 §2, §3: a dictionary of byte sequences, keyed by algorithm. "A recipient MAY ignore any or all digests."
fn claimed(section: &HeaderMap, name: &HeaderName) -> Vec<Digest> {
    let Some(members) = dictionary(section, name) else { return Vec::new() };
    let claim = |algorithm: Algorithm| match members.get(algorithm.as_str())? {
        ListEntry::Item(Item { bare_item: BareItem::ByteSequence(bytes), .. }) => Digest::from_bytes(bytes, algorithm),
        _ => None,
    };
    Algorithm::ALL.into_iter().filter_map(claim).collect()
}

/// The algorithm that a field of preferences prefers; of equals, that which is usually known already.
///
/// RFC 9530 §4: each value is an integer from 0 to 10: "1 is the least preferred, 10 is the most preferred, and a value
/// of 0 means "not acceptable"."
fn preferred(request: &HeaderMap, name: &HeaderName) -> Option<Algorithm> {
    let members = dictionary(request, name)?;
    let preference = |algorithm: &Algorithm| match members.get(algorithm.as_str())? {
        ListEntry::Item(Item { bare_item: BareItem::Integer(preference), .. }) => {
            Some(i64::from(*preference)).filter(|preference| (1..=10).contains(preference))
        }
        _ => None,
    };
    // Of equal maxima the last is taken.
    let acceptable =
        Algorithm::ALL.into_iter().rev().filter_map(|algorithm| Some((preference(&algorithm)?, algorithm)));
    acceptable.max_by_key(|(preference, _)| *preference).map(|(_, algorithm)| algorithm)
}

/// All lines of a field as one dictionary (RFC 9651 §4.2: lines are joined with a comma before they are parsed).
fn dictionary(section: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    let lines: Vec<&[u8]> = section.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    Parser::new(&lines.join(&b", "[..])).parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::digest::{Sha256, Sha512};
    use crate::rules::testing::{any_head, head};

    const SHORT: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    const LONG: &str =
        "sha-512=:3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==:";

    fn short() -> Digest {
        Digest::Sha256(Sha256::of(b"abc"))
    }

    fn long() -> Digest {
        Digest::Sha512(Sha512::of(b"abc"))
    }

    #[test]
    fn what_a_field_claims() {
        let both = format!("{LONG}, {SHORT}");
        let rows: &[(&str, &[&str], &[Digest])] = &[
            ("a digest (RFC 9530 §3)", &[SHORT], &[short()]),
            ("by SHA-512", &[LONG], &[long()]),
            ("by both, SHA-256 first", &[&both], &[short(), long()]),
            ("over two lines (RFC 9651 §4.2)", &[LONG, SHORT], &[short(), long()]),
            ("other algorithms are ignored (§5)", &["md5=:AAAA:, unixsum=:AA==:", SHORT], &[short()]),
            ("of two, the last counts (RFC 9651 §4.2.2)", &["sha-256=:AAAA:", SHORT], &[short()]),
            ("parameters mean nothing", &["sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:;x"], &[short()]),
            ("absent", &[], &[]),
            ("a wrong length is no digest", &["sha-256=:AAAA:"], &[]),
            ("and spoils no other", &["sha-512=:AAAA:", SHORT], &[short()]),
            ("no byte sequence", &["sha-256=1"], &[]),
            ("an inner list", &["sha-256=(:AAAA:)"], &[]),
            ("one malformed line spoils the field", &[SHORT, "sha-512=:"], &[]),
            ("the older Digest's syntax", &["SHA-256=ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="], &[]),
        ];
        for (sentence, lines, expected) in rows {
            for name in [CONTENT_DIGEST, REPR_DIGEST] {
                let lines: Vec<_> = lines.iter().map(|line| (name.as_str(), *line)).collect();
                assert_eq!(claimed(&head(&lines), &name), *expected, "{sentence}");
                assert_eq!(claims(&head(&lines), None).collect::<Vec<_>>(), *expected, "{sentence}");
                assert_eq!(claims(&HeaderMap::new(), Some(&head(&lines))).collect::<Vec<_>>(), *expected, "{sentence}");
            }
        }
        let two = head(&[("repr-digest", LONG), ("content-digest", SHORT)]);
        assert_eq!(claims(&two, Some(&two)).collect::<Vec<_>>(), [short(), long(), short(), long()]);
        assert_eq!(repr_digest(&two), Some(long()), "the content's says nothing here");
    }

    #[test]
    fn which_algorithm_is_preferred() {
        use Algorithm::{Sha256, Sha512};
        let rows = [
            ("the only one", "sha-256=10", Some(Sha256)),
            ("the other", "sha-512=1", Some(Sha512)),
            ("the higher", "sha-512=3, sha-256=1", Some(Sha512)),
            ("whatever the order", "sha-512=3, sha-256=4", Some(Sha256)),
            ("of equals, what is usually known", "sha-512=5, sha-256=5", Some(Sha256)),
            ("0 is not acceptable", "sha-256=0", None),
            ("so the other is", "sha-256=0, sha-512=1", Some(Sha512)),
            ("a number out of range says nothing", "sha-256=11", None),
            ("nor one below", "sha-256=-1", None),
            ("nor does a flag", "sha-256", None),
            ("nor a fraction", "sha-256=1.5", None),
            ("others cannot be made", "md5=10, sha-256=1", Some(Sha256)),
            ("nor alone", "md5=10", None),
            ("what is malformed is absent", "sha-256=10, &", None),
        ];
        for (sentence, value, expected) in rows {
            let both = Wants::of(&head(&[("want-repr-digest", value), ("want-content-digest", value)]));
            assert_eq!(both, Wants { repr: expected, content: expected }, "RFC 9530 §4: {sentence}");
        }
        let content = Wants::of(&head(&[("want-content-digest", "sha-256=1")]));
        assert_eq!(content, Wants { repr: None, content: Some(Sha256) }, "each field speaks for itself");
        assert_eq!(Wants::of(&HeaderMap::new()), Wants::default());
    }

    #[test]
    fn a_digest_is_stated_beside_what_is_there() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("alone", &[], &[SHORT]),
            ("beside another algorithm", &[LONG], &[LONG, SHORT]),
            ("beside one that nobody believes", &["md5=:AAAA:"], &["md5=:AAAA:", SHORT]),
            ("in place of what is malformed", &["sha-512=:"], &[SHORT]),
            ("and of nothing at all", &[""], &[SHORT]),
        ];
        for (sentence, lines, expected) in rows {
            let mut fields = head(&lines.iter().map(|line| ("repr-digest", *line)).collect::<Vec<_>>());
            state(&mut fields, REPR_DIGEST, &short());
            let stated: Vec<_> = fields.get_all(REPR_DIGEST).iter().map(|line| line.to_str().unwrap()).collect();
            assert_eq!(stated, *expected, "{sentence}");
        }
    }

    const NAMES: &[&str] = &["repr-digest", "content-digest", "want-repr-digest", "want-content-digest"];

    proptest! {
        #[test]
        fn what_is_stated_is_read(bytes: Vec<u8>, mut any in any_head(NAMES)) {
            for algorithm in Algorithm::ALL {
                let digest = Digest::of(&bytes, algorithm);
                state(&mut any, CONTENT_DIGEST, &digest);
                prop_assert!(states(&any, &CONTENT_DIGEST, algorithm));
                prop_assert!(claims(&any, None).any(|claim| claim == digest));
            }
        }

        #[test]
        fn no_value_makes_it_panic(any in any_head(NAMES)) {
            let _ = (claims(&any, Some(&any)).count(), Wants::of(&any), repr_digest(&any));
        }
    }
}
