//! Heads that are none, that say two things, or that never end.

use super::*;
use crate::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, PREFACE, SETTINGS, field, frame};

/// A head of these fields, and content that any reading of them could take for whole.
fn with_fields(fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nETag: \"2\"\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n").into_bytes()
}

fn rows(fields: &[&'static str]) -> Vec<(&'static str, Vec<u8>)> {
    fields.iter().map(|fields| (*fields, with_fields(fields))).collect()
}

#[tokio::test]
async fn d8_lengths_and_lines_that_are_none_are_refused() {
    let fields = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +4",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Content-Length : 5",
        "X-Folded: a\r\n b\r\nContent-Length: 5",
        " X-Leading: a\r\nContent-Length: 5",
        "no colon\r\nContent-Length: 5",
    ];
    are_refused(&rows(&fields)).await;
}

/// RFC 9110 §8.6: a recipient of equal lengths "MUST either reject the message as invalid or replace the duplicated or
/// invalid field values with a single valid Content-Length".
#[tokio::test]
async fn d8_equal_lengths_are_one() {
    let scene = Scene::new(NO_BREAKER).await;
    for (target, fields) in [("/1", "Content-Length: 5\r\nContent-Length: 5"), ("/2", "Content-Length: 5, 5")] {
        for method in ["GET", "POST"] {
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nConnection: close\r\n\r\nhello");
            let mut client = scene.sidecar.raw().await;
            client.write(format!("{method} {target} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n")).await;
            let (_, head) = tokio::join!(scene.answers(answer, Then::Closes), client.head());
            assert_eq!(head.matches("content-length:").count(), 1, "{head}");
            assert!(head.contains("content-length: 5\r\n"), "{head}");
            assert_eq!(client.exactly(5).await, b"hello");
        }
    }
}

/// hyper reads no length where there is no body.
#[tokio::test]
async fn d8_lengths_that_are_none_are_refused_where_there_is_no_body_too() {
    let scene = Scene::new(NO_BREAKER).await;
    for fields in ["Content-Length: 5\r\nContent-Length: 6", "Content-Length: +4", "Content-Length: x"] {
        let mut client = scene.sidecar.client().await;
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let request = ask("HEAD", "/").body(empty()).unwrap();
        let refused = scene.plays(&mut client, request, answer.as_bytes(), Then::Waits).await.unwrap();
        assert_eq!(refused.status, 502, "{fields}");
        let answer = format!("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n{fields}\r\n\r\n");
        let refused = scene.plays_for(Purpose::Check, "/checked", answer.as_bytes(), Then::Waits).await.unwrap();
        assert_eq!(refused.status, 502, "{fields}");
    }
}

#[tokio::test]
async fn d9_contradictory_or_undecodable_framing_is_refused() {
    let fields = [
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked;x=1",
    ];
    are_refused(&rows(&fields)).await;
}

/// RFC 9112 §6.1: an HTTP/1.0 message with `Transfer-Encoding` is to be treated "as if the framing is faulty".
#[tokio::test]
async fn d9_an_http_1_0_answer_has_no_transfer_coding() {
    let answer = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec();
    are_refused(&[("HTTP/1.0", answer)]).await;
}

#[tokio::test]
async fn d9_an_unknown_coding_alone_makes_a_body_that_ends_with_the_connection() {
    let scene = Scene::new("").await;
    let answer = b"HTTP/1.1 200 OK\r\nETag: \"2\"\r\nTransfer-Encoding: identity\r\n\r\nwhole?";
    let passed = scene.plays_for(Purpose::Fetch, "/", answer, Then::Closes).await.unwrap();
    assert_eq!(passed.text(), "whole?");
    scene.has_stored_nothing("/").await;
}

#[tokio::test]
async fn d10_lines_that_end_with_lf_alone_are_read_and_sent_on_with_crlf() {
    let scene = Scene::new("").await;
    let mut client = scene.sidecar.raw().await;
    client.write("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n").await;
    let answer = "HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 5\nConnection: close\n\nhello";
    let (_, head) = tokio::join!(scene.answers(answer, Then::Closes), client.head());
    assert!(head.contains("x-a: 1\r\n") && !head.replace("\r\n", "").contains('\n'), "{head:?}");
    assert_eq!(client.exactly(5).await, b"hello");
}

#[tokio::test]
async fn d10_lines_that_end_with_lf_alone_and_say_two_things_are_refused() {
    let heads = [
        ("both", b"HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\r\n".to_vec()),
        ("two lengths", b"HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6\n\nhello".to_vec()),
        ("a field in a value", b"HTTP/1.1 200 OK\r\nX-A: 1\rContent-Length: 5\r\n\r\nhello".to_vec()),
    ];
    are_refused(&heads).await;
}

#[tokio::test]
async fn d11_sixteen_interim_responses_of_fifty_are_passed_on_and_the_final_one() {
    let scene = Scene::new("").await;
    let answer = format!("{}{STORED}", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(50));
    for method in ["GET", "POST"] {
        let mut client = scene.sidecar.raw().await;
        client.write(format!("{method} /{method} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n")).await;
        let received = async {
            for _ in 0..16 {
                assert!(client.head().await.starts_with("HTTP/1.1 103 "), "{method}");
            }
            client.head().await
        };
        let (_, last) = tokio::join!(scene.answers(&answer, Then::Closes), received);
        assert!(last.starts_with("HTTP/1.1 200 "), "{method}: {last}");
        assert_eq!(client.exactly(6).await, b"stored", "{method}");
    }
}

#[tokio::test]
async fn d11_interim_responses_without_end_are_broken_off() {
    let flood = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100_000).into_bytes();
    are_refused(&[("interim responses without end", flood)]).await;
}

/// HTTP/2 sends an interim response in a frame of its own.
#[tokio::test]
async fn d11_the_same_over_http2() {
    let interim = [field(":status", "103"), field("link", "</a>")].concat();
    for (count, expected) in [(50, 200), (100_000, 502)] {
        for method in ["GET", "POST"] {
            let scene = Scene::new(&format!("origin.protocol = \"h2\"\n{NO_BREAKER}")).await;
            let answers = async {
                let mut connection = Frames(scene.origin.accept().await);
                connection.0.exactly(PREFACE.len()).await;
                connection.write(frame(SETTINGS, 0, 0, &[])).await;
                connection.until(HEADERS, 1).await;
                let all_read = connection.flood(&frame(HEADERS, END_HEADERS, 1, &interim).repeat(count)).await;
                if all_read {
                    let last = field(":status", "200");
                    connection.flood(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &last)).await;
                } else {
                    connection.0.closed().await;
                }
            };
            let mut client = scene.sidecar.client().await;
            let request = ask(method, "/").body(empty()).unwrap();
            let (_, answer) = tokio::join!(answers, outcome(&mut client, request));
            let answer = answer.unwrap();
            assert_eq!(answer.status, expected, "{count} to {method}");
            if expected == 502 {
                assert_eq!(answer.field("proxy-status"), "truehit; error=http_protocol_error", "{method}");
            }
        }
    }
}

#[tokio::test]
async fn d12_a_101_that_nobody_asked_for_is_refused() {
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n".to_vec();
    are_refused(&[("101", switch)]).await;
}

#[tokio::test]
async fn d13_a_status_below_100_is_refused() {
    let heads = ["099", "99", "0200", "2xx"]
        .map(|status| (status, format!("HTTP/1.1 {status} Odd\r\nContent-Length: 5\r\n\r\nhello").into_bytes()));
    are_refused(&heads).await;
}

#[tokio::test]
async fn d13_a_status_above_599_is_passed_on_and_not_stored() {
    let scene = Scene::new("").await;
    let answer = b"HTTP/1.1 999 Odd\r\nETag: \"2\"\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    for purpose in PURPOSES {
        let target = format!("/{purpose:?}");
        let passed = scene.plays_for(purpose, &target, answer, Then::Closes).await.unwrap();
        assert_eq!((passed.status.as_u16(), passed.text()), (999, "hello"));
        let asked = scene.asks_again(&target).await;
        assert!(!asked.contains("\"2\""), "{asked}");
    }
}

#[tokio::test]
async fn d14_a_head_that_is_too_much_is_refused() {
    let heads = [
        ("130 KB", with_fields(&format!("X-Long: {}\r\nContent-Length: 5", "a".repeat(128 * 1024)))),
        ("500 KB", with_fields(&format!("X-Long: {}\r\nContent-Length: 5", "a".repeat(500_000)))),
        ("101 fields", with_fields(&format!("{}Content-Length: 5", "X-A: 1\r\n".repeat(99)))),
    ];
    are_refused(&heads).await;
}
