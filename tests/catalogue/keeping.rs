//! Section C: what may be kept, and who may see it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::request::Parts;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::stage::Stage;

pub const ROWS: &[Row] = &[
    held(
        1,
        "`X-Forwarded-Host`, `-Scheme`, `-Port`, `X-Original-URL`, `X-Rewrite-URL`, `X-HTTP-Method-Override`, which the origin reflects",
        "dropped, unless a trusted proxy sent what describes it; what changes target or method is dropped in any case",
    ),
    held(2, "content in a GET that changes the answer", "passes: not stored, not shared, not answered from the store"),
    held(3, "parameters that one recipient reads and another does not", "the key is the query's exact bytes"),
    held(4, "a head that is too large for the origin alone", "its error passes and is not stored"),
    held(5, "controls in a field that only the origin refuses", "400 here, nothing stored"),
    held(6, "a method override that the origin refuses", "dropped; an error is not stored"),
    held(
        7,
        "`/me/x.css`, `/me;x.css`, `/me%0ax.css`",
        "a path says nothing: the response's fields and the credentials decide",
    ),
    held(8, "a response with `Set-Cookie`", "not stored"),
    held(
        9,
        "requests with `Authorization` or cookies",
        "not shared, unless the origin allows it (RFC 9111 §3.5) or the credential is in the key",
    ),
    held(10, "`private`, `no-store`, `Vary: *`", "never stored"),
    held(
        11,
        "misses for one target with other cookies, credentials or `Accept*`, at one time",
        "no exchange is shared between them",
    ),
    held(12, "a check that is answered 401 or 403", "passed on; what is stored is not served"),
    held(13, "one path on two hosts", "two resources"),
    held(
        14,
        "`Connection: Authorization`, `Host`, `Cookie`, `X-Real-IP`",
        "what is for all recipients cannot be nominated away",
    ),
    held(15, "a response field with a bare CR or a folded line", "502, not stored"),
    held(16, "a weak tag; an equal tag beside another length or coding", "not the same: fetched anew"),
    held(17, "a check of one variant of several", "carries what selected it"),
    held(
        18,
        "a rewrite of the same length within the second, under a tag of time and length",
        "such a tag vouches for nothing in its second: the bytes are compared",
    ),
];

/// An origin whose answers a closure gives, and the heads of what it was asked.
async fn api<F>(answer: F) -> (Origin, Arc<Mutex<Vec<Parts>>>)
where
    F: Fn(&Parts) -> http::response::Builder + Clone + Send + Sync + 'static,
{
    bodied(move |head| (answer(head), reflection(head))).await
}

/// The same, with bodies of its own.
async fn bodied<F>(answer: F) -> (Origin, Arc<Mutex<Vec<Parts>>>)
where
    F: Fn(&Parts) -> (http::response::Builder, String) + Clone + Send + Sync + 'static,
{
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let origin = Origin::start(move |request: Request<Incoming>| {
        let (answer, notes) = (answer.clone(), Arc::clone(&notes));
        async move {
            let head = request.into_parts().0;
            let (response, body) = answer(&head);
            let response = response.body(full(body)).unwrap();
            let known =
                head.headers.get("if-none-match").is_some_and(|tag| response.headers().get("etag") == Some(tag));
            notes.lock().unwrap().push(head);
            if known && response.status() == 200 {
                let (mut head, _) = response.into_parts();
                head.status = http::StatusCode::NOT_MODIFIED;
                return Response::from_parts(head, empty());
            }
            response
        }
    });
    (origin.await, asked)
}

/// All that a request says, as an origin might put it into its page.
fn reflection(head: &Parts) -> String {
    let mut said: Vec<String> =
        head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default())).collect();
    said.sort();
    // These differ between requests that are the same, and are set here.
    said.retain(|line| !line.starts_with("if-none-match") && !line.starts_with("via"));
    format!("{} {} {}", head.method, head.uri, said.join(" "))
}

fn tagged(_: &Parts) -> http::response::Builder {
    Response::builder().header("etag", "\"1\"")
}

#[tokio::test]
async fn c1_what_an_origin_might_reflect_is_not_believed_of_strangers() {
    let (origin, _) = api(tagged).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    for (number, name) in [
        "x-forwarded-host",
        "x-forwarded-scheme",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-for",
        "x-forwarded-server",
        "x-forwarded-prefix",
        "forwarded",
        "x-host",
        "x-original-url",
        "x-rewrite-url",
        "x-original-host",
        "x-http-method-override",
        "x-method-override",
        "x-real-ip",
        "x_forwarded_host",
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{number}");
        let poisoner = sidecar.send("GET", &target, &[(name, "evil")]).await;
        assert!(!poisoner.text().contains("evil"), "{name}: {}", poisoner.text());
        let victim = sidecar.send("GET", &target, &[]).await;
        assert_eq!(victim.text(), poisoner.text(), "{name}");
        assert!(victim.field("cache-status").contains("detail=checked"), "{name}: {victim:?}");
    }
}

#[tokio::test]
async fn c2_content_in_a_get_answers_for_itself_alone() {
    let (origin, asked) = api(tagged).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    for _ in 0..2 {
        let fat = ask("GET", "/a").body(full("evil")).unwrap();
        let fat = sidecar.client().await.fetch(fat).await;
        assert!(fat.field("cache-status").contains("detail=content"), "{fat:?}");
    }
    assert!(
        sidecar.send("GET", "/a", &[]).await.field("cache-status").contains("detail=uri-miss"),
        "nothing was stored"
    );
    let fat = sidecar.client().await.fetch(ask("HEAD", "/a").body(full("evil")).unwrap()).await;
    assert!(fat.field("cache-status").contains("detail=content"), "nor is it answered from the store: {fat:?}");
    assert_eq!(asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn c3_parameters_are_not_told_apart() {
    let (origin, _) = api(tagged).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    for target in ["/?a=1;b=2", "/?a=1&b=2", "/?a=1", "/?a=1&utm=x", "/?a=1&utm=x;a=2", "/?a=1&a=2", "/?A=1", "/?a=1&"]
    {
        let answer = sidecar.send("GET", target, &[]).await;
        assert!(answer.text().starts_with(&format!("GET {target} ")), "{target}: {}", answer.text());
        assert!(answer.field("cache-status").contains("detail=uri-miss"), "{target}: {answer:?}");
    }
}

#[tokio::test]
async fn c4_an_error_about_a_head_is_not_stored() {
    let (origin, _) = api(|head| {
        let long = head.headers.values().any(|value| value.len() > 8000);
        Response::builder().header("etag", "\"1\"").status(if long { 431 } else { 200 })
    })
    .await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    assert_eq!(sidecar.send("GET", "/a", &[("x-a", &"a".repeat(9000))]).await.status, 431);
    let answer = sidecar.send("GET", "/a", &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.field("cache-status").contains("detail=uri-miss"), "{answer:?}");
}

#[tokio::test]
async fn c5_controls_are_refused_here() {
    let stage = Stage::new().await;
    for byte in ["\x07", "\n\x07", "\r", "\0"] {
        stage.refuses(byte, format!("GET /a HTTP/1.1\r\nHost: api.test\r\nX-A: a{byte}b\r\n\r\n"), 400).await;
    }
    assert_eq!(stage.sidecar.metric("truehit_store_entries").await, 0.0);
}

#[tokio::test]
async fn c6_a_method_is_not_overridden() {
    let (origin, _) = api(|head| {
        let overridden = head.headers.keys().any(|name| name.as_str().contains("override"));
        Response::builder().header("etag", "\"1\"").status(if overridden { 405 } else { 200 })
    })
    .await;
    let sidecar = Sidecar::start(&origin.url(), "listen.trusted_proxies = [\"127.0.0.1\"]").await;
    for name in ["x-http-method-override", "x-http-method", "x-method-override", "x_http_method_override"] {
        assert_eq!(
            sidecar.send("GET", "/a", &[(name, "DELETE")]).await.status,
            200,
            "{name}, from a trusted proxy too"
        );
    }
}

#[tokio::test]
async fn c7_a_path_that_looks_like_a_file_makes_nothing_public() {
    let (origin, _) = bodied(|head| {
        let who = head.headers.get("cookie").map_or("nobody", |cookie| cookie.to_str().unwrap()).to_owned();
        (tagged(head), who)
    })
    .await;
    for more in ["", "defaults.verify = \"when-stale\""] {
        let sidecar = Sidecar::start(&origin.url(), more).await;
        for target in ["/me/x.css", "/me;x.css", "/me%0ax.css", "/me%3fx.css", "/me/..%2fx.css"] {
            assert_eq!(sidecar.send("GET", target, &[("cookie", "alice")]).await.text(), "alice");
            assert_eq!(sidecar.send("GET", target, &[]).await.text(), "nobody", "{target}");
            assert_eq!(sidecar.send("GET", target, &[("cookie", "eve")]).await.text(), "eve", "{target}");
        }
    }
}

/// A response with these fields is asked for each time, and never conditionally.
async fn is_not_stored(fields: &'static [(&'static str, &'static str)], more: &str) {
    let (origin, asked) =
        api(move |head| fields.iter().fold(tagged(head), |response, (name, value)| response.header(*name, *value)))
            .await;
    let sidecar = Sidecar::start(&origin.url(), more).await;
    for _ in 0..2 {
        assert_eq!(sidecar.send("GET", "/a", &[]).await.status, 200);
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2, "{fields:?}");
    assert!(asked.iter().all(|head| !head.headers.contains_key("if-none-match")), "{fields:?}");
}

const WHEN_STALE: &str = "defaults.verify = \"when-stale\"";

#[tokio::test]
async fn c8_what_sets_a_cookie_is_for_one_client() {
    is_not_stored(&[("set-cookie", "a=1")], "").await;
    is_not_stored(&[("set-cookie", "a=1"), ("cache-control", "max-age=60")], WHEN_STALE).await;
}

#[tokio::test]
async fn c9_credentials_share_nothing_that_the_origin_does_not_share() {
    for name in ["authorization", "cookie"] {
        let (origin, _) = bodied(move |head| {
            let who = head.headers.get(name).map_or("nobody", |who| who.to_str().unwrap()).to_owned();
            (tagged(head).header("cache-control", "max-age=60"), who)
        })
        .await;
        for more in ["", WHEN_STALE, "defaults.verify = \"1s\""] {
            let sidecar = Sidecar::start(&origin.url(), more).await;
            for who in ["Basic alice", "Basic bob", "Basic alice", "Basic bob"] {
                assert_eq!(sidecar.send("GET", "/a", &[(name, who)]).await.text(), who, "{name}, {more}");
            }
            assert_eq!(sidecar.send("GET", "/a", &[]).await.text(), "nobody", "{name}, {more}");
        }
    }
    let (origin, asked) = api(|head| tagged(head).header("cache-control", "public, max-age=60")).await;
    let sidecar = Sidecar::start(&origin.url(), WHEN_STALE).await;
    for who in ["Basic alice", "Basic bob"] {
        sidecar.send("GET", "/a", &[("authorization", who)]).await;
    }
    assert_eq!(asked.lock().unwrap().len(), 1, "RFC 9111 §3.5: public allows it");
}

#[tokio::test]
async fn c10_what_is_private_or_not_to_be_stored_is_not_stored() {
    for more in ["", WHEN_STALE, "defaults.verify = \"1s\""] {
        is_not_stored(&[("cache-control", "private, max-age=60")], more).await;
        is_not_stored(&[("cache-control", "no-store")], more).await;
        is_not_stored(&[("vary", "*")], more).await;
        is_not_stored(&[("vary", "Accept, *")], more).await;
    }
}

#[tokio::test]
async fn c11_who_asks_differently_shares_no_exchange() {
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, count) = (Arc::clone(&gate), Arc::clone(&asked));
    let origin = Origin::start(move |request: Request<Incoming>| {
        let (gate, asked) = (Arc::clone(&opened), Arc::clone(&count));
        async move {
            asked.fetch_add(1, Ordering::Relaxed);
            gate.acquire().await.unwrap().forget();
            let said = ["authorization", "cookie", "accept", "accept-language", "x-vary"]
                .map(|name| request.headers().get(name).map_or("", |value| value.to_str().unwrap()));
            Response::builder().header("vary", "x-vary").body(full(said.concat())).unwrap()
        }
    })
    .await;
    for more in ["", "defaults.authorization = \"checked\"\ndefaults.cookies = \"checked\"", WHEN_STALE] {
        let sidecar = Arc::new(Sidecar::start(&origin.url(), more).await);
        asked.store(0, Ordering::Relaxed);
        let mut clients = JoinSet::new();
        for name in ["authorization", "cookie", "accept", "accept-language", "x-vary"] {
            for value in ["alice", "bob", "carol"] {
                let sidecar = Arc::clone(&sidecar);
                clients.spawn(async move { (value, sidecar.send("GET", "/a", &[(name, value)]).await) });
            }
        }
        // `x-vary` is not known to select until an answer says so; what was shared until then is split again.
        let all_asked = async {
            while asked.load(Ordering::Relaxed) < 13 {
                tokio::task::yield_now().await;
            }
        };
        soon(all_asked).await;
        gate.add_permits(1000);
        for (value, answer) in soon(clients.join_all()).await {
            assert_eq!(answer.text(), value, "{more}: {answer:?}");
        }
        gate.forget_permits(1000);
    }
}

#[tokio::test]
async fn c12_rights_that_were_taken_away_are_gone_at_once() {
    for status in [401, 403, 404, 410] {
        let revoked = Arc::new(AtomicUsize::new(200));
        let now = Arc::clone(&revoked);
        let (origin, _) = bodied(move |head| {
            let status = u16::try_from(now.load(Ordering::Relaxed)).unwrap();
            (tagged(head).status(status), if status == 200 { "secret".to_owned() } else { "no".to_owned() })
        })
        .await;
        for more in ["", "defaults.authorization = \"checked\""] {
            revoked.store(200, Ordering::Relaxed);
            let sidecar = Sidecar::start(&origin.url(), more).await;
            for _ in 0..2 {
                assert_eq!(sidecar.send("GET", "/a", &[("authorization", "Basic a")]).await.text(), "secret");
            }
            revoked.store(status, Ordering::Relaxed);
            let answer = sidecar.send("GET", "/a", &[("authorization", "Basic a")]).await;
            assert_eq!((usize::from(answer.status.as_u16()), answer.text()), (status, "no"), "{more}");
        }
    }
}

#[tokio::test]
async fn c13_hosts_have_their_own_resources() {
    let stage = Stage::new().await;
    for host in ["a.test", "b.test", "a.test:8080", "a.test."] {
        let fate = stage.passes(host, format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n"), "").await;
        assert_eq!(fate.heard[0].values("host"), [host]);
        assert!(fate.heard[0].values("if-none-match").is_empty(), "{host}: {:?}", fate.heard);
    }
    let fate = stage.passes("case means nothing", "GET /a HTTP/1.1\r\nHost: A.TEST\r\n\r\n", "").await;
    assert_eq!(fate.heard[0].values("if-none-match"), ["\"1\""], "RFC 3986 §3.2.2");
}

#[tokio::test]
async fn c14_what_is_for_all_recipients_cannot_be_nominated_away() {
    let stage = Stage::new().await;
    let fields = [
        ("authorization", "Basic YQ=="),
        ("cookie", "a=1"),
        ("cache-control", "max-age=0"),
        ("content-type", "text/plain"),
        ("origin", "http://a.test"),
    ];
    for nominated in ["Authorization, Cookie, Cache-Control, Content-Type, Origin, Host", "close, authorization,cookie"]
    {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "POST /a HTTP/1.1\r\nHost: a.test\r\nConnection: {nominated}\r\n{lines}Content-Length: 2\r\n\r\nab"
        );
        let fate = stage.passes(nominated, request, "ab").await;
        for (name, value) in fields {
            assert_eq!(fate.heard[0].values(name), [value], "{nominated}: {name}");
        }
        assert_eq!(fate.heard[0].values("host"), ["a.test"]);
    }
    // What we say of the client stays too, and what a stranger says goes.
    let request = "POST /a HTTP/1.1\r\nHost: a.test\r\nConnection: X-Forwarded-For, X-Real-IP, Forwarded, Via, X-Own\r\n\
                   X-Real-IP: 10.0.0.1\r\nX-Own: 1\r\nContent-Length: 0\r\n\r\n";
    let heard = &stage.passes("ours", request, "").await.heard[0];
    assert_eq!(heard.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!((heard.values("x-real-ip").len(), heard.values("x-own").len(), heard.values("via").len()), (0, 0, 1));
}

#[tokio::test]
async fn c15_a_response_that_splits_its_fields_is_not_believed() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    for field in ["X-A: 1\rX-B: 2", "X-A: 1\r\n folded", "X-A: a\0b", "X A: 1", ": 1", "X-A : 1", "X-A"] {
        for verb in ["GET", "POST"] {
            let mut client = sidecar.client().await;
            let answer = tokio::spawn(async move { client.fetch(ask(verb, "/a").body(empty()).unwrap()).await });
            let mut origin = server.accept().await;
            origin.answer(format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 2\r\n\r\nok")).await;
            let answer = soon(answer).await.unwrap();
            assert_eq!(answer.status, 502, "{field:?}");
            assert_eq!(answer.field("proxy-status"), "truehit; error=http_protocol_error", "{field:?}");
        }
    }
    assert_eq!(sidecar.metric("truehit_store_entries").await, 0.0);
}

#[tokio::test]
async fn c16_what_agrees_in_one_thing_and_differs_in_another_is_not_the_same() {
    for (how, fields, after) in [
        ("head", &[("etag", "\"1\"")][..], &[("etag", "\"1\""), ("content-length", "8")][..]),
        ("head", &[("etag", "\"1\"")], &[("etag", "\"1\""), ("content-encoding", "gzip")]),
        ("head", &[("etag", "\"1\"")], &[("etag", "W/\"1\"")]),
        ("head", &[("etag", "W/\"1\"")], &[("etag", "W/\"1\"")]),
        ("auto", &[("etag", "W/\"1\"")], &[("etag", "W/\"1\"")]),
        ("conditional", &[("etag", "W/\"1\"")], &[("etag", "W/\"1\"")]),
    ] {
        let changed = Arc::new(AtomicUsize::new(0));
        let now = Arc::clone(&changed);
        let origin = Origin::start(move |request: Request<Incoming>| {
            let later = now.load(Ordering::Relaxed) > 0;
            let said = if later { after } else { fields };
            let body = if later { "new body" } else { "body" };
            let response =
                said.iter().fold(Response::builder(), |response, (name, value)| response.header(*name, *value));
            let head = request.method() == "HEAD";
            let known = request.headers().contains_key("if-none-match");
            let response = if known {
                response.status(304).body(empty())
            } else {
                response.body(if head { empty() } else { full(body) })
            };
            async move { response.unwrap() }
        })
        .await;
        let sidecar = Sidecar::start(&origin.url(), &format!("defaults.check = \"{how}\"")).await;
        assert_eq!(sidecar.send("GET", "/a", &[]).await.text(), "body");
        changed.store(1, Ordering::Relaxed);
        assert_eq!(sidecar.send("GET", "/a", &[]).await.text(), "new body", "{how}, {fields:?}, {after:?}");
    }
}

#[tokio::test]
async fn c17_a_check_carries_what_selected_the_variant() {
    for (how, method) in [("conditional", "GET"), ("head", "HEAD"), ("body", "GET")] {
        let (origin, asked) = bodied(|head| {
            let language = head.headers.get("accept-language").map_or("", |value| value.to_str().unwrap()).to_owned();
            let tag = format!("\"{language}\"");
            (Response::builder().header("etag", tag).header("vary", "accept-language, accept-encoding"), language)
        })
        .await;
        let sidecar = Sidecar::start(&origin.url(), &format!("defaults.check = \"{how}\"")).await;
        for language in ["de", "en", "de", "en"] {
            let fields = [("accept-language", language), ("accept-encoding", "br;q=0.5, gzip")];
            assert_eq!(sidecar.send("GET", "/a", &fields).await.text(), language, "{how}");
        }
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 4, "{how}");
        for (head, language) in asked.iter().zip(["de", "en", "de", "en"]) {
            assert_eq!(head.headers["accept-language"], language, "{how}");
            assert_eq!(head.headers["accept-encoding"], "br;q=0.5, gzip", "{how}");
        }
        assert_eq!(asked[3].method, method);
    }
}

#[tokio::test]
async fn c18_a_tag_of_time_and_length_vouches_for_nothing_in_its_second() {
    let changed = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&changed);
    // As nginx makes it: the time of modification and the length, in hexadecimal.
    let modified = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_767_225_600));
    let (origin, _) = bodied(move |_| {
        let body = if now.load(Ordering::Relaxed) > 0 { "after " } else { "before" };
        let response = Response::builder().header("etag", "\"6955b900-6\"").header("last-modified", &modified);
        (response.header("date", &modified), body.to_owned())
    })
    .await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    assert_eq!(sidecar.send("GET", "/a", &[]).await.text(), "before");
    changed.store(1, Ordering::Relaxed);
    let answer = sidecar.send("GET", "/a", &[]).await;
    assert_eq!(answer.text(), "after ", "{answer:?}");
}
