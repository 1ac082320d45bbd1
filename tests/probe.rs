//! What the probe finds out about origins that behave like the ones people run, and what it advises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use sha2::Digest as _;
use tokio::net::TcpListener;
use truehit::probe::{
    Advice, Coding, Conditional, Findings, Head, ProbeError, QUESTIONS_MAX, ReprDigest, Tag, advise, probe,
};
use truehit::rules::policy::Strategy;

type Answer = Response<Full<Bytes>>;

/// An origin on a port of the system's choice that answers by this function.
async fn origin(answer: impl Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let response = answer(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn probed(answer: impl Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static) -> (Findings, Advice) {
    let url = Url::parse(&format!("http://{}/users/1", origin(answer).await)).unwrap();
    probe(&url, &HeaderMap::new()).await.unwrap()
}

const BODY: &[u8] = b"{\"name\":\"Ada\"}";

fn ok() -> http::response::Builder {
    Response::builder().header("content-type", "application/json")
}

fn body(builder: http::response::Builder) -> Answer {
    builder.body(Full::from(BODY)).unwrap()
}

fn empty(status: StatusCode) -> Answer {
    Response::builder().status(status).body(Full::default()).unwrap()
}

/// Whether `If-None-Match` names exactly this tag.
fn names(request: &Request<Incoming>, tag: &str) -> bool {
    request.headers().get("if-none-match").is_some_and(|named| named == tag)
}

// --- origins as people run them ---------------------------------------------------------------------------------

#[tokio::test]
async fn fastapi_answers_head_with_405_and_has_no_tag() {
    let (findings, advice) = probed(|request| match *request.method() {
        Method::GET => body(ok()),
        _ => empty(StatusCode::METHOD_NOT_ALLOWED),
    })
    .await;
    assert_eq!((findings.head, findings.tag), (Head::Status(405), Tag::Absent));
    assert_eq!(findings.conditional, Conditional::NotAsked);
    assert_eq!(advice.check, Some(Strategy::Body));
    assert_eq!(advice.reasons, ["Nothing cheaper proves anything: there is no entity tag; HEAD is answered 405."]);
    assert!(advice.remedies[0].contains("digest_endpoint"));
    assert_eq!(advice.route, "[[route]]\nname = \"users-1\"\npaths = [\"/users/1\"]\ncheck = \"body\"\n");
}

#[tokio::test]
async fn an_origin_with_a_strong_tag_is_checked_by_conditional_requests() {
    let (findings, advice) = probed(|request| {
        let tagged = ok().header("etag", "\"v7\"");
        if names(request, "\"v7\"") {
            let not_modified = Response::builder().status(304).header("etag", "\"v7\"");
            return not_modified.body(Full::default()).unwrap();
        }
        body(tagged)
    })
    .await;
    assert_eq!((findings.tag, findings.conditional), (Tag::Strong, Conditional::NotModified));
    assert_eq!(findings.head, Head::Agrees);
    assert_eq!(advice.check, Some(Strategy::Conditional));
    assert_eq!(advice.warnings, [""; 0]);
}

#[tokio::test]
async fn a_weak_tag_that_is_a_digest_of_the_bytes_is_as_good_as_a_strong_one() {
    // As Express makes it: the length, and the start of the base64 of SHA-1.
    let sha1 = sha1::Sha1::digest(BODY);
    let sha1 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sha1);
    let tag = format!("W/\"{:x}-{}\"", BODY.len(), &sha1[..27]);
    let (findings, advice) = probed(move |request| {
        if names(request, &tag) {
            return Response::builder().status(304).header("etag", &tag).body(Full::default()).unwrap();
        }
        body(ok().header("etag", &tag))
    })
    .await;
    assert_eq!(findings.tag, Tag::Recognised("length-sha1"));
    assert_eq!(advice.check, Some(Strategy::Conditional));
}

#[tokio::test]
async fn an_origin_that_confirms_a_made_up_tag_is_not_believed() {
    let (findings, advice) = probed(|request| {
        if request.headers().contains_key("if-none-match") {
            return empty(StatusCode::NOT_MODIFIED);
        }
        body(ok().header("etag", "\"v7\""))
    })
    .await;
    assert!(findings.confirms_any_tag);
    assert_eq!(advice.check, Some(Strategy::Body));
    assert!(advice.warnings.iter().any(|warning| warning.contains("a tag that it never gave")));
}

#[tokio::test]
async fn an_origin_with_repr_digest_on_head_is_checked_by_head() {
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sha2::Sha256::digest(BODY));
    let (findings, advice) = probed(move |request| {
        let wanted = request.headers().contains_key("want-repr-digest");
        body(if wanted { ok().header("repr-digest", format!("sha-256=:{digest}:")) } else { ok() })
    })
    .await;
    assert_eq!(findings.repr_digest, ReprDigest::OnHead);
    assert_eq!(advice.check, Some(Strategy::Head));
}

#[tokio::test]
async fn a_wrong_repr_digest_is_found_out() {
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [7; 32]);
    let (findings, advice) = probed(move |_| body(ok().header("repr-digest", format!("sha-256=:{digest}:")))).await;
    assert_eq!(findings.repr_digest, ReprDigest::Wrong);
    assert_eq!(advice.check, Some(Strategy::Body));
}

#[tokio::test]
async fn a_tag_that_stays_while_the_bytes_change_is_called_untrue() {
    let count = AtomicUsize::new(0);
    let (findings, advice) = probed(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        ok().header("etag", "\"same\"").body(Full::from(format!("{number}"))).unwrap()
    })
    .await;
    assert_eq!(findings.tag, Tag::Untrue);
    assert_eq!(advice.check, Some(Strategy::Body));
}

#[tokio::test]
async fn what_is_not_stored_is_advised_to_pass_and_says_why() {
    let (findings, advice) = probed(|_| body(ok().header("set-cookie", "session=1"))).await;
    assert_eq!(findings.not_stored, ["set-cookie"]);
    assert_eq!(advice.check, None);
    assert!(advice.route.ends_with("verify = \"off\"\n"));
    assert!(advice.remedies[0].contains("set_cookie = \"store\""));
}

#[tokio::test]
async fn a_coding_that_vary_does_not_name_is_a_warning() {
    let (findings, advice) = probed(|request| {
        let codings = request.headers().get("accept-encoding").is_some_and(|accepted| accepted != "*/*");
        body(if codings { ok().header("content-encoding", "gzip") } else { ok() })
    })
    .await;
    assert_eq!(findings.coding, Coding::Undeclared(String::from("gzip")));
    assert!(advice.warnings.iter().any(|warning| warning.contains("Vary does not say so")));
}

#[tokio::test]
async fn an_endless_stream_is_not_read_and_asked_about_only_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let (findings, _) = probed(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Response::builder().header("content-type", "text/event-stream").body(Full::default()).unwrap()
    })
    .await;
    assert_eq!(findings.not_stored, ["event-stream"]);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_probe_is_a_handful_of_requests_with_the_users_own_fields() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let address = origin(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        if request.headers().get("authorization").is_none_or(|credential| credential != "Bearer t") {
            return empty(StatusCode::UNAUTHORIZED);
        }
        body(ok().header("etag", "\"v7\""))
    })
    .await;
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    let fields = HeaderMap::from_iter([(http::header::AUTHORIZATION, "Bearer t".parse().unwrap())]);
    let (findings, _) = probe(&url, &fields).await.unwrap();
    assert_eq!(findings.status, 200);
    assert_eq!(asked.load(Ordering::Relaxed), QUESTIONS_MAX);
}

#[tokio::test]
async fn a_redirect_is_a_finding_and_not_followed() {
    let (findings, advice) =
        probed(|_| Response::builder().status(302).header("location", "/login").body(Full::default()).unwrap()).await;
    assert_eq!((findings.status, findings.not_stored), (302, vec!["status"]));
    assert_eq!(advice.check, None);
}

#[tokio::test]
async fn nobody_there_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    assert!(matches!(probe(&url, &HeaderMap::new()).await, Err(ProbeError::Unreachable { .. })));
}

// --- findings to advice ------------------------------------------------------------------------------------------

/// A sound origin with a strong tag; each row below spoils it in one way.
fn sound() -> Findings {
    Findings {
        status: 200,
        bytes: 1024,
        get_ms: 20.0,
        repeatable: true,
        tag: Tag::Strong,
        tag_value: Some(String::from("\"v7\"")),
        last_modified: false,
        conditional: Conditional::NotModified,
        conditional_ms: Some(2.0),
        confirms_any_tag: false,
        head: Head::Agrees,
        repr_digest: ReprDigest::Absent,
        coding: Coding::None,
        keep_alive_s: None,
        not_stored: vec![],
        age: false,
        vary: vec![],
    }
}

#[test]
fn the_cheapest_check_that_proves_something_is_advised() {
    let s = sound;
    use Conditional::{Ignored, NotAsked, NotModifiedWithoutTag};
    let rows = [
        ("sound", s(), Strategy::Conditional),
        ("304 without the tag", Findings { conditional: NotModifiedWithoutTag, ..s() }, Strategy::Conditional),
        ("a clock tag", Findings { tag: Tag::Clock, ..s() }, Strategy::Conditional),
        ("conditionals ignored", Findings { conditional: Ignored, ..s() }, Strategy::Head),
        ("ignored, and HEAD 405", Findings { conditional: Ignored, head: Head::Status(405), ..s() }, Strategy::Body),
        ("a weak tag", Findings { tag: Tag::Weak, ..s() }, Strategy::Body),
        (
            "a weak tag, and a digest",
            Findings { tag: Tag::Weak, repr_digest: ReprDigest::OnHead, ..s() },
            Strategy::Head,
        ),
        ("a digest on GET only", Findings { tag: Tag::Weak, repr_digest: ReprDigest::OnGet, ..s() }, Strategy::Body),
        ("a tag of the moment", Findings { tag: Tag::Unstable, ..s() }, Strategy::Body),
        ("only a date", Findings { tag: Tag::Absent, last_modified: true, ..s() }, Strategy::Body),
        ("nothing at all", Findings { tag: Tag::Absent, conditional: NotAsked, ..s() }, Strategy::Body),
        ("any tag confirmed", Findings { confirms_any_tag: true, ..s() }, Strategy::Body),
        (
            "any tag confirmed, and a digest",
            Findings { confirms_any_tag: true, repr_digest: ReprDigest::OnHead, ..s() },
            Strategy::Head,
        ),
    ];
    for (name, findings, strategy) in rows {
        assert_eq!(advise("/", &findings).check, Some(strategy), "{name}");
    }
}

#[test]
fn what_may_surprise_is_said() {
    let rows = [
        (Findings { age: true, ..sound() }, "another cache stands before the origin"),
        (Findings { tag: Tag::Clock, ..sound() }, "within a second of its modification"),
        (Findings { conditional: Conditional::NotModifiedWithoutTag, ..sound() }, "does not repeat the tag"),
        (Findings { conditional_ms: Some(19.0), ..sound() }, "about as long as the fetch"),
        (Findings { keep_alive_s: Some(2), ..sound() }, "origin.idle_timeout"),
        (Findings { repeatable: false, ..sound() }, "different bytes"),
    ];
    for (findings, words) in rows {
        let warnings = advise("/", &findings).warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{words}: {warnings:?}");
    }
    assert_eq!(advise("/", &sound()).warnings, [""; 0]);
}

#[test]
fn the_advised_route_is_toml_that_takes_only_the_probed_path() {
    let route = advise("/files/[a]*\"b\"", &sound()).route;
    let parsed: toml::Table = toml::from_str(&route).unwrap();
    let glob = parsed["route"][0]["paths"][0].as_str().unwrap();
    let glob = globset::Glob::new(glob).unwrap().compile_matcher();
    assert!(glob.is_match("/files/[a]*\"b\""));
    assert!(!glob.is_match("/files/axyz\"b\""));
}

#[test]
fn the_page_for_people() {
    let findings = Findings {
        tag: Tag::Absent,
        tag_value: None,
        conditional: Conditional::NotAsked,
        conditional_ms: None,
        head: Head::Status(405),
        ..sound()
    };
    insta::assert_snapshot!(truehit::probe::table(&findings, &advise("/users/1", &findings)));
}

#[test]
fn the_page_for_programs() {
    let findings = sound();
    let page = truehit::probe::json(&findings, &advise("/users/1", &findings));
    insta::assert_snapshot!(page);
}
