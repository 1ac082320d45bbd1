//! What an intermediary removes and what it adds (RFC 9110 §7.6, RFC 7239).

use super::*;

/// Sends one GET and one POST with these fields and gives the heads that the origin got.
async fn arrived(more: &str, fields: &[(&str, &str)]) -> Vec<http::HeaderMap> {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("1"))).await;
    let sidecar = Sidecar::start(&origin.url(), more).await;
    let mut client = sidecar.client().await;
    let mut heads = Vec::new();
    for method in ["GET", "POST"] {
        let mut request = ask(method, "/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        client.fetch(request.body(empty()).unwrap()).await;
        heads.push(asks.recv().await.unwrap().0.headers);
    }
    heads
}

const CLAIMS: [(&str, &str); 10] = [
    ("forwarded", "for=198.51.100.7;proto=https"),
    ("x-forwarded-for", "198.51.100.7"),
    ("x-forwarded-for", "198.51.100.8"),
    ("x-forwarded-host", "claimed.test"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-prefix", "/claimed"),
    ("x-real-ip", "198.51.100.7"),
    ("x_forwarded_for", "198.51.100.7"),
    ("x-original-url", "/admin"),
    ("x-http-method-override", "DELETE"),
];

#[tokio::test]
async fn what_a_stranger_claims_is_replaced() {
    for head in arrived("", &CLAIMS).await {
        assert_eq!(head["forwarded"], "for=127.0.0.1;host=\"api.test\";proto=http");
        for (name, expected) in
            [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-host", "api.test"), ("x-forwarded-proto", "http")]
        {
            let lines: Vec<_> = head.get_all(name).iter().collect();
            assert_eq!(lines, [expected], "{name}");
        }
        for name in ["x-forwarded-prefix", "x-real-ip", "x_forwarded_for", "x-original-url", "x-http-method-override"] {
            assert!(!head.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_appended_to() {
    for head in arrived("listen.trusted_proxies = [\"127.0.0.0/8\"]", &CLAIMS).await {
        assert_eq!(head["forwarded"], "for=198.51.100.7;proto=https, for=127.0.0.1;host=\"api.test\";proto=http");
        assert_eq!(head["x-forwarded-for"], "198.51.100.7, 198.51.100.8, 127.0.0.1");
        assert_eq!(head["x-forwarded-host"], "claimed.test");
        assert_eq!(head["x-forwarded-proto"], "https");
        assert_eq!(head["x-real-ip"], "198.51.100.7");
        assert!(!head.contains_key("x-original-url"), "whoever says so");
    }
}

#[tokio::test]
async fn fields_of_one_connection_stay_on_it() {
    let own = [
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eDp5"),
        ("te", "gzip"),
        ("x-end-to-end", "1"),
    ];
    for head in arrived("", &own).await {
        for (name, _) in &own[..6] {
            assert!(!head.contains_key(*name), "{name}");
        }
        assert_eq!(head["x-end-to-end"], "1");
    }
}

/// CVE-2022-1388: what is for the origin cannot be nominated away.
#[tokio::test]
async fn a_credential_cannot_be_hidden_by_nominating_it() {
    let fields = [("connection", "authorization, cookie, x-forwarded-for"), ("authorization", "a"), ("cookie", "b=c")];
    for head in arrived("", &fields).await {
        assert_eq!((head["authorization"].as_bytes(), head["cookie"].as_bytes()), (&b"a"[..], &b"b=c"[..]));
        assert_eq!(head["x-forwarded-for"], "127.0.0.1");
    }
}

#[tokio::test]
async fn fields_of_the_origins_connection_stay_there() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "defaults.verify = \"off\"").await;
    for method in ["GET", "POST"] {
        let mut client = sidecar.client().await;
        let script = async {
            let own =
                "Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n";
            let other = "Upgrade: h2c\r\nX-End-To-End: 1\r\nContent-Length: 1\r\n";
            server.accept().await.answer(format!("HTTP/1.1 200 OK\r\n{own}{other}\r\n1")).await
        };
        let request = || ask(method, "/").body(empty()).unwrap();
        let (_, answer) = tokio::join!(script, client.fetch(request()));
        for name in ["connection", "x-mine", "keep-alive", "proxy-authenticate", "upgrade"] {
            assert!(!answer.fields.contains_key(name), "{name}");
        }
        assert_eq!(answer.field("x-end-to-end"), "1");
        let script = async { server.accept().await.answer(ok("more")).await };
        let (_, answer) = tokio::join!(script, client.fetch(request()));
        assert_eq!(answer.text(), "more", "what the origin closed was its own connection");
    }
}

#[tokio::test]
async fn via_names_the_version_that_was_received_in_both_directions() {
    let (origin, mut asks) =
        Origin::telling(|| Response::builder().header("via", "1.0 inner").body(empty()).unwrap()).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let mut one = sidecar.client().await;
    let answer = one.fetch(ask("GET", "/").header("via", "1.0 fred").body(empty()).unwrap()).await;
    let hops = |fields: &http::HeaderMap| -> Vec<String> {
        fields.get_all("via").iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    };
    let (outer, inner) = (hops(&asks.recv().await.unwrap().0.headers), hops(&answer.fields));
    assert_eq!((outer.len(), &*outer[0]), (2, "1.0 fred"));
    assert!(outer[1].starts_with("1.1 truehit"), "{outer:?}");
    assert_eq!((inner.len(), &*inner[0]), (2, "1.0 inner"));
    assert!(inner[1].starts_with("1.1 truehit"), "{inner:?}");

    sidecar.h2_client().await.get("/").await;
    let outer = hops(&asks.recv().await.unwrap().0.headers);
    assert!(outer[0].starts_with("2 truehit"), "{outer:?}");
}

#[tokio::test]
async fn a_request_that_comes_back_is_refused_and_two_in_a_chain_are_not() {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("1"))).await;
    let inner = Sidecar::start(&origin.url(), "").await;
    let outer = Sidecar::start(&format!("http://{}", inner.address()), "").await;
    assert_eq!(outer.get("/").await.status, 200);
    let (head, _) = asks.recv().await.unwrap();
    let hops: Vec<_> = head.headers.get_all("via").iter().cloned().collect();
    assert_eq!(hops.len(), 2);
    let mut request = ask("GET", "/").body(empty()).unwrap();
    request.headers_mut().append("via", hops[1].clone());
    let refused = inner.client().await.fetch(request).await;
    assert_eq!((refused.status.as_u16(), refused.field("proxy-status")), (502, "truehit; error=proxy_loop_detected"));
}
