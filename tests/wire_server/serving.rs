//! Versions, bounds and panics.

use super::*;

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn http1_and_http2_share_the_port() {
    let server = start(&limits());
    let mut one = server.connect().await;
    one.write(GET).await;
    assert_eq!(answer(&mut one).await.1, "tls=false HTTP/1.1");
    let (mut two, _driver) = h2(server.connect().await.stream).await;
    assert_eq!(h2_get(&mut two, "/").await.unwrap(), "tls=false HTTP/2.0");
}

/// F1, and 0.3 for what hyper leaves open.
#[tokio::test]
async fn a_client_that_does_not_finish_its_first_head_is_closed() {
    let server = start(&Limits { head_timeout: SHORT, ..limits() });
    for start in ["", "G", "GET / HTTP/1.1\r\nHost:", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = server.connect().await;
        client.write(start).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_a_later_head_is_closed() {
    let server = start(&Limits { head_timeout: SHORT, ..limits() });
    let mut client = server.connect().await;
    client.write(GET).await;
    answer(&mut client).await;
    client.write("GET / HT").await;
    client.closed().await;
}

#[tokio::test]
async fn an_idle_client_is_closed_after_the_idle_timeout() {
    let server = start(&Limits { idle_timeout: SHORT, ..limits() });
    let mut one = server.connect().await;
    one.write(GET).await;
    answer(&mut one).await;
    one.closed().await;
    let (mut two, driver) = h2(server.connect().await.stream).await;
    h2_get(&mut two, "/").await.unwrap();
    let _ = soon(driver).await.unwrap();
}

#[tokio::test]
async fn an_idle_client_may_outlast_the_head_timeout() {
    let server = start(&Limits { head_timeout: SHORT, ..limits() });
    let mut client = server.connect().await;
    client.write(GET).await;
    answer(&mut client).await;
    tokio::time::sleep(SHORT * 3).await;
    client.write(GET).await;
    answer(&mut client).await;
}

#[tokio::test]
async fn a_slow_answer_is_nobodys_fault() {
    let server = start(&Limits { head_timeout: SHORT, idle_timeout: SHORT, ..limits() });
    let mut client = server.connect().await;
    client.write(WAIT).await;
    server.site.entered().await;
    tokio::time::sleep(SHORT * 3).await;
    server.site.release.add_permits(1);
    answer(&mut client).await;
}

#[tokio::test]
async fn a_head_above_the_limit_is_431() {
    let server = start(&limits());
    let mut client = server.connect().await;
    client.write(format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}", "y".repeat(16 * 1024))).await;
    assert!(client.head().await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_panic_costs_its_request_only() {
    let server = start(&limits());
    let mut client = server.connect().await;
    client.write("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer(&mut client).await.0.starts_with("HTTP/1.1 500"));
    assert_eq!(server.site.panics.load(Ordering::Relaxed), 1);
    client.write(GET).await;
    assert!(answer(&mut client).await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn at_the_limit_a_client_waits_for_another_to_leave() {
    let server = start(&Limits { connections: 1, ..limits() });
    let mut first = server.connect().await;
    first.write(GET).await;
    answer(&mut first).await;
    let mut second = server.connect().await;
    second.write(GET).await;
    first.write(GET).await;
    answer(&mut first).await;
    assert_eq!(server.drain.busy_count(), 1);
    drop(first);
    answer(&mut second).await;
}

#[tokio::test]
async fn an_upgraded_connection_is_a_tunnel() {
    let server = start(&limits());
    let mut client = server.connect().await;
    client.write("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    client.write("hello!").await;
    assert_eq!(client.until(b"!").await, b"hello!");
}
