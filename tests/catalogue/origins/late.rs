//! Bytes after the end of an answer, and answers to HEAD that cannot be held against those to GET.

use super::*;

const DESYNCS: &str = "truehit_origin_desyncs_total";
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const NOT_MODIFIED: &str = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n";
const HEAD_ONLY: &str = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 6\r\n\r\n";

/// What nobody asked for: an answer that could be taken for another's, and what is none.
const STRAYS: [&str; 2] = ["HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 6\r\n\r\npoison", "poison\r\n\r\n"];

/// A first exchange, after which there will be stray bytes.
struct First {
    sentence: &'static str,
    purpose: Purpose,
    method: &'static str,
    answer: String,
}

fn firsts() -> Vec<First> {
    let row = |sentence, purpose, method, answer: &str| First { sentence, purpose, method, answer: answer.to_owned() };
    vec![
        row("a fetched 200", Purpose::Fetch, "GET", &ok("first")),
        row("a 200 to a write", Purpose::Pass, "POST", &ok("first")),
        row("a 204 to a write", Purpose::Pass, "POST", NO_CONTENT),
        row("a HEAD that passes", Purpose::Pass, "HEAD", HEAD_ONLY),
        row("a 304 to a check", Purpose::Check, "GET", NOT_MODIFIED),
    ]
}

/// Makes the first exchange, and gives the connection that it was made on.
async fn begin(scene: &Scene, first: &First) -> Raw<tokio::net::TcpStream> {
    let stored = tokio::join!(scene.answers(STORED, Then::Closes), scene.sidecar.get("/stored")).1;
    assert_eq!(stored.text(), "stored");
    let target = if first.purpose == Purpose::Check { "/stored" } else { "/first" };
    let script = async {
        let mut connection = scene.origin.accept().await;
        connection.answer(&first.answer).await;
        connection
    };
    let mut client = scene.sidecar.client().await;
    let request = ask(first.method, target).body(empty()).unwrap();
    let (connection, answer) = tokio::join!(script, outcome(&mut client, request));
    assert!(answer.is_some(), "{}", first.sentence);
    connection
}

/// Whether the next request comes on a connection of its own, and not on that which is still open.
async fn on_its_own<'a>(
    scene: &Scene,
    open: &'a mut Raw<tokio::net::TcpStream>,
) -> Result<Raw<tokio::net::TcpStream>, &'a mut Raw<tokio::net::TcpStream>> {
    let own = tokio::select! {
        connection = scene.origin.accept() => Some(connection),
        _head = open.head() => None,
    };
    let Some(mut own) = own else { return Err(open) };
    own.head().await;
    Ok(own)
}

/// The next exchange for the same purpose, on a connection of its own; the stray bytes come while it is under way. `false`
/// where so much time has passed meanwhile that the first connection was used again, as it may be.
async fn strays_within_the_next(
    scene: &Scene,
    first: &First,
    mut unsound: Raw<tokio::net::TcpStream>,
    stray: &str,
) -> bool {
    let (target, truth, expected) = next_of(first);
    let script = async {
        let mut own = match on_its_own(scene, &mut unsound).await {
            Ok(own) => own,
            Err(open) => {
                open.write(&truth).await;
                return false;
            }
        };
        unsound.write(stray).await;
        unsound.closed().await;
        own.write(&truth).await;
        true
    };
    let (conclusive, answer) = tokio::join!(script, scene.sidecar.get(target));
    assert_eq!(answer.text(), expected, "{}", first.sentence);
    conclusive
}

/// What is asked next for the same purpose, its answer, and what of that a client sees.
fn next_of(first: &First) -> (&'static str, String, &'static str) {
    match first.purpose {
        Purpose::Check => ("/stored", NOT_MODIFIED.to_owned(), "stored"),
        Purpose::Fetch | Purpose::Pass => ("/next", ok("truth"), "truth"),
    }
}

#[tokio::test]
async fn d1_a_body_in_the_packet_of_an_answer_to_head_is_nobodys_answer() {
    for stray in STRAYS {
        let scene = Scene::new("defaults.check = \"head\"").await;
        let answer = format!("{HEAD_ONLY}{stray}");
        let checked = scene.plays_for(Purpose::Check, "/checked", answer.as_bytes(), Then::Waits).await.unwrap();
        assert_eq!(checked.text(), "stored");
        scene.sidecar.until_metric(DESYNCS, 1.0).await;
        let mut client = scene.sidecar.client().await;
        let head = ask("HEAD", "/passed").body(empty()).unwrap();
        let passed = scene.plays(&mut client, head, answer.as_bytes(), Then::Waits).await.unwrap();
        assert_eq!((passed.status.as_u16(), passed.text()), (200, ""));
        scene.sidecar.until_metric(DESYNCS, 2.0).await;
        let next = tokio::join!(scene.answers(ok("truth"), Then::Closes), scene.sidecar.get("/next")).1;
        assert_eq!(next.text(), "truth");
    }
}

#[tokio::test]
async fn d2_bytes_150_ms_after_an_answer_are_not_the_answer_to_the_request_that_is_on_its_way() {
    for first in firsts() {
        for stray in STRAYS {
            let mut conclusive = false;
            for _ in 0..20 {
                let scene = Scene::new("").await;
                let unsound = begin(&scene, &first).await;
                pass(Duration::from_millis(150)).await;
                conclusive = strays_within_the_next(&scene, &first, unsound, stray).await;
                if conclusive {
                    scene.sidecar.until_metric(DESYNCS, 1.0).await;
                    break;
                }
            }
            assert!(conclusive, "{}", first.sentence);
        }
    }
}

#[tokio::test]
async fn d2_bytes_150_ms_after_an_answer_are_not_the_answer_to_the_next_request() {
    for first in firsts() {
        for stray in STRAYS {
            let scene = Scene::new("").await;
            let mut unsound = begin(&scene, &first).await;
            pass(Duration::from_millis(150)).await;
            unsound.write(stray).await;
            unsound.closed().await;
            scene.sidecar.until_metric(DESYNCS, 1.0).await;
            let (target, truth, expected) = next_of(&first);
            let (_, answer) = tokio::join!(scene.answers(truth, Then::Closes), scene.sidecar.get(target));
            assert_eq!(answer.text(), expected, "{}", first.sentence);
        }
    }
}

#[tokio::test]
async fn d2_what_an_origin_has_shown_is_lost_by_one_stray_byte_and_learned_anew() {
    let scene = Scene::new("").await;
    let fetch = async |connection: &mut Raw<tokio::net::TcpStream>, target: &str| {
        let answered = tokio::join!(connection.answer(ok("content")), scene.sidecar.get(target)).1;
        assert_eq!(answered.text(), "content");
    };
    for lost in 0..2 {
        // The first exchange dials.
        let (mut connection, _) = tokio::join!(
            async {
                let mut connection = scene.origin.accept().await;
                connection.answer(ok("content")).await;
                connection
            },
            scene.sidecar.get(if lost == 0 { "/0" } else { "/1" })
        );
        for quiet in 1..=4 {
            quarantine().await;
            fetch(&mut connection, &format!("/{lost}/{quiet}")).await;
        }
        // Sound: at once.
        fetch(&mut connection, &format!("/{lost}/5")).await;
        connection.write("x").await;
        connection.closed().await;
        scene.sidecar.until_metric(DESYNCS, f64::from(lost + 1)).await;
    }
    // A connection that is in quarantine again is not used at once.
    let first = async {
        let mut connection = scene.origin.accept().await;
        connection.answer(ok("content")).await;
        connection
    };
    let (mut open, _) = tokio::join!(first, scene.sidecar.get("/a"));
    for target in ["/b", "/c", "/d"] {
        let script = async {
            let own = on_its_own(&scene, &mut open).await;
            let conclusive = own.is_ok();
            match own {
                Ok(mut own) => own.write(ok("content")).await,
                // So much time has passed that it may be.
                Err(open) => open.write(ok("content")).await,
            }
            conclusive
        };
        if tokio::join!(script, scene.sidecar.get(target)).0 {
            return;
        }
    }
    panic!("it is used again");
}

#[tokio::test]
async fn d3_what_head_does_not_say_is_settled_by_a_full_get() {
    let rows = [
        ("not allowed", 405, Some("\"1\""), "head-status"),
        ("not implemented", 501, Some("\"1\""), "head-status"),
        ("not found", 404, None, "head-status"),
        ("no validators", 200, None, "nothing-comparable"),
        ("another tag than GET's", 200, Some("\"of HEAD\""), ""),
    ];
    for (sentence, status, tag, reason) in rows {
        let origin = Origin::start(move |request: Request<hyper::body::Incoming>| async move {
            if request.method() == "HEAD" {
                let answer = Response::builder().status(status);
                return tag.into_iter().fold(answer, |answer, tag| answer.header("etag", tag)).body(empty()).unwrap();
            }
            assert!(!request.headers().contains_key("if-none-match"), "HEAD is what is asked");
            Response::builder().header("etag", "\"1\"").body(full("content")).unwrap()
        });
        let origin = origin.await;
        let sidecar = Sidecar::start(&origin.url(), "defaults.check = \"head\"").await;
        for detail in ["uri-miss", "checked"] {
            let answer = sidecar.get("/").await;
            assert_eq!(answer.text(), "content", "{sentence}");
            assert!(answer.field("cache-status").ends_with(&format!("detail={detail}")), "{sentence}: {answer:?}");
        }
        if !reason.is_empty() {
            let series = format!("truehit_checks_unproven_total{{reason=\"{reason}\"}}");
            assert_eq!(sidecar.metric(&series).await, 1.0, "{sentence}");
        }
    }
}

#[tokio::test]
async fn d4_a_body_where_the_status_forbids_one_is_nobodys() {
    let rows = [
        (Purpose::Check, NOT_MODIFIED, 200, "stored"),
        (Purpose::Fetch, NO_CONTENT, 204, ""),
        (Purpose::Pass, NO_CONTENT, 204, ""),
    ];
    for (purpose, head, status, text) in rows {
        for stray in STRAYS {
            let scene = Scene::new("").await;
            let answer = format!("{head}{stray}");
            let got = scene.plays_for(purpose, "/", answer.as_bytes(), Then::Waits).await.unwrap();
            assert_eq!((got.status.as_u16(), got.text()), (status, text), "{purpose:?}");
            scene.sidecar.until_metric(DESYNCS, 1.0).await;
            let next = tokio::join!(scene.answers(ok("truth"), Then::Closes), scene.sidecar.get("/next")).1;
            assert_eq!(next.text(), "truth", "{purpose:?}");
        }
    }
}

#[tokio::test]
async fn d4_the_same_over_http2() {
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        let checks = request.headers().contains_key("if-none-match");
        let status = if checks {
            304
        } else if request.method() == "POST" {
            204
        } else {
            200
        };
        let content = if status == 200 { "stored" } else { "poison" };
        Response::builder().status(status).header("etag", "\"1\"").body(full(content)).unwrap()
    });
    let origin = origin.await;
    let sidecar = Sidecar::start(&origin.url(), "origin.protocol = \"h2\"").await;
    for mut client in [sidecar.client().await, sidecar.h2_client().await] {
        for (method, status, text) in [("GET", 200, "stored"), ("GET", 200, "stored"), ("POST", 204, "")] {
            let got = outcome(&mut client, ask(method, "/").body(empty()).unwrap()).await.unwrap();
            assert_eq!((got.status.as_u16(), got.text()), (status, text));
        }
    }
}
