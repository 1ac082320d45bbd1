//! When the hop to the origin gives up.

use tokio::net::TcpListener;

use super::*;
use raw::RawOrigin;

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_port_without_a_listener_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(fetch(&to(address), get("/")).await.err(), Some(OriginError::ConnectionRefused));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_error() {
    let nowhere = OriginPlace::Tcp { tls: false, host: "no such host".to_owned(), port: 80 };
    // The space is refused before any name server is asked.
    let refused = NetworkOrigin::new(&settings(nowhere), Clock::system()).err();
    assert!(refused.is_some());
    let nowhere = OriginPlace::Tcp { tls: false, host: "nowhere.invalid".to_owned(), port: 80 };
    assert!(matches!(fetch(&client(&settings(nowhere)), get("/")).await, Err(OriginError::Dns(_))));
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_a_connection_timeout() {
    let server = RawOrigin::start().await;
    let silent = OriginPlace::Tcp { tls: true, host: "127.0.0.1".to_owned(), port: server.address.port() };
    let origin = client(&config::Origin { connect_timeout: SHORT, ..settings(silent) });
    let (_held, failed) = tokio::join!(server.accept(), fetch(&origin, get("/")));
    assert_eq!(failed.err(), Some(OriginError::ConnectionTimeout));
}

#[tokio::test]
async fn a_head_that_does_not_come_is_a_response_timeout() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { response_timeout: SHORT, ..settings(place(server.address)) });
    let script = async { server.accept().await.closed().await };
    let (_, failed) = tokio::join!(script, fetch(&origin, get("/")));
    assert_eq!(failed.err(), Some(OriginError::ResponseTimeout));
}

#[tokio::test]
async fn a_body_that_falls_silent_is_a_response_timeout() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { progress_timeout: SHORT, ..settings(place(server.address)) });
    let script = async {
        let mut connection = server.accept().await;
        connection.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort").await;
        connection.closed().await;
    };
    let requests = async { text(fetch(&origin, get("/")).await.unwrap()).await };
    assert_eq!(tokio::join!(script, requests).1, Err(OriginError::ResponseTimeout));
}

#[tokio::test]
async fn what_passes_may_not_fall_silent_either() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { progress_timeout: SHORT, ..settings(place(server.address)) });
    let script = async {
        let mut connection = server.accept().await;
        connection.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort").await;
        connection.closed().await;
    };
    let requests = async { text(pass(&origin, get("/")).await.unwrap()).await };
    assert_eq!(tokio::join!(script, requests).1, Err(OriginError::ResponseTimeout));
}

#[tokio::test]
async fn a_stream_of_events_that_passes_may_be_silent() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { progress_timeout: SHORT, ..settings(place(server.address)) });
    let script = async {
        let mut connection = server.accept().await;
        let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 10\r\n\r\nshort";
        connection.answer(events).await;
        tokio::time::sleep(SHORT * 3).await;
        connection.write("later").await;
    };
    let requests = async { text(pass(&origin, get("/")).await.unwrap()).await };
    assert_eq!(tokio::join!(script, requests).1.unwrap(), "shortlater");
}

#[tokio::test]
async fn a_long_upload_is_no_slow_answer() {
    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::StreamBody;
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { response_timeout: SHORT * 3, ..settings(place(server.address)) });
    let pieces = futures_util::stream::unfold(0, |sent| async move {
        tokio::time::sleep(SHORT).await;
        (sent < 6).then(|| (Ok(Frame::data(Bytes::from("piece"))), sent + 1))
    });
    let request = post("").map(|_| RequestBody::Stream(StreamBody::new(pieces).boxed_unsync()));
    let script = async {
        let mut connection = server.accept().await;
        connection.until(b"\r\n0\r\n\r\n").await;
        connection.write(raw::ok("received")).await;
    };
    let requests = async { text(pass(&origin, request).await.unwrap()).await };
    assert_eq!(tokio::join!(script, requests).1.unwrap(), "received");
}
