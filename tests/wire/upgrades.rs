//! Protocols that HTTP gives way to, and upgrades that an origin declines.

use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;

/// A WebSocket origin that echoes, and declines on `/closed`.
async fn echo(request: Request<hyper::body::Incoming>) -> Response<Content> {
    if request.uri().path() == "/closed" {
        return Response::new(full("not today"));
    }
    let key = request.headers()["sec-websocket-key"].as_bytes().to_vec();
    let protocol = request.headers()["sec-websocket-protocol"].clone();
    assert_eq!(request.headers()["connection"], "upgrade");
    tokio::spawn(async move {
        let upgraded = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
                _ => {}
            }
        }
    });
    let response = Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "websocket");
    let response = response.header("sec-websocket-accept", derive_accept_key(&key));
    response.header("sec-websocket-protocol", protocol).body(empty()).unwrap()
}

fn handshake(sidecar: &Sidecar, path: &str) -> Request<()> {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let mut request = format!("ws://{}{path}", sidecar.address()).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    request
}

#[tokio::test]
async fn a_web_socket_carries_messages_both_ways_and_closes() {
    let origin = Origin::start(echo).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let (mut socket, response) =
        soon(client_async(handshake(&sidecar, "/chat"), sidecar.stream().await)).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    let large = vec![7; 300_000];
    for message in [Message::text("hello"), Message::binary(large), Message::text("")] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), message);
    }
    let frame = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    soon(socket.close(Some(frame.clone()))).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::Close(Some(frame)));
    assert!(soon(socket.next()).await.is_none());
    drop(socket);
    sidecar.until_metric("truehit_connections", 0.0).await;
    assert_eq!(sidecar.metric("truehit_pass_total{reason=\"upgrade\"}").await, 1.0);
}

#[tokio::test]
async fn a_client_that_vanishes_takes_its_tunnel_along() {
    let origin = Origin::start(echo).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let (mut socket, _) = soon(client_async(handshake(&sidecar, "/chat"), sidecar.stream().await)).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    soon(socket.next()).await.unwrap().unwrap();
    drop(socket);
    sidecar.until_metric("truehit_connections", 0.0).await;
}

#[tokio::test]
async fn an_upgrade_that_the_origin_declines_is_an_ordinary_answer() {
    let origin = Origin::start(echo).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    for _ in 0..2 {
        let failed = soon(client_async(handshake(&sidecar, "/closed"), sidecar.stream().await)).await.unwrap_err();
        let Error::Http(response) = failed else { panic!("{failed}") };
        assert_eq!(response.status(), 200);
    }
    let mut client = sidecar.raw().await;
    for _ in 0..2 {
        client.write("GET /closed HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n").await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
        assert_eq!(client.exactly(9).await, b"not today", "and the connection goes on");
    }
}

/// RFC 9110 §7.8: `Upgrade` without its nomination asks for nothing.
#[tokio::test]
async fn an_upgrade_field_alone_is_no_request_to_upgrade() {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("plain"))).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let request = ask("GET", "/").header("upgrade", "h2c").header("http2-settings", "AAMAAABkAAQAAP__");
    assert_eq!(sidecar.client().await.fetch(request.body(empty()).unwrap()).await.text(), "plain");
    let (head, _) = asks.recv().await.unwrap();
    assert!(!head.headers.contains_key("upgrade") && !head.headers.contains_key("http2-settings"));
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_an_error() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    let mut client = sidecar.client().await;
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let script = async { server.accept().await.answer(switch).await };
    let (_, answer) = tokio::join!(script, client.get("/"));
    assert_eq!((answer.status.as_u16(), answer.field("proxy-status")), (502, "truehit; error=http_protocol_error"));
}
