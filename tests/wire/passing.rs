//! What passes unchanged: methods, statuses, fields.

use http::HeaderValue;

use super::*;

/// What truehit adds to a request (RFC 9110 §7.6.3, RFC 7239).
const ADDED: [&str; 5] = ["via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

#[tokio::test]
async fn every_method_reaches_the_origin_with_its_content() {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("done"))).await;
    let sidecar = Sidecar::start(&origin.url(), "defaults.verify = \"off\"").await;
    let mut clients = [sidecar.client().await, sidecar.h2_client().await];
    for client in &mut clients {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PURGE", "X-OWN"] {
            let bare = matches!(method, "GET" | "HEAD");
            let content = if bare { empty() } else { full("content") };
            let answer = client.fetch(ask(method, "/a").body(content).unwrap()).await;
            assert_eq!(answer.status, 200, "{method}");
            assert_eq!(answer.text(), if method == "HEAD" { "" } else { "done" });
            let (head, body) = asks.recv().await.unwrap();
            assert_eq!((head.method.as_str(), head.uri.path()), (method, "/a"));
            assert_eq!(body, if bare { "" } else { "content" }, "{method}");
        }
    }
}

#[tokio::test]
async fn a_get_with_content_keeps_it() {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("found"))).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let answer = sidecar.client().await.fetch(ask("GET", "/search").body(full("query")).unwrap()).await;
    assert_eq!(answer.field("cache-status"), "truehit; fwd=bypass; fwd-status=200; detail=content");
    assert_eq!(asks.recv().await.unwrap().1, "query");
}

#[tokio::test]
async fn every_status_comes_back() {
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        let status: u16 = request.uri().path().trim_start_matches('/').parse().unwrap();
        let bodyless = matches!(status, 204 | 205 | 304);
        Response::builder().status(status).body(if bodyless { empty() } else { full("text") }).unwrap()
    });
    let sidecar = Sidecar::start(&origin.await.url(), "").await;
    let mut clients = [sidecar.client().await, sidecar.h2_client().await];
    for client in &mut clients {
        for status in [200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 304, 307, 308]
            .into_iter()
            .chain([400, 401, 403, 404, 405, 410, 412, 416, 418, 429, 451, 499, 500, 501, 503, 504, 511, 599])
        {
            for method in ["GET", "POST"] {
                let answer = client.fetch(ask(method, &format!("/{status}")).body(empty()).unwrap()).await;
                assert_eq!(answer.status.as_u16(), status);
                let bodyless = matches!(status, 204 | 205 | 304);
                assert_eq!(answer.text(), if bodyless { "" } else { "text" }, "{method} {status}");
                assert_eq!(answer.field("proxy-status"), "", "{status} is the origin's own");
            }
        }
    }
}

#[tokio::test]
async fn a_reason_phrase_and_a_status_beyond_the_registered_ones_pass() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    let mut client = sidecar.raw().await;
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    server.accept().await.answer("HTTP/1.1 799 Weird But Legal\r\nContent-Length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 799 "), "{head}");
}

/// Several lines of one name in their order, empty values, and bytes that are not ASCII.
fn odd_fields() -> Vec<(&'static str, HeaderValue)> {
    let text = HeaderValue::from_static;
    vec![
        ("x-list", text("1")),
        ("x-other", text("between")),
        ("x-list", text("2, 3")),
        ("x-list", text("")),
        ("x-list", text("1")),
        ("x-empty", text("")),
        ("x-obs", HeaderValue::from_bytes(b"\xe4\xf6\xfc \xff\x80").unwrap()),
        ("x-utf8", HeaderValue::from_bytes("grüße".as_bytes()).unwrap()),
        ("x-tab", HeaderValue::from_bytes(b"a\tb").unwrap()),
        ("x_underscore", text("\"quoted\\\" string\"")),
        ("cookie", text("a=1")),
        ("cookie", text("b=2")),
    ]
}

#[tokio::test]
async fn request_fields_arrive_as_they_were_sent() {
    let (origin, mut asks) = Origin::telling(|| Response::new(empty())).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let mut clients = [sidecar.client().await, sidecar.h2_client().await];
    for (client, target) in clients.iter_mut().zip(["/1", "/2"]) {
        for method in ["GET", "DELETE"] {
            let mut request = ask(method, target).body(empty()).unwrap();
            for (name, value) in odd_fields() {
                request.headers_mut().append(name, value);
            }
            let mut sent = request.headers().clone();
            assert_eq!(client.fetch(request).await.status, 200);
            let mut arrived = asks.recv().await.unwrap().0.headers;
            for name in ADDED {
                assert!(arrived.remove(name).is_some(), "{name}");
            }
            // RFC 9113 §8.2.3: HTTP/2 may split cookies, and RFC 6265 wants one line.
            let cookies = |fields: &mut http::HeaderMap| {
                let lines: Vec<_> =
                    fields.get_all("cookie").iter().map(|line| line.to_str().unwrap().to_owned()).collect();
                fields.remove("cookie");
                lines.join("; ")
            };
            assert_eq!(cookies(&mut arrived), cookies(&mut sent));
            arrived.remove("content-length");
            assert_eq!(arrived, sent);
        }
    }
}

#[tokio::test]
async fn response_fields_arrive_as_they_were_sent_from_the_origin_and_from_the_store() {
    let respond = || {
        let mut response = Response::new(full("content"));
        for (name, value) in odd_fields() {
            response.headers_mut().append(name, value);
        }
        for (name, value) in [("etag", "\"1\""), ("date", "Sat, 21 Nov 2026 05:00:00 GMT"), ("content-length", "7")] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    };
    let expected = respond().headers().clone();
    let (origin, _) = Origin::telling(respond).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let mut clients = [sidecar.client().await, sidecar.h2_client().await];
    for client in &mut clients {
        for (method, target) in [("GET", "/"), ("GET", "/"), ("POST", "/post")] {
            let mut answer = client.fetch(ask(method, target).body(empty()).unwrap()).await;
            assert_eq!(answer.body, "content");
            assert!(answer.fields.remove("via").is_some() && answer.fields.remove("cache-status").is_some());
            assert_eq!(answer.fields, expected, "{method}");
        }
    }
}

#[tokio::test]
async fn the_answer_to_head_keeps_its_length() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    for (length, expected) in [("Content-Length: 1234\r\n", Some("1234")), ("", None)] {
        let mut client = sidecar.client().await;
        let script = async {
            let mut connection = server.accept().await;
            let head = connection.answer(format!("HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n")).await;
            assert!(head.starts_with("HEAD /a HTTP/1.1\r\n"), "{head}");
        };
        let (_, answer) = tokio::join!(script, client.fetch(ask("HEAD", "/a").body(empty()).unwrap()));
        assert_eq!(answer.fields.get("content-length").map(|length| length.to_str().unwrap()), expected);
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn a_head_of_what_is_stored_has_the_length_of_the_get() {
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        let conditional = request.headers().contains_key("if-none-match");
        let response = Response::builder().header("etag", "\"1\"").status(if conditional { 304 } else { 200 });
        response.body(if conditional { empty() } else { full("content") }).unwrap()
    });
    let sidecar = Sidecar::start(&origin.await.url(), "").await;
    let mut client = sidecar.client().await;
    assert_eq!(client.get("/").await.body, "content");
    let answer = client.fetch(ask("HEAD", "/").body(empty()).unwrap()).await;
    assert_eq!(answer.field("cache-status"), "truehit; fwd=stale; fwd-status=304; detail=checked");
    assert_eq!((answer.field("content-length"), &answer.body[..]), ("7", &b""[..]));
}

/// RFC 9110 §15.4.5: a 304 has no content, whatever length it names.
#[tokio::test]
async fn a_304_to_a_conditional_request_passes() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "defaults.verify = \"off\"").await;
    let mut client = sidecar.raw().await;
    for _ in 0..2 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"1\"\r\n\r\n").await;
        let answer = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 99\r\nConnection: close\r\n\r\n";
        let head = server.accept().await.answer(answer).await;
        assert!(head.contains("if-none-match: \"1\"\r\n"), "{head}");
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 304 ") && head.contains("etag: \"1\"\r\n"), "{head}");
    }
}
