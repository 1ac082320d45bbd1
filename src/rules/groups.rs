//! `Groups`: what relates stored responses of one origin, so that they can be invalidated together (RFC 9875).
//!
//! A response names the groups that it belongs to in `Cache-Groups`; the answer to an unsafe request names those that it
//! invalidates in `Cache-Group-Invalidation`. Here a group is the hash of its name: two may share one, and then more is
//! invalidated than was meant, never less.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use sfv::{BareItem, Item, List, ListEntry, Parser};

/// `Cache-Groups` (RFC 9875 §2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// `Cache-Group-Invalidation` (RFC 9875 §3).
pub const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The most groups that are remembered of a response, 8 bytes each; a name may have any length.
///
/// RFC 9875 §2: "Implementations MUST support at least 32 groups in a field value, with up to at least 32 characters in
/// each member." A response that names more is taken for one that belongs to every group of its origin: to leave some
/// out would be to keep it when it should go.
pub const GROUPS_MAX: usize = 512;

/// Some groups of one origin; none takes no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(Box<[u64]>);

impl Groups {
    /// The groups that a response belongs to.
    #[must_use]
    pub fn of(head: &HeaderMap) -> Self {
        Self::remembered(names(head, &CACHE_GROUPS))
    }

    /// These groups and the others.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self::remembered(once_each(self.0.iter().chain(&others.0).copied().collect()))
    }

    /// The groups that an answer to an unsafe request invalidates: all that it names, and with them whatever belongs to
    /// every group.
    #[must_use]
    pub fn invalidated_by(head: &HeaderMap) -> Self {
        let mut names = names(head, &CACHE_GROUP_INVALIDATION);
        if !names.is_empty() {
            names.push(every());
        }
        Self(names.into())
    }

    fn remembered(names: Vec<u64>) -> Self {
        let every = every();
        if names.len() > GROUPS_MAX || names.contains(&every) { Self([every].into()) } else { Self(names.into()) }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A hash of each group and the origin together, given a hash of the origin.
    ///
    /// RFC 9875 §2.1: responses are in the same group if "They both share the same URI origin".
    pub fn hashes(&self, origin: u64) -> impl Iterator<Item = u64> {
        self.0.iter().map(move |group| group ^ origin)
    }

    /// What they weigh in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// The names in a list of strings, hashed, each once.
///
/// RFC 9875 §2.1: names are the same if they are so "character by character (case sensitive)"; §2: "unrecognised
/// parameters are to be ignored". A field that is malformed, or has a member that is no string, is ignored (RFC 9651
/// §1.1, §4.2).
fn names(head: &HeaderMap, field: &HeaderName) -> Vec<u64> {
    let lines: Vec<&[u8]> = head.get_all(field).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    let Ok(members) = Parser::new(&lines.join(&b", "[..])).parse::<List>() else { return Vec::new() };
    let name = |member: &ListEntry| match member {
        ListEntry::Item(Item { bare_item: BareItem::String(name), .. }) => Some(hash(name.as_str())),
        _ => None,
    };
    once_each(members.iter().map(name).collect::<Option<_>>().unwrap_or_default())
}

fn once_each(mut names: Vec<u64>) -> Vec<u64> {
    names.sort_unstable();
    names.dedup();
    names
}

/// What stands for every group of an origin: the hash of what no string can say (RFC 9651 §3.3.3).
fn every() -> u64 {
    hash("\0")
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{any_head, head};

    /// Whether a response with these lines of `Cache-Groups` is invalidated by this `Cache-Group-Invalidation`.
    fn touches(lines: &[&str], invalidation: &str) -> bool {
        let lines: Vec<_> = lines.iter().map(|line| ("cache-groups", *line)).collect();
        let invalidated = Groups::invalidated_by(&head(&[("cache-group-invalidation", invalidation)]));
        Groups::of(&head(&lines)).hashes(7).any(|group| invalidated.hashes(7).any(|other| other == group))
    }

    /// A list of `n` different names, each of `length` characters or more.
    fn list(n: usize, length: usize) -> String {
        (0..n).map(|n| format!("\"{n:0>length$}\"")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn which_responses_an_invalidation_touches() {
        let rows: &[(&str, &[&str], &str, bool)] = &[
            ("one of a group that it names (RFC 9875 §3)", &[r#""a""#], r#""a""#, true),
            ("in any position of either list (§2.1)", &[r#""b", "a""#], r#""c", "a", "d""#, true),
            ("over several lines (RFC 9651 §4.2)", &[r#""b""#, r#""a""#], r#""a""#, true),
            ("whatever the parameters (§2)", &[r#""a";x=1"#], r#""a";y"#, true),
            ("however a name is escaped (RFC 9651 §4.2.5)", &[r#""\"a""#], r#""\"a""#, true),
            ("even a group without a name", &[r#""""#], r#""""#, true),
            ("none of another group", &[r#""b""#], r#""a""#, false),
            ("names have a case (§2.1)", &[r#""A""#], r#""a""#, false),
            ("and blanks", &[r#""a ""#], r#""a""#, false),
            ("none of no group", &[], r#""a""#, false),
            ("nor of an empty list", &[""], r#""a""#, false),
            ("an invalidation of nothing touches none", &[r#""a""#], "", false),
            ("nor does one that is malformed (RFC 9651 §4.2)", &[r#""a""#], r#""a", ""#, false),
            ("tokens are no strings: the field is ignored (RFC 9651 §1.1)", &[r#""a", b"#], r#""a""#, false),
            ("so are inner lists", &[r#"("a")"#], r#""a""#, false),
        ];
        for (sentence, lines, invalidation, expected) in rows {
            assert_eq!(touches(lines, invalidation), *expected, "{sentence}");
        }
    }

    #[test]
    fn what_names_too_many_groups_belongs_to_all() {
        let (most, more) = (list(GROUPS_MAX, 300), list(GROUPS_MAX + 1, 1));
        assert!(
            touches(&[&most], &format!("\"{:0>300}\"", GROUPS_MAX - 1)),
            "as many as are remembered, of any length"
        );
        assert!(!touches(&[&most], "\"other\""));
        assert!(touches(&[&more], "\"512\""));
        assert!(touches(&[&more], "\"other\""), "more than was meant, never less");
        assert!(!touches(&[&more], ""));
        assert!(touches(&["\"512\""], &more), "an invalidation may name any number");
        let doubled = format!("{most}, {most}");
        assert!(!touches(&[&doubled], "\"other\""), "each counts once");
        let weight = |list: &str| Groups::of(&head(&[("cache-groups", list)])).weight();
        assert_eq!((weight(&most), weight(&more), weight("")), (8 * GROUPS_MAX, 8, 0));
    }

    #[test]
    fn groups_come_together() {
        let of = |list: &str| Groups::of(&head(&[("cache-groups", list)]));
        let every = of(&list(GROUPS_MAX + 1, 1));
        assert_eq!(of(r#""a", "b""#).and(&of(r#""b", "c""#)), of(r#""a", "b", "c""#));
        assert_eq!(of("").and(&of(r#""a""#)), of(r#""a""#));
        assert_eq!(of(&list(GROUPS_MAX, 1)).and(&of(r#""a""#)), every, "more than are remembered");
        assert_eq!(every.and(&of(r#""a""#)), every);
    }

    #[test]
    fn groups_are_of_one_origin() {
        let of = |list| Groups::of(&head(&[("cache-groups", list)]));
        let invalidated = Groups::invalidated_by(&head(&[("cache-group-invalidation", "\"a\"")]));
        assert!(!of("\"a\"").hashes(1).any(|group| invalidated.hashes(2).any(|other| other == group)), "RFC 9875 §2.1");
        assert!(of("").is_empty() && Groups::default().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_named_is_touched(names in proptest::collection::vec("[ -~]{0,40}", 1..40), pick: prop::sample::Index) {
            let quoted = |name: &String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
            let list = names.iter().map(quoted).collect::<Vec<_>>().join(",");
            prop_assert!(touches(&[&list], &quoted(pick.get(&names))));
            prop_assert!(touches(&[&quoted(pick.get(&names))], &list));
        }

        #[test]
        fn no_value_makes_it_panic(any in any_head(&["cache-groups", "cache-group-invalidation"])) {
            let _ = (Groups::of(&any), Groups::invalidated_by(&any));
        }
    }
}
