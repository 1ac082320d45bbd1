//! How connections end when the process is to end.

use tokio::time::Instant;

use super::*;

fn in_a_while() -> Instant {
    Instant::now() + raw::PATIENCE
}

#[tokio::test]
async fn draining_closes_idle_and_silent_connections() {
    let server = start(&limits());
    let silent = server.connect().await;
    let mut idle = server.connect().await;
    idle.write(GET).await;
    answer(&mut idle).await;
    server.drain.begin();
    tokio::join!(silent.closed(), idle.closed());
    assert_eq!(server.drain.finish(in_a_while()).await, 0);
}

/// The client could not know: its request was on its way when draining began.
#[tokio::test]
async fn a_request_that_draining_crosses_is_answered() {
    let server = start(&limits());
    let mut idle = server.connect().await;
    idle.write(GET).await;
    answer(&mut idle).await;
    server.drain.begin();
    // The connection hears of it before the request comes.
    tokio::task::yield_now().await;
    idle.write(GET).await;
    let (head, _) = answer(&mut idle).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("connection: close\r\n"), "{head}");
    idle.closed().await;
}

#[tokio::test]
async fn draining_lets_an_answer_finish_and_then_closes() {
    let server = start(&limits());
    let mut client = server.connect().await;
    client.write(WAIT).await;
    server.site.entered().await;
    server.drain.begin();
    let finish = tokio::spawn({
        let drain = server.drain.clone();
        async move { drain.finish(in_a_while()).await }
    });
    server.site.release.add_permits(1);
    let (head, _) = answer(&mut client).await;
    assert!(head.contains("connection: close\r\n"), "{head}");
    client.closed().await;
    assert_eq!(soon(finish).await.unwrap(), 0);
}

#[tokio::test]
async fn http2_streams_finish_after_goaway() {
    let server = start(&limits());
    let (mut client, driver) = h2(server.connect().await.stream).await;
    let running = tokio::spawn({
        let mut client = client.clone();
        async move { h2_get(&mut client, "/wait").await }
    });
    server.site.entered().await;
    server.drain.begin();
    // GOAWAY: no further stream is opened, and the connection ends with the last one.
    let refused = async {
        while h2_get(&mut client, "/").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(refused).await;
    server.site.release.add_permits(1);
    assert!(soon(running).await.unwrap().is_ok());
    drop(client);
    let _ = soon(driver).await.unwrap();
    assert_eq!(server.drain.finish(in_a_while()).await, 0);
}

#[tokio::test]
async fn a_connection_that_comes_while_draining_is_served_once() {
    let server = start(&limits());
    server.drain.begin();
    let mut late = server.connect().await;
    late.write(GET).await;
    let (head, _) = answer(&mut late).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("connection: close\r\n"), "{head}");
    late.closed().await;
}

#[tokio::test]
async fn what_outlasts_the_deadline_is_cut_and_counted() {
    let server = start(&limits());
    let mut client = server.connect().await;
    client.write(WAIT).await;
    server.site.entered().await;
    assert_eq!(server.drain.finish(Instant::now()).await, 1);
    assert_eq!(client.closed().await, b"");
}

#[tokio::test]
async fn a_tunnel_is_waited_for_and_counted() {
    let server = start(&limits());
    let mut client = server.connect().await;
    client.write("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    client.head().await;
    server.drain.begin();
    client.write("still here!").await;
    assert_eq!(client.until(b"!").await, b"still here!");
    let drain = server.drain.clone();
    assert_eq!(drain.finish(Instant::now()).await, 1);
    drop(client);
    assert_eq!(drain.finish(in_a_while()).await, 0);
}

#[tokio::test]
async fn a_stopped_server_accepts_no_more() {
    let server = start(&limits());
    let address = server.address;
    server.stop_accepting().await;
    assert!(TcpStream::connect(address).await.is_err());
}

/// The kernel says "connected" before the server has heard of it.
#[tokio::test]
async fn a_client_that_is_connected_when_the_server_stops_is_served() {
    let server = start(&limits());
    tokio::task::yield_now().await;
    let early = std::net::TcpStream::connect(server.address).unwrap();
    early.set_nonblocking(true).unwrap();
    let mut early = Raw::new(TcpStream::from_std(early).unwrap());
    server.stop_accepting().await;
    early.write(GET).await;
    assert!(answer(&mut early).await.0.starts_with("HTTP/1.1 200"));
}
