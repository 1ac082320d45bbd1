//! Interim responses (RFC 9110 §15.2): which of them go on to the client, with which fields, and how many.
//!
//! They announce an answer and are none: nothing of them is stored or judged.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode, Version};

use super::fields::remove_hop_by_hop;
use super::forwarding::Via;

/// Interim responses that are forwarded for one request.
pub const HEADS_MAX: usize = 16;

/// What their heads may come to, in bytes.
pub const BYTES_MAX: usize = 16 * 1024;

/// Whether an interim response is forwarded.
///
/// RFC 9110 §15.2: "A proxy MUST forward 1xx responses unless the proxy itself requested the generation of the 1xx
/// response." A 100 answers an expectation, which each connection meets by itself; a 101 ends HTTP on its connection
/// and is a final response here.
#[must_use]
pub fn is_forwarded(status: StatusCode) -> bool {
    matches!(status.as_u16(), 102..=199)
}

/// The head of an interim response as it goes to an HTTP/1.1 client: what came in `received`, without the fields of that
/// connection, and signed with our name for `Via`.
#[must_use]
pub fn head(status: StatusCode, fields: &HeaderMap, received: Version, via: &Via) -> Vec<u8> {
    let mut fields = fields.clone();
    remove_hop_by_hop(&mut fields);
    // RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx
    // (Informational)". A client that believed one would lose the final response.
    fields.remove(CONTENT_LENGTH);
    via.append(&mut fields, received);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// What may still be forwarded for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    heads: usize,
    bytes: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { heads: HEADS_MAX, bytes: BYTES_MAX }
    }
}

impl Allowance {
    /// Whether a head of `length` bytes is within the allowance, which it then uses up. The first that is not ends the
    /// allowance, so that what a client sees is what the origin said, up to a point.
    pub fn spend(&mut self, length: usize) -> bool {
        let left = self.heads.checked_sub(1).zip(self.bytes.checked_sub(length));
        (self.heads, self.bytes) = left.unwrap_or_default();
        left.is_some()
    }

    /// Whether nothing more may be forwarded.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.heads == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{FIELD_NAMES, Lines, any_head, head as fields};

    #[test]
    fn which_interim_responses_are_forwarded() {
        let rows = [
            ("100 is for the connection that expects it (RFC 9110 §10.1.1)", 100, false),
            ("101 is not interim to a proxy (RFC 9110 §15.2.2)", 101, false),
            ("102 (RFC 2518 §10.1)", 102, true),
            ("103 (RFC 8297 §2)", 103, true),
            ("what is not registered (RFC 9110 §15)", 199, true),
            ("200 is final (RFC 9110 §15.3)", 200, false),
        ];
        for (sentence, status, expected) in rows {
            assert_eq!(is_forwarded(StatusCode::from_u16(status).unwrap()), expected, "{sentence}");
        }
    }

    #[test]
    fn what_a_client_sees_of_one() {
        let rows: &[(&str, u16, Lines, &str)] = &[
            (
                "hints, in their order (RFC 8297 §2)",
                103,
                &[("link", "</a.css>; rel=preload"), ("link", "</b.js>; rel=preload")],
                "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\nvia: 1.1 us\r\n\r\n",
            ),
            ("no fields but ours (RFC 9110 §7.6.3)", 102, &[], "HTTP/1.1 102 Processing\r\nvia: 1.1 us\r\n\r\n"),
            ("a status without a name keeps its space (RFC 9112 §4)", 150, &[], "HTTP/1.1 150 \r\nvia: 1.1 us\r\n\r\n"),
            (
                "nothing of the origin's connection (RFC 9110 §7.6.1)",
                103,
                &[("connection", "close, x-hop"), ("x-hop", "1"), ("keep-alive", "timeout=5"), ("upgrade", "h2c")],
                "HTTP/1.1 103 Early Hints\r\nvia: 1.1 us\r\n\r\n",
            ),
            (
                "and nothing that frames content (RFC 9110 §8.6, RFC 9112 §6.1)",
                103,
                &[("content-length", "5"), ("transfer-encoding", "chunked")],
                "HTTP/1.1 103 Early Hints\r\nvia: 1.1 us\r\n\r\n",
            ),
        ];
        for (sentence, status, lines, expected) in rows {
            let head = head(StatusCode::from_u16(*status).unwrap(), &fields(lines), Version::HTTP_11, &Via::new("us"));
            assert_eq!(String::from_utf8(head).unwrap(), *expected, "{sentence}");
        }
    }

    #[test]
    fn the_allowance_of_a_request() {
        fn check(sentence: &str, lengths: impl IntoIterator<Item = usize>, expected: usize) {
            let mut allowance = Allowance::default();
            let forwarded = lengths.into_iter().filter(|length| allowance.spend(*length)).count();
            assert_eq!(forwarded, expected, "{sentence}");
        }
        check("sixteen", [100; 20], HEADS_MAX);
        check("16 KiB", [BYTES_MAX / 2, BYTES_MAX / 2, 1], 2);
        check("none is too large by itself", [BYTES_MAX], 1);
        check("nothing after one that did not fit", [1, BYTES_MAX, 1], 1);
        let mut allowance = Allowance::default();
        assert!(!allowance.is_spent());
        allowance.spend(BYTES_MAX + 1);
        assert!(allowance.is_spent());
    }

    proptest! {
        #[test]
        fn a_head_ends_at_its_first_empty_line(any in any_head(FIELD_NAMES), status in 102_u16..200) {
            let head = head(StatusCode::from_u16(status).unwrap(), &any, Version::HTTP_11, &Via::new("us"));
            let end = head.windows(4).position(|window| window == b"\r\n\r\n");
            prop_assert_eq!(end, Some(head.len() - 4));
        }
    }
}
