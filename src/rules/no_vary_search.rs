//! `Variance`: how the responses of a path vary by the query, as `No-Vary-Search` says
//! (draft-ietf-httpbis-no-vary-search-05).
//!
//! §6 of the draft lets a stored response answer for a target that differs from its own in the query alone, if both are
//! equivalent under the variance of that response. Queries are read as `application/x-www-form-urlencoded`, and here,
//! unlike in keys, names and values are decoded: the origin itself says what it takes for equal.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

use super::fields::StoredFields;

/// How responses vary by the query; never the default, by which each byte of it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variance {
    /// The parameters that count.
    params: Params,
    /// Whether the order of parameters with different names counts.
    order: bool,
}

/// Which parameters count.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Params {
    /// All but these.
    AllBut(Box<[String]>),
    /// These.
    Only(Box<[String]>),
}

impl Variance {
    /// What a response says, or `None` where each byte of the query counts: because nothing is said, or what is said is
    /// not understood.
    #[must_use]
    pub fn of(head: &HeaderMap) -> Option<Self> {
        Self::read(head.get_all("no-vary-search").iter().map(HeaderValue::as_bytes))
    }

    /// The same, of a response that is stored.
    #[must_use]
    pub fn of_stored(fields: &StoredFields) -> Option<Self> {
        Self::read(fields.get_all("no-vary-search"))
    }

    fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let lines: Vec<&[u8]> = lines.collect();
        if lines.is_empty() {
            return None;
        }
        let said: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
        // §4.1: unknown keys and parameters are ignored, anything else that is not as it should be means the default.
        let order = match said.get("key-order") {
            None => true,
            Some(entry) => !flag(entry)?,
        };
        let params = match (said.get("params"), said.get("except")) {
            (None, None) => Params::AllBut(Box::default()),
            (None, Some(_)) => return None,
            (Some(ListEntry::InnerList(names)), None) => Params::AllBut(read(names)?),
            (Some(ListEntry::InnerList(_)), Some(_)) => return None,
            (Some(all), except) => match (flag(all)?, except) {
                (true, None) => Params::Only(Box::default()),
                (true, Some(ListEntry::InnerList(names))) => Params::Only(read(names)?),
                (false, None) => Params::AllBut(Box::default()),
                (true | false, Some(_)) => return None,
            },
        };
        let says_nothing = order && matches!(&params, Params::AllBut(names) if names.is_empty());
        (!says_nothing).then_some(Self { params, order })
    }

    /// Whether two targets with the same path are equivalent (§5). A query that is empty is one that is absent.
    #[must_use]
    pub fn equates(&self, one: &str, two: &str) -> bool {
        self.counting(one) == self.counting(two)
    }

    /// The parameters of a target that count, decoded, in the order that counts.
    fn counting<'a>(&self, target: &'a str) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let counts = |name: &str| match &self.params {
            Params::AllBut(names) => !names.iter().any(|other| *other == *name),
            Params::Only(names) => names.iter().any(|other| *other == *name),
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let mut counting: Vec<_> = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .filter(|(name, _)| counts(name))
            .collect();
        if !self.order {
            counting.sort_by(|(one, _), (two, _)| one.cmp(two));
        }
        counting
    }

    /// What it weighs in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let (Params::AllBut(names) | Params::Only(names)) = &self.params;
        size_of::<Self>() + names.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>()
    }
}

/// The value of an entry that must be a Boolean.
fn flag(entry: &ListEntry) -> Option<bool> {
    match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::Boolean(flag) => Some(flag),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    }
}

/// The names in an inner list that must be of Strings (§4.3: "Parse a key").
fn read(names: &InnerList) -> Option<Box<[String]>> {
    let read = |item: &sfv::Item| match &item.bare_item {
        BareItem::String(name) => Some(decoded(name.as_str()).into_owned()),
        _ => None,
    };
    names.items.iter().map(read).collect()
}

/// A name or value as the URL standard's form parser has it: `+` is a space, escapes are bytes, and what is not UTF-8
/// then becomes U+FFFD.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        bytes.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (byte, _) => *byte,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{any_head, head};

    fn said(value: &str) -> Option<Variance> {
        Variance::of(&head(&[("no-vary-search", value)]))
    }

    #[test]
    fn what_a_response_says() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Box<[_]>>();
        let variance = |params, order| Some(Variance { params, order });
        let rows = [
            ("params", variance(Params::Only(names(&[])), true)),
            ("params=?1", variance(Params::Only(names(&[])), true)),
            ("params=(\"a\")", variance(Params::AllBut(names(&["a"])), true)),
            ("params, except=(\"x\")", variance(Params::Only(names(&["x"])), true)),
            ("params, except=()", variance(Params::Only(names(&[])), true)),
            ("key-order", variance(Params::AllBut(names(&[])), false)),
            ("key-order, params, except=(\"x\")", variance(Params::Only(names(&["x"])), false)),
            ("params=(\"%C3%A9+%E6%B0%97\")", variance(Params::AllBut(names(&["é 気"])), true)),
            ("key-order;a=1, unknown=5, params=(\"a\";b);c", variance(Params::AllBut(names(&["a"])), false)),
        ];
        for (value, expected) in rows {
            assert_eq!(said(value), expected, "{value}");
        }
        let two = Variance::of(&head(&[("no-vary-search", "key-order"), ("no-vary-search", "params=(\"a\")")]));
        assert_eq!(two, variance(Params::AllBut(names(&["a"])), false), "over two lines");
    }

    #[test]
    fn what_says_nothing_or_is_not_understood() {
        for value in [
            "unknown-key",
            "key-order=\"not a boolean\"",
            "params=\"not a boolean or inner list\"",
            "params=(not-a-string)",
            "params=(\"a\"), except=(\"x\")",
            "params=(), except=()",
            "params=?0, except=(\"x\")",
            "params, except=(not-a-string)",
            "params, except=\"not an inner list\"",
            "params, except=?1",
            "except=(\"x\")",
            "except=()",
            "params=?0",
            "params=()",
            "key-order=?0",
            "",
            "params=(\"a\"",
        ] {
            assert_eq!(said(value), None, "{value}");
        }
        assert_eq!(Variance::of(&HeaderMap::new()), None);
    }

    #[test]
    fn which_targets_are_equivalent() {
        let rows = [
            ("a query of nothing", "key-order", "/", "/?", true),
            ("escapes", "key-order", "/?a=x", "/?%61=%78", true),
            ("bytes and their escapes", "key-order", "/?a=é", "/?a=%C3%A9", true),
            ("what is not UTF-8", "key-order", "/?a=%f6", "/?a=%ef%bf%bd", true),
            ("pairs of nothing", "key-order", "/?a=x&&&&", "/?a=x", true),
            ("a value of nothing", "key-order", "/?a=", "/?a", true),
            ("spaces", "key-order", "/?a=%20", "/?a=+", true),
            ("what is no escape", "key-order", "/?a=%zz%4", "/?a=%25zz%254", true),
            ("names in another order", "key-order", "/?a=1&b=2&a=3", "/?b=2&a=1&a=3", true),
            ("not values in another order", "key-order", "/?a=1&a=3", "/?a=3&a=1", false),
            ("not another value", "key-order", "/?a=1", "/?a=2", false),
            ("not another number of them", "key-order", "/?a=1", "/?a=1&a=1", false),
            ("names that do not count", "params=(\"a\")", "/?a=1&b=2", "/?b=2&a=3&a", true),
            ("the order of others", "params=(\"a\")", "/?c&b", "/?b&c", false),
            ("not those that count", "params=(\"a\")", "/?b=1", "/?b=2", false),
            ("nothing counts", "params", "/?a=1&b", "/", true),
            ("but these", "params, except=(\"x\")", "/?x=1&y=2", "/?z=3&x=1", true),
            ("which do", "params, except=(\"x\")", "/?x=1", "/", false),
            ("a decoded name", "params=(\"a+b\")", "/?a%20b=1", "/?a+b=2", true),
        ];
        for (sentence, value, one, two, expected) in rows {
            assert_eq!(said(value).unwrap().equates(one, two), expected, "{sentence}");
        }
    }

    fn any_variance() -> impl Strategy<Value = Variance> {
        let names = || proptest::collection::vec("[ab]", 0..3).prop_map(Box::from);
        let params = prop_oneof![names().prop_map(Params::AllBut), names().prop_map(Params::Only)];
        (params, any::<bool>()).prop_map(|(params, order)| Variance { params, order })
    }

    fn any_target() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab%+]{0,2}(=[ab]?)?", 0..4).prop_map(|pairs| format!("/?{}", pairs.join("&")))
    }

    proptest! {
        #[test]
        fn equivalence_is_one(v in any_variance(), one in any_target(), two in any_target(), three in any_target()) {
            prop_assert!(v.equates(&one, &one));
            prop_assert_eq!(v.equates(&one, &two), v.equates(&two, &one));
            if v.equates(&one, &two) && v.equates(&two, &three) {
                prop_assert!(v.equates(&one, &three));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(any in any_head(&["no-vary-search"]), target in "\\PC{0,100}") {
            if let Some(variance) = Variance::of(&any) {
                prop_assert!(variance.equates(&target, &target));
            }
            let _ = decoded(&target);
        }
    }
}
