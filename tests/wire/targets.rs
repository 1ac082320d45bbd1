//! The request target reaches the origin byte for byte, from the client's connection to the origin's.

use super::*;

const TARGETS: [&str; 18] = [
    "/",
    "/a/../b",
    "/./a//b/.",
    "/%2e%2e/x",
    "/%2F%00%zz%",
    "//evil/x",
    "///",
    "/a'b?c='",
    "/a\\b?\\",
    "/{}|?{}|",
    "/ü?ü",
    "/日本",
    "/a?",
    "/a?b=1&&c",
    "/a?b?c=%20+&=",
    "/a;b=c,d@e:80",
    "/http://other/",
    "/^~\"[]",
];

/// An origin that reads request lines by hand, answers each with its target, and keeps the connection.
async fn by_hand() -> String {
    let server = RawOrigin::start().await;
    let url = format!("http://{}", server.address);
    tokio::spawn(async move {
        loop {
            let mut connection = server.accept().await;
            tokio::spawn(async move {
                loop {
                    let head = connection.head().await;
                    let target = head.split(' ').nth(1).unwrap().to_owned();
                    connection.write(ok(&target)).await;
                }
            });
        }
    });
    url
}

/// Answers each request with the target that HTTP/2 brought.
async fn over_h2() -> String {
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        Response::new(full(request.uri().path_and_query().unwrap().to_string()))
    });
    origin.await.url()
}

#[tokio::test]
async fn targets_reach_the_origin_byte_for_byte() {
    for (url, protocol) in [(by_hand().await, "http1"), (over_h2().await, "h2")] {
        for verify in ["off", "every-hit"] {
            let more = format!("origin.protocol = \"{protocol}\"\ndefaults.verify = \"{verify}\"");
            let sidecar = Sidecar::start(&url, &more).await;
            let mut raw = sidecar.raw().await;
            let mut h2 = sidecar.h2_client().await;
            for target in TARGETS {
                raw.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
                let head = raw.head().await;
                assert!(head.starts_with("HTTP/1.1 200 "), "{target}: {head}");
                let arrived = raw.exactly(target.len()).await;
                assert_eq!(String::from_utf8(arrived).unwrap(), target, "HTTP/1.1 to {protocol}");
                assert_eq!(h2.get(target).await.text(), target, "HTTP/2 to {protocol}");
            }
        }
    }
}

/// RFC 9110 §9.3.7: a server-wide OPTIONS.
#[tokio::test]
async fn a_server_wide_options_stays_one() {
    for (url, protocol) in [(by_hand().await, "http1"), (over_h2().await, "h2")] {
        let sidecar = Sidecar::start(&url, &format!("origin.protocol = \"{protocol}\"")).await;
        let mut raw = sidecar.raw().await;
        raw.write("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(raw.head().await.starts_with("HTTP/1.1 200 "));
        assert_eq!(raw.exactly(1).await, b"*", "HTTP/1.1 to {protocol}");
        let answer = sidecar.h2_client().await.fetch(ask("OPTIONS", "*").body(empty()).unwrap()).await;
        assert_eq!(answer.text(), "*", "HTTP/2 to {protocol}");
    }
}

/// RFC 9112 §3.2.2: its authority wins over `Host`, and it leaves in origin form.
#[tokio::test]
async fn a_target_in_absolute_form_names_the_host() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    let mut client = sidecar.raw().await;
    for (method, target, expected) in [
        ("GET", "http://named.test:81/a/../b?c='", "/a/../b?c='"),
        ("GET", "http://named.test:81//x/{}|", "//x/{}|"),
        ("POST", "http://named.test:81/a?", "/a?"),
        ("GET", "http://named.test:81", "/"),
    ] {
        client.write(format!("{method} {target} HTTP/1.1\r\nHost: other.test\r\n\r\n")).await;
        let head = server.accept().await.answer(ok("1")).await;
        assert!(head.starts_with(&format!("{method} {expected} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("\r\nhost: named.test:81\r\n"), "{head}");
        assert!(head.contains("\r\nx-forwarded-host: named.test:81\r\n"), "{head}");
        assert!(head.contains(";host=\"named.test:81\";"), "{head}");
        assert!(!head.contains("other.test"), "{head}");
        client.until(b"\r\n\r\n1").await;
    }
}

#[tokio::test]
async fn the_configured_host_is_what_the_origin_sees() {
    let (origin, mut asks) = Origin::telling(|| Response::new(empty())).await;
    for protocol in ["http1", "h2"] {
        let more = format!("origin.host = \"inner.test\"\norigin.protocol = \"{protocol}\"");
        let sidecar = Sidecar::start(&origin.url(), &more).await;
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            client.get("/").await;
            let (head, _) = asks.recv().await.unwrap();
            let host = match head.uri.authority() {
                Some(authority) => authority.as_str(),
                None => head.headers["host"].to_str().unwrap(),
            };
            assert_eq!(host, "inner.test");
            assert_eq!(head.headers["x-forwarded-host"], peers::HOST);
        }
    }
}
