//! Origins that cannot be reached, that say nothing, or that do so now and then.

use http_body_util::BodyExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;

/// How a request of this method fails.
async fn fails(sidecar: &Sidecar, method: &str, status: u16, error: &str) {
    let mut client = sidecar.client().await;
    let answer = outcome(&mut client, ask(method, "/").body(empty()).unwrap()).await.unwrap();
    let expected = (status, format!("truehit; error={error}"));
    assert_eq!((answer.status.as_u16(), answer.field("proxy-status").to_owned()), expected, "{method}");
}

/// The origin's end of a connection that has been of use once and may be again.
async fn pooled(scene: &Scene) -> Raw<TcpStream> {
    let first = async {
        let mut connection = scene.origin.accept().await;
        connection.answer(ok("one")).await;
        connection
    };
    let (idle, _) = tokio::join!(first, scene.sidecar.get("/1"));
    quarantine().await;
    idle
}

#[tokio::test]
async fn d18_what_is_safe_is_sent_once_more_where_a_pooled_connection_turns_out_closed() {
    for method in ["GET", "HEAD"] {
        let scene = Scene::new("").await;
        let mut idle = pooled(&scene).await;
        let script = async {
            let asked = idle.head().await;
            drop(idle);
            assert_eq!(scene.answers("HTTP/1.1 204 No Content\r\n\r\n", Then::Closes).await, asked);
        };
        let mut client = scene.sidecar.client().await;
        let request = ask(method, "/2").body(empty()).unwrap();
        let answer = tokio::join!(script, outcome(&mut client, request)).1.unwrap();
        assert_eq!(answer.status, 204, "{method}");
        assert_eq!(scene.sidecar.metric("truehit_origin_retries_total").await, 1.0);
    }
}

#[tokio::test]
async fn d18_a_write_is_never_sent_twice() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let scene = Scene::new("").await;
        let mut idle = pooled(&scene).await;
        let script = async {
            idle.head().await;
            drop(idle);
        };
        tokio::join!(script, fails(&scene.sidecar, method, 502, "connection_terminated"));
        assert_eq!(scene.sidecar.metric("truehit_origin_connections_total").await, 1.0, "{method}");
    }
}

#[tokio::test]
async fn d19_where_nobody_listens_it_is_a_502() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sidecar = Sidecar::start(&format!("http://{nowhere}"), "").await;
    for method in ["GET", "POST"] {
        fails(&sidecar, method, 502, "connection_refused").await;
    }
}

#[tokio::test]
async fn d19_where_nobody_accepts_it_is_a_504_by_the_connect_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    // What waits to be accepted fills the backlog; the system then drops what would connect.
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    let sidecar = Sidecar::start(&format!("http://{address}"), "origin.connect_timeout = \"100ms\"").await;
    for method in ["GET", "POST"] {
        fails(&sidecar, method, 504, "connection_timeout").await;
    }
}

#[tokio::test]
async fn d19_where_no_head_comes_it_is_a_504_by_the_response_timeout() {
    let scene = Scene::new("origin.response_timeout = \"100ms\"").await;
    for method in ["GET", "POST"] {
        let script = scene.answers("HTTP/1.1 200", Then::Waits);
        tokio::join!(script, fails(&scene.sidecar, method, 504, "http_response_timeout"));
    }
}

#[tokio::test]
async fn d19_a_body_that_falls_silent_breaks_off_by_the_progress_timeout() {
    let scene = Scene::new("origin.progress_timeout = \"100ms\"").await;
    let stalls = b"HTTP/1.1 200 OK\r\nETag: \"2\"\r\nContent-Length: 10\r\n\r\nshort";
    for purpose in PURPOSES {
        let target = format!("/{purpose:?}");
        assert!(scene.plays_for(purpose, &target, stalls, Then::Waits).await.is_none(), "{purpose:?}");
        let asked = scene.asks_again(&target).await;
        assert!(!asked.contains("\"2\""), "{asked}");
    }
}

/// Events may be silent for as long as nothing happens, and no longer than somebody listens.
#[tokio::test]
async fn d19_a_stream_of_events_may_fall_silent_and_ends_with_its_client() {
    let scene = Scene::new("origin.progress_timeout = \"100ms\"").await;
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    for h2 in [false, true] {
        let mut client = if h2 { scene.sidecar.h2_client().await } else { scene.sidecar.client().await };
        let script = async {
            let mut connection = scene.origin.accept().await;
            connection.answer(events).await;
            connection.write("7\r\ndata: 1\r\n").await;
            connection
        };
        let request = ask("POST", "/events").body(empty()).unwrap();
        let (mut connection, response) = tokio::join!(script, client.send(request));
        let mut events = response.into_body();
        for number in [b"data: 1", b"data: 2"] {
            let event = soon(events.frame()).await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(&event[..], number);
            if number == b"data: 1" {
                pass(Duration::from_millis(200)).await;
                connection.write("7\r\ndata: 2\r\n").await;
            }
        }
        drop((events, client));
        connection.closed().await;
    }
}

#[tokio::test]
async fn d19_content_that_the_origin_does_not_read_is_given_up_by_the_response_timeout() {
    let scene = Scene::new("origin.response_timeout = \"100ms\"").await;
    let script = async {
        let mut connection = scene.origin.accept().await;
        connection.head().await;
        scene
            .sidecar
            .until_metric("truehit_origin_requests_total{purpose=\"pass\",code=\"http_response_timeout\"}", 1.0)
            .await;
        connection
    };
    let mut client = scene.sidecar.client().await;
    // More than the buffers between the two hold.
    let request = ask("POST", "/").body(full(vec![0; 64 << 20])).unwrap();
    let (_, answer) = tokio::join!(script, outcome(&mut client, request));
    // The client may not get to read it: it is still sending.
    assert!(answer.is_none_or(|answer| answer.status == 504));
}

#[tokio::test]
async fn d19_what_is_stored_is_served_stale_where_that_is_configured_alone() {
    for (configured, status, text) in [("fail", 502, None), ("serve-stale", 200, Some("stored"))] {
        let scene = Scene::new(&format!("defaults.on_check_error = \"{configured}\"")).await;
        let got = scene.plays_for(Purpose::Check, "/", b"", Then::Closes).await.unwrap();
        assert_eq!(got.status, status, "{configured}");
        if let Some(text) = text {
            assert_eq!((got.text(), got.field("cache-status")), (text, "truehit; fwd=stale; detail=stale-if-error"));
        }
    }
}

const STATE: &str = "truehit_origin_breaker_state";
const NOT_MODIFIED: &[u8] = b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nConnection: close\r\n\r\n";

/// A scene on which every other check has failed until the breaker opened.
async fn flapping(more: &str) -> Scene {
    let scene = Scene::new(more).await;
    let mut client = scene.sidecar.client().await;
    assert!(scene.plays(&mut client, get("/"), STORED.as_bytes(), Then::Closes).await.is_some());
    for _ in 0..20 {
        assert_eq!(scene.sidecar.metric(STATE).await, 0.0);
        for answer in [NOT_MODIFIED, b""] {
            let got = scene.plays(&mut client, get("/"), answer, Then::Closes).await.unwrap();
            assert!(matches!(got.status.as_u16(), 200 | 502), "{got:?}");
        }
    }
    assert_eq!(scene.sidecar.metric(STATE).await, 2.0);
    assert_eq!(scene.sidecar.metric("truehit_origin_breaker_opened_total").await, 1.0);
    scene
}

#[tokio::test]
async fn d20_an_origin_that_flaps_is_left_alone_and_that_is_said() {
    let scene = flapping("origin.breaker.open_for = \"10m\"\norigin.breaker.open_max = \"10m\"").await;
    for target in ["/", "/another"] {
        let refused = scene.sidecar.get(target).await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.field("proxy-status"), "truehit; error=destination_unavailable");
        let seconds: u64 = refused.field("retry-after").parse().unwrap();
        assert!((500..=750).contains(&seconds), "{seconds}");
    }
    let held_back = "truehit_origin_requests_total{purpose=\"check\",code=\"destination_unavailable\"}";
    assert_eq!(scene.sidecar.metric(held_back).await, 1.0);
    // What passes is not held back.
    let passed = scene.plays_for(Purpose::Pass, "/", ok("written").as_bytes(), Then::Closes).await.unwrap();
    assert_eq!(passed.text(), "written");
}

#[tokio::test]
async fn d20_while_it_is_left_alone_stale_is_served_by_name_where_that_is_configured() {
    let scene = flapping("defaults.on_check_error = \"serve-stale\"\norigin.breaker.open_for = \"10m\"").await;
    let stale = scene.sidecar.get("/").await;
    assert_eq!(stale.text(), "stored");
    assert_eq!(stale.field("cache-status"), "truehit; fwd=stale; detail=stale-if-error");
    assert_eq!(scene.sidecar.get("/another").await.status, 503);
}

#[tokio::test]
async fn d20_one_request_tries_and_where_it_is_answered_all_are_sent_again() {
    let scene = flapping("origin.breaker.open_for = \"100ms\"").await;
    pass(Duration::from_millis(125)).await;
    let script = async {
        let mut connection = scene.origin.accept().await;
        connection.head().await;
        // While it tries, others do not.
        assert_eq!(scene.sidecar.get("/another").await.status, 503);
        assert_eq!(scene.sidecar.metric(STATE).await, 1.0);
        connection.write(NOT_MODIFIED).await;
    };
    let tried = tokio::join!(script, scene.sidecar.get("/")).1;
    assert_eq!(tried.text(), "stored");
    assert_eq!(scene.sidecar.metric(STATE).await, 0.0);
    let next = tokio::join!(scene.answers(ok("truth"), Then::Closes), scene.sidecar.get("/another")).1;
    assert_eq!(next.text(), "truth");
}
