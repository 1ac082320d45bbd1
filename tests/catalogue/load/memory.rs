//! How much is held, what goes when there is no room, and how much a request may set in motion.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use program::Running;

/// An answer with this body and a strong tag.
fn tagged(tag: &str, body: impl Into<Bytes>) -> Response<Content> {
    let mut response = Response::new(full(body));
    response.headers_mut().insert(header::ETAG, HeaderValue::try_from(format!("\"{tag}\"")).unwrap());
    response
}

/// 304 where the condition names the tag.
fn answer(request: &Request<Incoming>, tag: &str, body: impl Into<Bytes>) -> Response<Content> {
    let mut response = tagged(tag, body);
    let condition = request.headers().get(header::IF_NONE_MATCH).map(|list| list.to_str().unwrap().to_owned());
    if condition.is_some_and(|list| list.contains(&format!("\"{tag}\""))) {
        (*response.status_mut(), *response.body_mut()) = (StatusCode::NOT_MODIFIED, empty());
    }
    response
}

const MEBIBYTE: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_scan_of_many_urls_stays_within_memory_and_leaves_what_is_hot() {
    let origin =
        Origin::start(|request: Request<Incoming>| async move { answer(&request, "1", vec![b'x'; 4_000]) }).await;
    let store = 8 * MEBIBYTE;
    let mut command = program::truehit(&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--origin", &origin.url()]).env("TRUEHIT_CACHE__MEMORY", "8MiB");
    let sidecar = Running::of(command).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(sidecar.client().await);
    }
    let (mut hot, mut hits) = (0, 0);
    // Nearly twice as many as there is room for, and every tenth request is for one of forty.
    for number in 0..3_000 {
        let client = &mut clients[number % 4];
        assert_eq!(client.get(&format!("/scan/{number}")).await.status, StatusCode::OK);
        if number % 10 == 0 {
            let answer = client.get(&format!("/hot/{}", number / 10 % 40)).await;
            if number >= 1_500 {
                hot += 1;
                hits += usize::from(answer.field("cache-status").contains("detail=checked"));
            }
        }
    }
    let held = sidecar.metric("truehit_store_bytes").await;
    assert!(held <= store as f64 && held > store as f64 / 2.0, "{held} bytes are stored");
    let memory = sidecar.memory();
    assert!(memory <= store * 5 / 4 + 80 * MEBIBYTE, "{memory} bytes are in use, by a build that is not optimised");
    assert!(hits * 10 >= hot * 9, "{hits} of {hot} reads of the hot ones were hits");
}

/// An answer that goes on for so many pieces of 64 KiB, and does not say so.
fn long(pieces: usize) -> Response<Content> {
    let piece = Bytes::from(vec![b'x'; 64 << 10]);
    let frames = (0..pieces).map(move |_| Ok(Frame::data(piece.clone())));
    let mut response = tagged("long", Bytes::new());
    *response.body_mut() = BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames)));
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_what_is_held_of_large_bodies_for_slow_readers_is_bounded() {
    const READERS: usize = 60;
    const PIECES: usize = 64;
    let origin = Origin::start(|_| async { long(PIECES) }).await;
    let mut command = program::truehit(&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command
        .args(["--origin", &origin.url()])
        .env("TRUEHIT_CACHE__MEMORY", "8MiB")
        .env("TRUEHIT_CACHE__FILL_MEMORY", "8MiB")
        .env("TRUEHIT_DEFAULTS__OBJECT_MAX", "1MiB");
    let sidecar = Running::of(command).await;
    let idle = sidecar.memory();
    let mut readers = Vec::new();
    for number in 0..READERS {
        let mut client = sidecar.client().await;
        let response = client.send(ask("GET", &format!("/{number}")).body(empty()).unwrap()).await;
        readers.push((client, response.into_body()));
    }
    // They read one after the other, so that nearly all of them take nothing for nearly all the time.
    let mut most = 0;
    for (_client, mut body) in readers {
        let mut length = 0;
        while let Some(frame) = soon(body.frame()).await {
            length += frame.unwrap().into_data().map(|data| data.len()).unwrap_or_default();
        }
        assert_eq!(length, PIECES * (64 << 10), "each gets all of it");
        most = most.max(sidecar.memory());
        assert!(sidecar.metric("truehit_fill_bytes").await <= 8.0 * MEBIBYTE as f64);
    }
    // 240 MiB went through.
    let bound = 8 * MEBIBYTE + READERS as u64 * MEBIBYTE;
    assert!(most - idle <= bound, "{} bytes more than at first", most - idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_queries_that_wait_hold_no_more_content_than_there_is_memory_for_bodies() {
    const QUERIES: usize = 40;
    let (asked, turns) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, turn) = (Arc::clone(&asked), Arc::clone(&turns));
    let origin = Origin::start(move |request: Request<Incoming>| {
        let (count, turn) = (Arc::clone(&count), Arc::clone(&turn));
        async move {
            let content = request.into_body().collect().await.unwrap().to_bytes();
            count.fetch_add(1, Ordering::Relaxed);
            turn.acquire().await.unwrap().forget();
            tagged("q", content)
        }
    });
    let origin = origin.await;
    let memory = "cache.memory = \"1MiB\"\ncache.fill_memory = \"1536KiB\"\ndefaults.object_max = \"1MiB\"";
    let sidecar = Sidecar::start(&origin.url(), memory).await;
    let mut clients = Vec::new();
    for number in 0..QUERIES {
        let mut client = sidecar.client().await;
        clients.push(tokio::spawn(async move {
            let content = vec![u8::try_from(number).unwrap(); 60_000];
            let query = ask("QUERY", "/search").header(header::CONTENT_TYPE, "text/plain");
            let answer = client.fetch(query.body(full(content.clone())).unwrap()).await;
            (content, answer)
        }));
    }
    let mut most = 0.0f64;
    soon(async {
        while asked.load(Ordering::Relaxed) < QUERIES {
            most = most.max(sidecar.metric("truehit_fill_bytes").await);
        }
    })
    .await;
    // Three quarters of the memory.
    assert!(most > 0.0 && most <= 1.125 * MEBIBYTE as f64, "{most} bytes are held");
    turns.add_permits(QUERIES);
    for client in clients {
        let (content, answer) = client.await.unwrap();
        assert!(answer.status == StatusCode::OK && answer.body == content, "each gets its own, stored or not");
    }
    assert!(sidecar.metric("truehit_pass_total{reason=\"content-memory\"}").await > 0.0, "not all had room");
    sidecar.until_metric("truehit_fill_bytes", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_ten_thousand_values_of_a_selecting_field_leave_as_many_variants_as_may_be() {
    const AGENTS: usize = 10_000;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let origin = Origin::start(move |request: Request<Incoming>| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            let agent = request.headers()[header::USER_AGENT].to_str().unwrap().to_owned();
            let mut response = answer(&request, &agent, agent.clone());
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("User-Agent"));
            response
        }
    });
    let origin = origin.await;
    let sidecar = Sidecar::start(&origin.url(), "cache.variants_max = 16").await;
    let mut client = sidecar.client().await;
    let get = async |client: &mut Client, agent: usize| {
        let request = ask("GET", "/").header(header::USER_AGENT, format!("agent-{agent}"));
        let answer = client.fetch(request.body(empty()).unwrap()).await;
        assert_eq!(answer.text(), format!("agent-{agent}"));
        answer.field("cache-status").contains("detail=checked")
    };
    for agent in 0..AGENTS {
        assert!(!get(&mut client, agent).await);
    }
    assert_eq!(asked.load(Ordering::Relaxed), AGENTS, "one exchange for each");
    assert!(sidecar.metric("truehit_store_bytes").await < 64.0 * 1024.0);
    assert!((sidecar.metric("truehit_store_entries").await - 1.0).abs() < 0.5, "one resource");
    for agent in AGENTS - 16..AGENTS {
        assert!(get(&mut client, agent).await, "the latest are there");
    }
    assert!(!get(&mut client, AGENTS - 17).await, "those before them are not");
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_a_thousand_clients_of_one_cold_key_are_one_get_at_the_origin() {
    const CONNECTIONS: usize = 10;
    const STREAMS: usize = 100;
    let (gets, checks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (turns, counts) = (Arc::new(Semaphore::new(0)), (Arc::clone(&gets), Arc::clone(&checks)));
    let turn = Arc::clone(&turns);
    let origin = Origin::start(move |request: Request<Incoming>| {
        let is_check = request.headers().contains_key(header::IF_NONE_MATCH);
        if is_check { &counts.1 } else { &counts.0 }.fetch_add(1, Ordering::Relaxed);
        let turn = Arc::clone(&turn);
        async move {
            let _turn = turn.acquire().await.unwrap();
            answer(&request, "1", "the one")
        }
    });
    let origin = origin.await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let (sender, mut answers) = mpsc::unbounded_channel();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = sidecar.h2_client().await;
        for _ in 0..STREAMS {
            client.concurrent(ask("GET", "/cold").body(empty()).unwrap(), sender.clone());
        }
        clients.push(client);
    }
    sidecar.until_metric("truehit_waiting_requests", (CONNECTIONS * STREAMS) as f64).await;
    turns.add_permits(1);
    for _ in 0..CONNECTIONS * STREAMS {
        let answer: Answer = soon(answers.recv()).await.unwrap();
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "the one"));
    }
    assert_eq!(gets.load(Ordering::Relaxed), 1);
    // Who came after the GET had gone out needs an exchange that began later, and they all share it.
    assert!(checks.load(Ordering::Relaxed) <= 2, "{checks:?}");
}

/// The content of everything that [`f12_no_small_request_sets_much_in_motion`] asks for, in bytes.
const LENGTH: usize = 50_000;

/// A method, a target, and fields.
type Small = (&'static str, String, Vec<(&'static str, String)>);

/// Requests of a few bytes, or a few thousand, that might make much of little.
fn small_requests() -> Vec<Small> {
    let list = |one: &str, times: usize| vec![one; times].join(",");
    let ranges = |ranges: String| vec![("range", format!("bytes={ranges}"))];
    let plain: [(&'static str, &str); 17] = [
        ("GET", "/plain"),
        ("HEAD", "/head"),
        ("OPTIONS", "/options"),
        ("OPTIONS", "*"),
        ("TRACE", "/trace"),
        ("POST", "/post"),
        ("PUT", "/put"),
        ("DELETE", "/delete"),
        ("PATCH", "/patch"),
        ("PURGE", "/purge"),
        ("PROPFIND", "/propfind"),
        ("get", "/lower"),
        ("GET", "//other.test/"),
        ("GET", "/a/../b/%2e%2e/c"),
        ("GET", "/metrics"),
        ("GET", "/readyz"),
        ("GET", "/admin"),
    ];
    let mut all: Vec<_> = plain.map(|(method, target)| (method, target.to_owned(), Vec::new())).into();
    let with = |name: &str, fields: Vec<(&'static str, String)>| ("GET", format!("/{name}"), fields);
    all.extend([
        with("one-byte", ranges("0-0".to_owned())),
        with("suffixes", ranges(list("-1", 1_000))),
        with("all-of-it-over-and-over", ranges(list("0-", 1_000))),
        with("overlapping", ranges((0..1_000).map(|at| format!("{at}-{}", at + 40_000)).collect::<Vec<_>>().join(","))),
        with("far-apart", ranges((0..1_000).map(|at| format!("{0}-{0}", at * 40)).collect::<Vec<_>>().join(","))),
        with("if-range", vec![("range", "bytes=0-0".to_owned()), ("if-range", "\"other\"".to_owned())]),
        with(
            "many-tags",
            vec![("if-none-match", (0..900).map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(","))],
        ),
        with("any-tag", vec![("if-none-match", "*".to_owned())]),
        with(
            "no-cache",
            vec![("cache-control", "no-cache, no-cache, max-age=0".to_owned()), ("pragma", "no-cache".to_owned())],
        ),
        with("no-store", vec![("cache-control", "no-store".to_owned())]),
        with("only-if-cached", vec![("cache-control", "only-if-cached".to_owned())]),
        with(
            "digests",
            vec![
                ("want-repr-digest", "sha-256=10, sha-512=9".to_owned()),
                ("want-content-digest", "sha-512=1".to_owned()),
            ],
        ),
        with("codings", vec![("accept-encoding", list("gzip;q=0.5", 500))]),
        with("forwards", vec![("max-forwards", "1000000".to_owned())]),
        with(&"long".repeat(500), Vec::new()),
    ]);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_no_small_request_sets_much_in_motion() {
    let (asked, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let (count, bytes) = (Arc::clone(&asked), Arc::clone(&sent));
    let origin = Origin::start(move |request: Request<Incoming>| {
        count.fetch_add(1, Ordering::Relaxed);
        let mut response = answer(&request, "1", vec![b'x'; LENGTH]);
        if *request.method() == Method::HEAD {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(LENGTH));
            *response.body_mut() = empty();
        } else if response.status() == StatusCode::OK {
            bytes.fetch_add(LENGTH as u64, Ordering::Relaxed);
        }
        async move { response }
    });
    let origin = origin.await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    for turn in ["not stored", "perhaps stored"] {
        for (method, target, fields) in small_requests() {
            let what = format!("{turn}: {method} {}", &target[..target.len().min(40)]);
            let (asked_before, sent_before) = (asked.load(Ordering::Relaxed), sent.load(Ordering::Relaxed));
            let mut request = ask(method, &target);
            let named =
                fields.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
            request.headers_mut().unwrap().extend(named.collect::<HeaderMap>());
            let answer = sidecar.client().await.fetch(request.body(empty()).unwrap()).await;
            let asked_for_it = asked.load(Ordering::Relaxed) - asked_before;
            // HEAD alone says nothing of what is not stored, and a check that proves nothing is followed by a GET.
            assert!(asked_for_it <= 2, "{what}: {asked_for_it} requests at the origin");
            let sent_for_it = sent.load(Ordering::Relaxed) - sent_before;
            assert!(sent_for_it <= LENGTH as u64, "{what}: {sent_for_it} bytes from the origin");
            // A part of several has a head of its own.
            assert!(answer.body.len() <= LENGTH + 2_000, "{what}: {} bytes to the client", answer.body.len());
        }
    }
}
