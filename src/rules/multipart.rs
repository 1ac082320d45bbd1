//! `multipart/byteranges`: several parts of a representation in one content (RFC 9110 §14.6, §15.3.7.2).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::range::{ContentRange, Span};

/// What separates the parts: 128 random bits, which no content holds but by an accident that will not happen.
#[derive(Clone, Debug)]
pub struct Boundary(String);

impl Boundary {
    /// A boundary of these random bits.
    #[must_use]
    pub fn new(random: u128) -> Self {
        Self(format!("{random:032x}"))
    }

    /// The `Content-Type` of a content with this boundary.
    #[must_use]
    pub fn content_type(&self) -> HeaderValue {
        // A type and hexadecimal digits are allowed in a field value, so this cannot fail.
        HeaderValue::try_from(format!("multipart/byteranges; boundary={}", self.0))
            .unwrap_or_else(|_| HeaderValue::from_static("multipart/byteranges"))
    }
}

/// The content of a 206 with these parts of `whole`, whose own head is `fields`: rendered heads, and slices of `whole`.
/// A span that `whole` does not have is left out.
///
/// RFC 9110 §15.3.7.2: "Within the header area of each body part in the multipart content, the server MUST generate a
/// Content-Range header field corresponding to the range being enclosed in that body part. If the selected
/// representation would have had a Content-Type header field in a 200 (OK) response, the server SHOULD generate that
/// same Content-Type header field in the header area of each body part."
#[must_use]
pub fn content(whole: &Bytes, spans: &[Span], fields: &HeaderMap, boundary: &Boundary) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * spans.len() + 1);
    for span in spans {
        let Some(range) = ContentRange::new(*span, whole.len() as u64) else { continue };
        let Some(indices) = span.indices() else { continue };
        let mut head = Vec::with_capacity(160);
        head.extend_from_slice(if pieces.is_empty() { b"--" } else { b"\r\n--" });
        head.extend_from_slice(boundary.0.as_bytes());
        if let Some(content_type) = fields.get(header::CONTENT_TYPE) {
            head.extend_from_slice(b"\r\nContent-Type: ");
            head.extend_from_slice(content_type.as_bytes());
        }
        head.extend_from_slice(b"\r\nContent-Range: ");
        head.extend_from_slice(range.to_header_value().as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        pieces.push(Bytes::from(head));
        pieces.push(whole.slice(indices));
    }
    pieces.push(Bytes::from(format!("\r\n--{}--\r\n", boundary.0)));
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::head;

    fn span(start: u64, end: u64) -> Span {
        Span::new(start, end).unwrap()
    }

    #[test]
    fn parts_look_like_those_of_rfc_9110_15_3_7_2() {
        let boundary = Boundary::new(0xabc);
        let fields = head(&[("content-type", "text/plain")]);
        let pieces = content(&Bytes::from_static(b"0123456789"), &[span(8, 10), span(0, 2)], &fields, &boundary);
        let expected = "--00000000000000000000000000000abc\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
            \r\n--00000000000000000000000000000abc\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
            \r\n--00000000000000000000000000000abc--\r\n";
        assert_eq!(String::from_utf8(pieces.concat()).unwrap(), expected);
        assert_eq!(boundary.content_type(), "multipart/byteranges; boundary=00000000000000000000000000000abc");
    }

    #[test]
    fn a_representation_without_a_type_has_parts_without_one() {
        let pieces =
            content(&Bytes::from_static(b"0123"), &[span(0, 1), span(3, 4)], &HeaderMap::new(), &Boundary::new(0));
        assert!(!String::from_utf8(pieces.concat()).unwrap().contains("Content-Type"));
    }

    proptest! {
        #[test]
        fn every_part_is_a_slice_and_no_copy(
            whole in proptest::collection::vec(any::<u8>(), 1..200),
            spans in proptest::collection::vec((0u64..200, 1u64..200), 0..8),
        ) {
            let whole = Bytes::from(whole);
            let spans: Vec<_> = spans.into_iter().map(|(start, length)| span(start, start + length)).collect();
            let pieces = content(&whole, &spans, &HeaderMap::new(), &Boundary::new(7));
            let within: Vec<_> = spans.iter().filter(|span| span.end() <= whole.len() as u64).collect();
            prop_assert_eq!(pieces.len(), 2 * within.len() + 1);
            for (span, piece) in within.iter().zip(pieces.iter().skip(1).step_by(2)) {
                let slice = &whole[span.indices().unwrap()];
                prop_assert_eq!((slice.as_ptr(), slice.len()), (piece.as_ptr(), piece.len()));
            }
        }
    }
}
