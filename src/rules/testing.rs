//! Phrases for the tables and laws of this folder's tests.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::validator::EntityTag;

/// Field lines in a row of a table.
pub(crate) type Lines = &'static [(&'static str, &'static str)];

/// A head of these field lines, in this order.
pub(crate) fn head(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .fold(HeaderMap::new(), |mut head, (name, value)| {
            head.append(name, value);
            head
        })
}

/// Any bytes that a field value may be made of.
pub(crate) fn any_value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![
        4 => proptest::sample::select(b"\"\\,;=:-*W/ \t019afA".to_vec()),
        1 => any::<u8>().prop_filter("allowed", |byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff)),
    ];
    proptest::collection::vec(byte, 0..80).prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

/// A head of up to twelve lines of any value, over `names`.
pub(crate) fn any_head(names: &'static [&'static str]) -> impl Strategy<Value = HeaderMap> {
    let line = (proptest::sample::select(names), any_value());
    proptest::collection::vec(line, 0..12).prop_map(|lines| {
        lines.into_iter().fold(HeaderMap::new(), |mut head, (name, value)| {
            head.append(HeaderName::from_static(name), value);
            head
        })
    })
}

/// Any entity tag.
pub(crate) fn any_tag() -> impl Strategy<Value = EntityTag> {
    (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)).prop_filter_map("allowed", |(weak, bytes)| {
        let opaque: Vec<u8> = bytes.into_iter().filter(|byte| !matches!(byte, 0..=0x20 | b'"' | 0x7f)).collect();
        EntityTag::new(weak, &opaque)
    })
}
