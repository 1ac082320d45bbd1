//! Streams: responses that go on for as long as something happens, and have no end to wait for.

use http::{HeaderMap, header};

/// Whether a response is a stream of events, which is never stored.
#[must_use]
pub fn is_event_stream(head: &HeaderMap) -> bool {
    essence(head).is_some_and(|essence| essence.eq_ignore_ascii_case("text/event-stream"))
}

/// Whether silence within a response means nothing: its media type is one of messages that come when they come.
///
/// Server-sent events, the parts of `multipart/x-mixed-replace` and gRPC's messages. For the rest silence is a fault,
/// and ends in time.
#[must_use]
pub fn may_be_silent(head: &HeaderMap) -> bool {
    let grpc = |essence: &str| essence.get(..16).is_some_and(|start| start.eq_ignore_ascii_case("application/grpc"));
    essence(head).is_some_and(|essence| {
        is_event_stream(head) || essence.eq_ignore_ascii_case("multipart/x-mixed-replace") || grpc(essence)
    })
}

/// The type and subtype (RFC 9110 §8.3.1).
fn essence(head: &HeaderMap) -> Option<&str> {
    let value = head.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split_once(';').map_or(value, |(essence, _)| essence).trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{Lines, head};

    #[test]
    fn which_responses_may_be_silent() {
        let rows: &[(&str, Lines, bool, bool)] = &[
            ("no type", &[], false, false),
            ("a document", &[("content-type", "application/json")], false, false),
            ("lines of documents", &[("content-type", "application/x-ndjson")], false, false),
            ("events", &[("content-type", "text/event-stream")], true, true),
            (
                "in any case, with parameters (RFC 9110 §8.3.1)",
                &[("content-type", "Text/Event-Stream ; charset=utf-8")],
                true,
                true,
            ),
            ("pictures in turn", &[("content-type", "multipart/x-mixed-replace; boundary=a")], false, true),
            ("gRPC", &[("content-type", "application/grpc")], false, true),
            ("with its message's format", &[("content-type", "application/grpc+proto")], false, true),
            ("no text", &[("content-type", "\u{fc}")], false, false),
        ];
        for (sentence, lines, events, silent) in rows {
            let head = head(lines);
            assert_eq!((is_event_stream(&head), may_be_silent(&head)), (*events, *silent), "{sentence}");
        }
    }
}
