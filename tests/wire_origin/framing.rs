//! Answers that end too early, or do not say where they end (catalogue D5 to D9).

use truehit::origin::CloseDelimited;

use super::*;
use raw::{RawOrigin, ok};

/// The result of one fetch whose answer is `bytes`, after which the origin closes.
async fn answered(bytes: &str) -> Result<Response<NetworkBody>, OriginError> {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async { drop(server.accept().await.answer(bytes).await) };
    tokio::join!(script, fetch(&origin, get("/"))).1
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_incomplete() {
    let response = answered("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort").await.unwrap();
    assert!(matches!(text(response).await, Err(OriginError::ResponseIncomplete(_))));
}

#[tokio::test]
async fn a_chunked_body_without_its_last_chunk_is_incomplete() {
    let response = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n").await.unwrap();
    assert!(matches!(text(response).await, Err(OriginError::ResponseIncomplete(_))));
}

#[tokio::test]
async fn a_chunk_size_that_is_none_is_a_protocol_error() {
    let response = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n").await.unwrap();
    assert!(matches!(text(response).await, Err(OriginError::Protocol(_))));
}

#[tokio::test]
async fn contradictory_or_undecodable_framing_is_refused() {
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +4",
    ] {
        let answer = answered(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).await;
        assert!(matches!(answer, Err(OriginError::Protocol(_))), "{fields}: {:?}", answer.map(|_| ()));
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_marked() {
    // RFC 9112 §6.3: where chunked is not the last transfer coding of a response, its end is that of the connection.
    for fields in ["", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: x-unheard-of\r\n"] {
        let response = answered(&format!("HTTP/1.1 200 OK\r\n{fields}\r\nwhole?")).await.unwrap();
        assert!(response.extensions().get::<CloseDelimited>().is_some(), "{fields}");
        assert_eq!(text(response).await.unwrap(), "whole?", "{fields}");
    }
}

#[tokio::test]
async fn a_delimited_body_is_not_marked() {
    for answer in [ok("whole"), "HTTP/1.1 204 No Content\r\n\r\n".to_owned()] {
        assert!(answered(&answer).await.unwrap().extensions().get::<CloseDelimited>().is_none());
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    assert!(matches!(answered("SSH-2.0-OpenSSH_9.2\r\n\r\n").await, Err(OriginError::Protocol(_))));
}

#[tokio::test]
async fn a_request_whose_content_breaks_off_never_looks_whole() {
    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::StreamBody;
    let frames = futures_util::stream::iter([Ok(Frame::data(Bytes::from("half"))), Err("gone".into())]);
    let request = post("").map(|_| RequestBody::Stream(StreamBody::new(frames).boxed_unsync()));
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async { server.accept().await.closed().await };
    let (received, failed) = tokio::join!(script, fetch(&origin, request));
    assert!(matches!(failed, Err(OriginError::RequestIncomplete(_))), "{:?}", failed.err());
    assert!(!String::from_utf8_lossy(&received).contains("\r\n0\r\n"));
}
