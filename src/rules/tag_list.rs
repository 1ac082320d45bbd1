//! `TagList`: the entity tags that a condition names, or `*` for any (RFC 9110 §13.1.1, §13.1.2).

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use super::list::trim;
use super::validator::{EntityTag, header_value};

/// The most tags that are read from a list; later ones are left out, which can only make an answer longer.
///
/// Clients send the tags of the variants that they hold: a handful. 1,000 distinct tags do not fit a head of 32 KiB.
const MOST_TAGS: usize = 1024;

/// What `If-None-Match` or `If-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagList {
    /// `*`: any current representation.
    Any,
    /// These tags, in their order; empty when no member was well-formed.
    Tags(Vec<EntityTag>),
}

impl TagList {
    /// The list in all field lines called `name`, or `None` when there is no such line.
    ///
    /// Malformed members are ignored; at most 1,024 tags are kept. Linear in the length of the field.
    #[must_use]
    pub fn of(head: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut lines = head.get_all(name).iter().peekable();
        lines.peek()?;
        let mut tags = Vec::new();
        let mut wildcard = false;
        let mut alone = true;
        for line in lines {
            let mut rest = trim_separators(line.as_bytes());
            while !rest.is_empty() && tags.len() < MOST_TAGS {
                alone &= !wildcard && tags.is_empty();
                rest = match EntityTag::take(rest) {
                    Some((tag, after)) if ends_member(after) => {
                        tags.push(tag);
                        after
                    }
                    _ => {
                        let end = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
                        let (member, after) = rest.split_at(end);
                        // A malformed member beside `*` takes its meaning away as well as a tag does.
                        if trim(member) == b"*" {
                            wildcard = true;
                        } else {
                            alone = false;
                        }
                        after
                    }
                };
                rest = trim_separators(rest);
            }
        }
        // RFC 9110 §13.1.2: `If-None-Match = "*" / #entity-tag`: among others, `*` is malformed.
        Some(if wildcard && alone { Self::Any } else { Self::Tags(tags) })
    }

    /// Whether the list names `tag` by weak comparison, as `If-None-Match` compares (RFC 9110 §13.1.2).
    #[must_use]
    pub fn names_weakly(&self, tag: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|one| one.weak_eq(tag)),
        }
    }

    /// The list as one field value.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        match self {
            Self::Any => HeaderValue::from_static("*"),
            Self::Tags(tags) => header_value(tags),
        }
    }
}

fn trim_separators(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b',', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn ends_member(after: &[u8]) -> bool {
    matches!(after.iter().find(|byte| !matches!(byte, b' ' | b'\t')), None | Some(b','))
}

#[cfg(test)]
mod tests {
    use http::header::IF_NONE_MATCH;
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{any_head, any_tag, head};

    fn tag(text: &str) -> EntityTag {
        EntityTag::parse(&HeaderValue::from_bytes(text.as_bytes()).unwrap()).unwrap()
    }

    fn list(lines: &[&str]) -> TagList {
        let lines: Vec<_> = lines.iter().map(|line| ("if-none-match", *line)).collect();
        TagList::of(&head(&lines), &IF_NONE_MATCH).unwrap()
    }

    #[test]
    fn lists_of_tags() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("members in order, over several lines", &["\"1\", W/\"2\"", "\"3\""], &["\"1\"", "W/\"2\"", "\"3\""]),
            ("a comma within quotes is the tag's", &["\"a,b\",\"c\""], &["\"a,b\"", "\"c\""]),
            ("empty members are ignored", &[", ,\"1\",,"], &["\"1\""]),
            ("malformed members are ignored", &["1, \"2\", \"3\"x, \"4\""], &["\"2\"", "\"4\""]),
            ("an asterisk among tags is malformed (RFC 9110 §13.1.2)", &["\"1\", *"], &["\"1\""]),
            ("so are two", &["*, *"], &[]),
            ("and one beside what is malformed", &["x", "*"], &[]),
            ("nothing well-formed is still a list", &["x"], &[]),
        ];
        for (sentence, lines, expected) in rows {
            let expected = expected.iter().map(|text| tag(text)).collect();
            assert_eq!(list(lines), TagList::Tags(expected), "{sentence}");
        }
        assert_eq!(list(&[" * "]), TagList::Any);
        assert_eq!(TagList::of(&HeaderMap::new(), &IF_NONE_MATCH), None);
    }

    #[test]
    fn ten_thousand_tags_are_read_once() {
        // Quadratic work over these 1.6 MB would take minutes, not milliseconds.
        let well_formed: Vec<String> = (0..10_000).map(|n| format!("\"{n}{}\"", "x".repeat(150))).collect();
        let TagList::Tags(tags) = list(&[&well_formed.join(", ")]) else { panic!("tags") };
        assert_eq!(tags.len(), MOST_TAGS);
        for junk in ["\"a b\",", "\"", "W/", " ", ",", "*,", "\"\" "] {
            let _ = list(&[&junk.repeat(400_000)]);
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read(tags in proptest::collection::vec(any_tag(), 1..20)) {
            let list = TagList::Tags(tags);
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, list.to_header_value());
            prop_assert_eq!(TagList::of(&request, &IF_NONE_MATCH), Some(list));
        }

        #[test]
        fn no_value_makes_it_panic(any in any_head(&["if-none-match"])) {
            let _ = TagList::of(&any, &IF_NONE_MATCH);
        }
    }
}
