//! Bodies that are cut, that do not say where they end, or that are not what their head says.

use std::collections::HashMap;
use std::sync::Arc;

use truehit::rules::digest::{Algorithm, Digest};

use super::*;

/// Plays each answer to clients of both versions, for a fetch, a check and a pass, ended by FIN and by RST: none looks
/// whole, and none is stored.
async fn never_look_whole(answers: &[Vec<u8>]) {
    let scene = Scene::new(NO_BREAKER).await;
    let stored = tokio::join!(scene.answers(STORED, Then::Closes), scene.sidecar.get("/check")).1;
    assert_eq!(stored.text(), "stored");
    for (number, answer) in answers.iter().enumerate() {
        for then in [Then::Closes, Then::Resets] {
            for (method, target) in [("GET", "/fetch"), ("GET", "/check"), ("POST", "/pass")] {
                let (h1, h2) = (scene.sidecar.client().await, scene.sidecar.h2_client().await);
                for (version, mut client) in [("HTTP/1.1", h1), ("HTTP/2", h2)] {
                    let request = ask(method, target).body(empty()).unwrap();
                    let got = scene.plays(&mut client, request, answer, then).await;
                    let status = got.map(|answer| answer.status.as_u16());
                    assert!(matches!(status, None | Some(502)), "{target} {version} {number} {then:?}: {status:?}");
                }
            }
        }
    }
    for target in ["/fetch", "/check", "/pass"] {
        let asked = scene.asks_again(target).await;
        assert_eq!(asked.contains("if-none-match: \"1\"\r\n"), target == "/check", "{asked}");
    }
}

/// `head` and every beginning of `body` that is not all of it.
fn cuts(head: &str, body: &str) -> Vec<Vec<u8>> {
    (0..body.len()).map(|end| [head.as_bytes(), &body.as_bytes()[..end]].concat()).collect()
}

#[tokio::test]
async fn d5_a_body_shorter_than_its_length_never_looks_whole() {
    never_look_whole(&cuts("HTTP/1.1 200 OK\r\nETag: \"2\"\r\nContent-Length: 7\r\n\r\n", "content")).await;
}

#[tokio::test]
async fn d6_chunked_content_without_its_end_never_looks_whole() {
    let head = "HTTP/1.1 200 OK\r\nETag: \"2\"\r\nTransfer-Encoding: chunked\r\n\r\n";
    never_look_whole(&cuts(head, "3\r\ncon\r\n4\r\ntent\r\n0\r\n\r\n")).await;
}

#[tokio::test]
async fn d6_chunks_that_are_none_never_look_whole() {
    let head = "HTTP/1.1 200 OK\r\nETag: \"2\"\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bodies = ["xyz\r\n0\r\n\r\n", "3\r\nconX\r\n0\r\n\r\n", "11111111111111111\r\n", "-1\r\n\r\n", "\r\n0\r\n\r\n"];
    never_look_whole(&bodies.map(|body| format!("{head}{body}").into_bytes())).await;
}

/// An HTTP/2 origin whose bodies break off.
#[tokio::test]
async fn d5_a_body_that_breaks_off_on_http2_never_looks_whole() {
    let origin = Origin::start(|request| async move {
        let (sender, content) = peers::channel();
        tokio::spawn(async move {
            let _ = sender.send(peers::data("con")).await;
            let broken = if request.uri().path() == "/reset" { Err("gone".into()) } else { peers::data("t") };
            let _ = sender.send(broken).await;
        });
        Response::builder().header("etag", "\"2\"").header("content-length", 7).body(content).unwrap()
    });
    let origin = origin.await;
    let sidecar = Sidecar::start(&origin.url(), &format!("origin.protocol = \"h2\"\n{NO_BREAKER}")).await;
    for target in ["/reset", "/short"] {
        for method in ["GET", "GET", "POST"] {
            for mut client in [sidecar.client().await, sidecar.h2_client().await] {
                let got = outcome(&mut client, ask(method, target).body(empty()).unwrap()).await;
                let status = got.map(|answer| answer.status.as_u16());
                assert!(matches!(status, None | Some(502)), "{method} {target}: {status:?}");
            }
        }
    }
    assert_eq!(sidecar.metric("truehit_store_entries").await, 0.0);
}

fn digest(content: &str) -> String {
    Digest::of(content.as_bytes(), Algorithm::Sha256).to_member().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn d7_a_body_that_ends_with_the_connection_is_stored_where_its_digest_says_that_it_is_whole() {
    let scene = Scene::new(NO_BREAKER).await;
    for (number, field) in ["Repr-Digest", "Content-Digest"].into_iter().enumerate() {
        let head = |digest: &str| format!("HTTP/1.1 200 OK\r\nETag: \"2\"\r\n{field}: {digest}\r\n\r\n");
        let rows = [
            (
                "nothing says that it is whole",
                "HTTP/1.1 200 OK\r\nETag: \"2\"\r\n\r\nwhole?".to_owned(),
                Then::Closes,
                Some("whole?"),
                false,
            ),
            ("its digest does", format!("{}content", head(&digest("content"))), Then::Closes, Some("content"), true),
            ("its digest says that it is not", format!("{}cont", head(&digest("content"))), Then::Closes, None, false),
            ("it was reset", format!("{}content", head(&digest("content"))), Then::Resets, None, false),
        ];
        for (row, (sentence, answer, then, expected, stored)) in rows.into_iter().enumerate() {
            let target = format!("/{number}/{row}");
            let got = scene.plays_for(Purpose::Fetch, &target, answer.as_bytes(), then).await;
            let whole = got.as_ref().filter(|answer| answer.status == 200).map(Answer::text);
            assert_eq!(whole, expected, "{field}: {sentence}");
            let asked = scene.asks_again(&target).await;
            assert_eq!(asked.contains("if-none-match: \"2\"\r\n"), stored, "{field}: {sentence}");
        }
    }
}

/// An origin that answers each target as it is told.
async fn telling(answers: HashMap<&'static str, Response<Bytes>>) -> (Origin, Sidecar) {
    let answers = Arc::new(answers);
    let origin = Origin::start(move |request| {
        let (head, body) = answers[request.uri().path()].clone().into_parts();
        async move { Response::from_parts(head, full(body)) }
    });
    let origin = origin.await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    (origin, sidecar)
}

#[tokio::test]
async fn d15_nothing_is_decompressed() {
    // The beginning of a gzip file, and what is no such file at all.
    let bomb = Bytes::from([&[0x1f, 0x8b, 8, 0][..], &[0; 1000]].concat());
    let answer = Response::builder().header("content-encoding", "gzip").header("etag", "\"1\"");
    let (_origin, sidecar) = telling(HashMap::from([("/", answer.body(bomb.clone()).unwrap())])).await;
    for _ in 0..2 {
        let got = sidecar.get("/").await;
        assert_eq!((&got.body, got.field("content-encoding")), (&bomb, "gzip"));
    }
    assert_eq!(sidecar.metric("truehit_store_entries").await, 1.0);
}

#[tokio::test]
async fn d16_a_part_is_not_stored_as_the_whole() {
    let answer = |status, range: &str| {
        let answer = Response::builder().status(status).header("etag", "\"1\"").header("content-range", range);
        answer.body(Bytes::from_static(b"hello")).unwrap()
    };
    let answers = HashMap::from([
        ("/part", answer(206, "bytes 0-4/10")),
        ("/all", answer(206, "bytes 0-4/5")),
        ("/none", answer(416, "bytes */5")),
        ("/wrong", answer(206, "bytes 0-9/10")),
        ("/other", answer(206, "bytes 5-9/10")),
        ("/backwards", answer(206, "bytes 4-0/10")),
    ]);
    let targets: Vec<_> = answers.keys().copied().collect();
    let (_origin, sidecar) = telling(answers).await;
    for target in targets {
        let mut client = sidecar.client().await;
        for range in [None, Some("bytes=0-9"), None] {
            let request = range.into_iter().fold(ask("GET", target), |request, range| request.header("range", range));
            let got = outcome(&mut client, request.body(empty()).unwrap()).await;
            let status = got.as_ref().map(|answer| answer.status.as_u16());
            assert!(status != Some(200), "{target} {range:?}: {status:?}");
        }
    }
}

#[tokio::test]
async fn d17_what_contradicts_its_digest_is_passed_on_and_never_stored() {
    let answer = |field: &str| {
        let answer = Response::builder().header("etag", "\"1\"").header(field, digest("another"));
        answer.body(Bytes::from_static(b"content")).unwrap()
    };
    let answers = HashMap::from([("/repr", answer("repr-digest")), ("/content", answer("content-digest"))]);
    let (_origin, sidecar) = telling(answers).await;
    for (target, field) in [("/repr", "repr-digest"), ("/content", "content-digest")] {
        for _ in 0..2 {
            let got = sidecar.get(target).await;
            assert_eq!((got.text(), got.field(field)), ("content", &*digest("another")));
        }
    }
    assert_eq!(sidecar.metric("truehit_not_stored_total{reason=\"contradicted\"}").await, 4.0);
    assert_eq!(sidecar.metric("truehit_store_entries").await, 0.0);
}

/// What a check's answer carries is as little believed.
#[tokio::test]
async fn d17_a_304_that_contradicts_the_stored_bytes_confirms_nothing() {
    let origin = Origin::start(|request| async move {
        let again = request.headers().contains_key("if-none-match");
        let answer = Response::builder().header("etag", "\"1\"");
        if again {
            return answer.status(304).header("repr-digest", digest("another")).body(empty()).unwrap();
        }
        answer.body(full("content")).unwrap()
    });
    let origin = origin.await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    assert_eq!(sidecar.get("/").await.text(), "content");
    assert_eq!(sidecar.get("/").await.text(), "content");
    assert_eq!(sidecar.metric("truehit_checks_unproven_total{reason=\"contradicted\"}").await, 1.0);
}
