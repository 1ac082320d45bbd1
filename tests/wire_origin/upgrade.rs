//! Changing the protocol, asked and unasked.

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use raw::RawOrigin;

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

#[tokio::test]
async fn an_upgrade_that_was_asked_for_gives_the_connection() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let mut request = get("/");
    request.headers_mut().insert("connection", "upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let script = async {
        let mut connection = server.accept().await;
        connection.answer(SWITCH).await;
        let said = connection.until(b"!").await;
        connection.write(said).await;
    };
    let requests = async {
        let response = pass(&origin, request).await.unwrap();
        assert_eq!(response.status(), 101);
        let mut tunnel = TokioIo::new(soon(hyper::upgrade::on(response)).await.unwrap());
        tunnel.write_all(b"hello!").await.unwrap();
        let mut echo = [0; 6];
        soon(tunnel.read_exact(&mut echo)).await.unwrap();
        assert_eq!(&echo, b"hello!");
    };
    tokio::join!(script, requests);
}

/// D12.
#[tokio::test]
async fn an_upgrade_that_was_not_asked_for_is_refused_and_closed() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut connection = server.accept().await;
        connection.answer(SWITCH).await;
        connection.closed().await;
    };
    let (_, failed) = tokio::join!(script, fetch(&origin, get("/")));
    assert!(matches!(failed, Err(OriginError::Protocol(_))));
}
