//! Which connections are used again, and by whom.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use raw::{RawOrigin, ok};

const EMPTY_OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

#[tokio::test]
async fn a_connection_whose_answer_was_read_to_its_end_is_used_again() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut connection = server.accept().await;
        connection.answer(ok("one")).await;
        connection.answer(ok("two")).await;
    };
    let requests = async {
        assert_eq!(text(fetch(&origin, get("/1")).await.unwrap()).await.unwrap(), "one");
        quarantine().await;
        assert_eq!(text(fetch(&origin, get("/2")).await.unwrap()).await.unwrap(), "two");
    };
    tokio::join!(script, requests);
    assert_eq!(dials(&origin), 1);
}

#[tokio::test]
async fn checks_and_fetches_share_no_connection() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut checks = server.accept().await;
        checks.answer(ok("check")).await;
        let mut fetches = server.accept().await;
        fetches.answer(ok("fetch")).await;
    };
    let requests = async {
        assert_eq!(text(check(&origin, get("/")).await.unwrap()).await.unwrap(), "check");
        assert_eq!(text(fetch(&origin, get("/")).await.unwrap()).await.unwrap(), "fetch");
    };
    tokio::join!(script, requests);
}

#[tokio::test]
async fn dropping_a_body_closes_its_connection() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut first = server.accept().await;
        first.answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nstart").await;
        first.closed().await;
        server.accept().await.answer(ok("new")).await;
    };
    let requests = async {
        drop(fetch(&origin, get("/")).await.unwrap());
        assert_eq!(text(fetch(&origin, get("/")).await.unwrap()).await.unwrap(), "new");
    };
    tokio::join!(script, requests);
}

#[tokio::test]
async fn idle_connections_are_dropped_after_the_idle_timeout() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { idle_timeout: Duration::from_millis(50), ..settings(place(server.address)) });
    let script = async {
        let mut connection = server.accept().await;
        connection.answer(ok("one")).await;
        connection.closed().await;
    };
    let requests = async { text(fetch(&origin, get("/")).await.unwrap()).await.unwrap() };
    tokio::join!(script, requests);
}

/// G9: a name may have another address by now.
#[tokio::test]
async fn an_old_connection_is_not_used_again() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { age_max: Duration::from_nanos(1), ..settings(place(server.address)) });
    let script = async {
        for _ in 0..2 {
            let mut connection = server.accept().await;
            connection.answer(ok("one")).await;
            connection.closed().await;
        }
    };
    let requests = async {
        for _ in 0..2 {
            text(fetch(&origin, get("/")).await.unwrap()).await.unwrap();
        }
    };
    tokio::join!(script, requests);
    assert_eq!(dials(&origin), 2);
}

/// D18.
#[tokio::test]
async fn a_get_on_a_pooled_connection_that_closes_is_sent_once_more() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut first = server.accept().await;
        first.answer(ok("one")).await;
        assert!(first.head().await.starts_with("GET /2"));
        drop(first);
        assert!(server.accept().await.answer(ok("two")).await.starts_with("GET /2"));
    };
    let requests = async {
        text(fetch(&origin, get("/1")).await.unwrap()).await.unwrap();
        quarantine().await;
        assert_eq!(text(fetch(&origin, get("/2")).await.unwrap()).await.unwrap(), "two");
    };
    tokio::join!(script, requests);
    assert_eq!(origin.counters().retries.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_get_on_a_fresh_connection_that_closes_fails() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async { drop(server.accept().await.head().await) };
    let (_, failed) = tokio::join!(script, fetch(&origin, get("/")));
    assert!(matches!(failed, Err(OriginError::ConnectionTerminated(_))), "{:?}", failed.err());
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut first = server.accept().await;
        first.answer(ok("one")).await;
        assert!(first.head().await.starts_with("POST"));
    };
    let requests = async {
        text(fetch(&origin, get("/1")).await.unwrap()).await.unwrap();
        quarantine().await;
        fetch(&origin, post("content")).await.err()
    };
    let (_, failed) = tokio::join!(script, requests);
    assert!(matches!(failed, Some(OriginError::ConnectionTerminated(_))), "{failed:?}");
    assert_eq!(dials(&origin), 1);
}

/// RFC 10008, abstract: a QUERY "can be automatically repeated or restarted without concern for partial state changes".
#[tokio::test]
async fn a_query_on_a_pooled_connection_that_closes_is_sent_once_more_with_its_content() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut first = server.accept().await;
        first.answer(ok("one")).await;
        assert!(first.head().await.starts_with("QUERY /2"));
        drop(first);
        let mut second = server.accept().await;
        let head = second.head().await;
        assert!(head.starts_with("QUERY /2") && head.contains("content-length: 7\r\n"), "{head}");
        assert_eq!(second.exactly(7).await, b"content");
        second.write(ok("two")).await;
    };
    let requests = async {
        text(fetch(&origin, get("/1")).await.unwrap()).await.unwrap();
        quarantine().await;
        let query = request(Method::QUERY, "/2").map(|_| RequestBody::Full("content".into()));
        assert_eq!(text(fetch(&origin, query).await.unwrap()).await.unwrap(), "two");
    };
    tokio::join!(script, requests);
    assert_eq!(origin.counters().retries.load(Ordering::Relaxed), 1);
}

/// D2: the body of an answer to HEAD, sent late, must not become the answer to the next request.
#[tokio::test]
async fn late_bytes_after_a_head_do_not_become_the_next_answer() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut unsound = server.accept().await;
        unsound.answer(EMPTY_OK).await;
        // The second request is on its way, on a connection of its own, when the stray answer comes.
        let mut other = server.accept().await;
        other.head().await;
        unsound.write(ok("poison")).await;
        unsound.closed().await;
        other.write(ok("truth")).await;
    };
    let requests = async {
        text(check(&origin, head("/")).await.unwrap()).await.unwrap();
        assert_eq!(text(check(&origin, get("/")).await.unwrap()).await.unwrap(), "truth");
    };
    tokio::join!(script, requests);
    assert_eq!(desyncs(&origin), 1);
}

/// D1, D4: the body comes together with the head that forbids it.
#[tokio::test]
async fn a_body_where_none_may_be_costs_the_connection() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut unsound = server.accept().await;
        unsound.answer(ok("poison")).await;
        unsound.closed().await;
    };
    let requests = async { text(check(&origin, head("/")).await.unwrap()).await };
    assert_eq!(tokio::join!(script, requests).1.unwrap(), "");
    assert_eq!(desyncs(&origin), 1);
}

#[tokio::test]
async fn stray_bytes_empty_the_pool() {
    let server = RawOrigin::start().await;
    let forever = Duration::from_secs(3600);
    let origin = client(&config::Origin { idle_timeout: forever, ..settings(place(server.address)) });
    let script = async {
        let mut sound = server.accept().await;
        let mut unsound = server.accept().await;
        sound.answer(ok("a")).await;
        unsound.answer(ok("b")).await;
        unsound.write("stray").await;
        unsound.closed().await;
        sound.closed().await;
    };
    let requests = async {
        let (one, two) = tokio::join!(fetch(&origin, get("/a")), fetch(&origin, get("/b")));
        let _ = tokio::join!(text(one.unwrap()), text(two.unwrap()));
    };
    tokio::join!(script, requests);
    assert_eq!(desyncs(&origin), 1);
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_quiet_quarantine_and_at_once_after_four() {
    for answer in ["HTTP/1.1 304 Not Modified\r\n\r\n", &ok("content")] {
        used_again_after_four_quarantines(answer).await;
    }
}

async fn used_again_after_four_quarantines(answer: &str) {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut connection = server.accept().await;
        for _ in 0..6 {
            connection.answer(answer).await;
        }
    };
    let requests = async {
        for quarantines in 0..6 {
            text(check(&origin, get("/")).await.unwrap()).await.unwrap();
            if quarantines < 4 {
                quarantine().await;
            }
        }
    };
    tokio::join!(script, requests);
    assert_eq!(dials(&origin), 1);
}

#[tokio::test]
async fn under_load_the_first_in_quarantine_stay_and_prove_the_origin_sound() {
    const MANY: usize = 100;
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let not_modified = "HTTP/1.1 304 Not Modified\r\n\r\n";
    let script = async {
        let mut connections = Vec::new();
        for _ in 0..MANY {
            let mut connection = server.accept().await;
            connection.answer(not_modified).await;
            connections.push(connection);
        }
        // Eight were kept; the one that fell idle last is used first.
        for _ in 0..MANY {
            connections[7].answer(not_modified).await;
        }
    };
    let requests = async {
        for _ in 0..MANY {
            text(check(&origin, get("/")).await.unwrap()).await.unwrap();
        }
        quarantine().await;
        for _ in 0..MANY {
            text(check(&origin, get("/")).await.unwrap()).await.unwrap();
        }
    };
    tokio::join!(script, requests);
    assert_eq!(dials(&origin), MANY as u64);
}

#[tokio::test]
async fn requests_above_the_limit_wait_for_the_connect_timeout() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin {
        connections_max: 1,
        connect_timeout: Duration::from_millis(100),
        ..settings(place(server.address))
    });
    let script = async {
        let mut connection = server.accept().await;
        connection.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        connection
    };
    let (_connection, held) = tokio::join!(script, fetch(&origin, get("/")));
    let _held = held.unwrap();
    assert_eq!(fetch(&origin, get("/")).await.err(), Some(OriginError::ConnectionLimit));
}

#[tokio::test]
async fn more_requests_than_may_wait_are_refused_at_once() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin {
        connections_max: 1,
        queue_max: 2,
        connect_timeout: Duration::from_secs(3600),
        ..settings(place(server.address))
    });
    let script = async {
        let mut connection = server.accept().await;
        connection.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        connection
    };
    let (mut connection, held) = tokio::join!(script, fetch(&origin, get("/")));
    let waiting = async {
        let (one, two) = tokio::join!(fetch(&origin, get("/1")), fetch(&origin, get("/2")));
        assert!(one.is_ok() && two.is_ok());
    };
    let script = async {
        assert_eq!(fetch(&origin, get("/3")).await.err(), Some(OriginError::ConnectionLimit));
        // Their turn comes when the first is done, one after the other.
        connection.write("first").await;
        assert_eq!(text(held.unwrap()).await.unwrap(), "first");
        for _ in 0..2 {
            server.accept().await.answer("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        }
    };
    tokio::join!(waiting, script);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_need_no_more_connections_than_there_are_at_once() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 200;
    let server = RawOrigin::start().await;
    let origin = Arc::new(to(server.address));
    let script = tokio::spawn(async move {
        loop {
            let mut connection = server.accept().await;
            tokio::spawn(async move {
                loop {
                    connection.answer(ok("ok")).await;
                }
            });
        }
    });
    // Until it is known to be sound, each request has a connection of its own.
    let shown: Vec<_> = futures_util::future::join_all((0..4).map(|_| fetch(&origin, get("/")))).await;
    for response in shown {
        text(response.unwrap()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(250)).await;
    let clients = (0..CLIENTS).map(|_| {
        let origin = Arc::clone(&origin);
        tokio::spawn(async move {
            for _ in 0..REQUESTS {
                assert_eq!(text(fetch(&origin, get("/")).await.unwrap()).await.unwrap(), "ok");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    script.abort();
    // Or a few more: a connection may not be ready again when its client already asks for the next.
    assert!(dials(&origin) <= 2 * CLIENTS as u64);
}
