//! Section E: conditions, ranges and methods.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};

use super::*;

pub const ROWS: &[Row] = &[
    held(
        1,
        "1,000 ranges, overlapping ones, `bytes=0-,0-,...`",
        "more than 16 are ignored; those that overlap are joined: no answer is longer than the body and its parts' heads",
    ),
    held(
        2,
        "a small range of a large resource, under another query each time",
        "the range goes to the origin as it is: no more is asked for than is wanted",
    ),
    held(
        3,
        "`If-None-Match` with 10,000 tags, malformed, or `*`",
        "1,024 tags are read, in linear time; what is malformed is ignored",
    ),
    held(4, "`If-Range` with a weak tag", "the whole is sent"),
    held(
        5,
        "an unsafe request that succeeds",
        "its target, and what `Location` and `Content-Location` name on the same origin, are invalidated; what was being fetched then is not kept as current",
    ),
    held(6, "HEAD of what is stored", "checked like a GET, answered with its fields and no body"),
    held(7, "`only-if-cached`, and nothing stored", "504, and the origin is not asked"),
];

const SIZE: usize = 100_000;

/// A resource of [`SIZE`] bytes that knows its tag and single ranges, and says what was asked and how many bytes it sent.
async fn large() -> (Origin, mpsc::UnboundedReceiver<(http::request::Parts, usize)>) {
    let (told, tells) = mpsc::unbounded_channel();
    let origin = Origin::start(move |request: Request<Incoming>| {
        let told = told.clone();
        async move {
            let head = request.into_parts().0;
            let response = Response::builder().header("etag", "\"1\"");
            let known = head.headers.get("if-none-match").is_some_and(|tags| tags.to_str().unwrap().contains("\"1\""));
            let range = head.headers.get("range").and_then(|range| {
                let (first, last) = range.to_str().unwrap().strip_prefix("bytes=")?.split_once('-')?;
                Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
            });
            let (response, content) = match range {
                _ if known => (response.status(304), empty()),
                Some((first, last)) => {
                    let response = response.status(206).header("content-range", format!("bytes {first}-{last}/{SIZE}"));
                    (response, full(vec![7; last - first + 1]))
                }
                None => (response, full(vec![7; SIZE])),
            };
            let sent = match (known, range) {
                (true, _) => 0,
                (false, Some((first, last))) => last - first + 1,
                (false, None) => SIZE,
            };
            let _ = told.send((head, sent));
            response.body(content).unwrap()
        }
    });
    (origin.await, tells)
}

#[tokio::test]
async fn e1_no_set_of_ranges_makes_more_of_a_body_than_it_is() {
    let (origin, _tells) = large().await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    sidecar.send("GET", "/a", &[]).await;
    let many = |count: usize, range: fn(usize) -> String| {
        let ranges: Vec<_> = (0..count).map(range).collect();
        format!("bytes={}", ranges.join(","))
    };
    for (sentence, range) in [
        ("a thousand", many(1000, |at| format!("{}-{}", at * 20, at * 20 + 9))),
        ("a thousand that overlap", many(1000, |_| "0-".to_owned())),
        ("sixteen that overlap", many(16, |_| "0-".to_owned())),
        ("sixteen that overlap in part", many(16, |at| format!("{at}-"))),
        ("backwards", many(16, |at| format!("{}-{}", 1000 - at * 50, 1020 - at * 50))),
        ("suffixes", many(16, |at| format!("-{}", SIZE - at))),
    ] {
        let answer = sidecar.send("GET", "/a", &[("range", &range)]).await;
        assert!(matches!(answer.status.as_u16(), 200 | 206), "{sentence}: {}", answer.status);
        assert!(answer.body.len() <= SIZE + 16 * 256, "{sentence}: {} bytes", answer.body.len());
    }
    let apart = sidecar.send("GET", "/a", &[("range", "bytes=0-9,100-109")]).await;
    assert!(apart.status == 206 && apart.field("content-type").starts_with("multipart/byteranges"), "{apart:?}");
}

#[tokio::test]
async fn e2_a_small_range_asks_the_origin_for_no_more() {
    let (origin, mut tells) = large().await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    for bust in 0..20 {
        let answer = sidecar.send("GET", &format!("/a?{bust}"), &[("range", "bytes=5-9")]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (206, 5));
        assert_eq!(tells.recv().await.unwrap().1, 5, "what the origin sent");
    }
}

#[tokio::test]
async fn e3_lists_of_tags_are_read_once() {
    let (origin, _tells) = large().await;
    let sidecar = Sidecar::start(&origin.url(), "limits.head_bytes = \"256KiB\"").await;
    sidecar.send("GET", "/a", &[]).await;
    let others = |count: usize| (0..count).map(|number| format!("\"t{number}\",")).collect::<String>();
    let tags = |last: &str| others(9_999) + last;
    for (sentence, value, expected) in [
        ("10,000 tags, the last of them right: 1,024 are read", tags("\"1\""), 200),
        ("1,000 tags, the last of them right", others(999) + "\"1\"", 304),
        ("10,000 tags, none of them right", tags("\"2\""), 200),
        ("any", "*".to_owned(), 304),
        ("a quote that is never closed", "\"1".to_owned(), 200),
        ("100,000 quotes", "\"".repeat(100_000), 200),
        ("100,000 commas", ",".repeat(100_000), 200),
        ("a bare word", "1".to_owned(), 200),
        ("nothing", String::new(), 200),
    ] {
        let answer = sidecar.send("GET", "/a", &[("if-none-match", &value)]).await;
        assert_eq!(answer.status, expected, "{sentence}");
    }
}

#[tokio::test]
async fn e4_a_weak_tag_is_no_condition_for_a_range() {
    let (origin, _tells) = large().await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    sidecar.send("GET", "/a", &[]).await;
    for (condition, status, length) in
        [("\"1\"", 206, 5), ("W/\"1\"", 200, SIZE), ("\"2\"", 200, SIZE), ("x", 200, SIZE)]
    {
        let answer = sidecar.send("GET", "/a", &[("range", "bytes=5-9"), ("if-range", condition)]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, length), "RFC 9110 §13.1.5: {condition}");
    }
}

/// An API of versioned resources: a write makes all of them another version, and names others in its answer.
async fn versioned(location: &'static str) -> (Origin, Arc<AtomicUsize>, Arc<Semaphore>, mpsc::UnboundedReceiver<()>) {
    let (version, gate) = (Arc::new(AtomicUsize::new(1)), Arc::new(Semaphore::new(1000)));
    let (asked, asks) = mpsc::unbounded_channel();
    let (current, opened) = (Arc::clone(&version), Arc::clone(&gate));
    let origin = Origin::start(move |request: Request<Incoming>| {
        let (version, gate, asked) = (Arc::clone(&current), Arc::clone(&opened), asked.clone());
        async move {
            if request.method() != "GET" {
                version.fetch_add(1, Ordering::Relaxed);
                return Response::builder().status(201).header("location", location).body(empty()).unwrap();
            }
            let read = version.load(Ordering::Relaxed);
            let _ = asked.send(());
            gate.acquire().await.unwrap().forget();
            let response =
                Response::builder().header("cache-control", "max-age=3600").header("etag", format!("\"{read}\""));
            response.body(full(read.to_string())).unwrap()
        }
    });
    (origin.await, version, gate, asks)
}

#[tokio::test]
async fn e5_a_write_invalidates_what_it_names_and_what_is_on_its_way() {
    for (location, target, fresh) in [
        ("/b", "/a", false),
        ("/b", "/b", false),
        ("http://api.test/b", "/b", false),
        ("http://other.test/b", "/b", true),
        ("/b", "/c", true),
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
            let (origin, ..) = versioned(location).await;
            let sidecar = Sidecar::start(&origin.url(), "defaults.verify = \"when-stale\"").await;
            assert_eq!(sidecar.send("GET", target, &[]).await.text(), "1");
            assert_eq!(sidecar.send(method, "/a", &[]).await.status, 201);
            let expected = if fresh { "1" } else { "2" };
            assert_eq!(sidecar.send("GET", target, &[]).await.text(), expected, "{method}, {location}, {target}");
        }
    }
    // A fetch that began before the write ends after it.
    let (origin, _, gate, mut asks) = versioned("/b").await;
    let sidecar = Arc::new(Sidecar::start(&origin.url(), "defaults.verify = \"when-stale\"").await);
    gate.forget_permits(1000);
    let reader = Arc::clone(&sidecar);
    let early = tokio::spawn(async move { reader.send("GET", "/a", &[]).await });
    soon(asks.recv()).await.unwrap();
    assert_eq!(sidecar.send("POST", "/a", &[]).await.status, 201);
    gate.add_permits(1000);
    assert_eq!(soon(early).await.unwrap().text(), "1", "it was asked before");
    assert_eq!(sidecar.send("GET", "/a", &[]).await.text(), "2", "who asks later gets what is current");
}

#[tokio::test]
async fn e6_a_head_is_answered_as_the_get_would_be() {
    let (origin, mut tells) = large().await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let get = sidecar.send("GET", "/a", &[]).await;
    tells.recv().await.unwrap();
    let head = sidecar.send("HEAD", "/a", &[]).await;
    assert!(head.body.is_empty() && head.field("cache-status").contains("detail=checked"), "{head:?}");
    for name in ["etag", "content-length", "content-type"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
    }
    let (asked, _) = tells.recv().await.unwrap();
    assert_eq!(asked.headers["if-none-match"], "\"1\"", "it was checked");
}

#[tokio::test]
async fn e7_what_may_only_be_cached_is_not_asked_for() {
    let (origin, mut tells) = large().await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    for method in ["GET", "HEAD"] {
        let answer = sidecar.send(method, "/a", &[("cache-control", "only-if-cached")]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.field("proxy-status")),
            (504, "truehit; error=proxy_internal_response")
        );
    }
    assert!(tells.try_recv().is_err());
}
