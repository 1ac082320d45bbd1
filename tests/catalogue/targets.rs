//! Section B: whom a request is for, and by which method.

use super::*;
use crate::stage::Stage;

pub const ROWS: &[Row] = &[
    held(1, "no `Host`, two, an empty one, one with credentials or a list", "400, closed"),
    held(
        2,
        "a target in absolute form that names another host than `Host`; `:authority` that differs from `Host`",
        "the target's host is asked for, in the key and at the origin; 400",
    ),
    held(3, "GET with `*`, `a:80` or `a`; CONNECT", "400, closed; 405"),
    held(4, "a fragment in the target", "dropped, for the key and for the origin alike"),
    held(5, "`//evil/x`", "forwarded byte for byte, as a path"),
    held(
        6,
        "`/a/../b`, `%2e%2e`, `%2F`, `%00`, `\\`, raw UTF-8",
        "forwarded byte for byte, each with a key of its own",
    ),
    held(7, "spaces, tabs and controls in the request line", "400, closed"),
    held(
        8,
        "`get`, and methods that nobody registered",
        "forwarded, never stored, never answered with what a GET stored",
    ),
    held(9, "TRACE and TRACK", "405"),
    held(10, "a target longer than `limits.target_bytes`", "414, closed"),
    held(11, "101 fields; a head longer than `limits.head_bytes`", "431, closed"),
    held(12, "HTTP/1.2, HTTP/2.0 in text, HTTP/0.9", "400, closed"),
];

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{fields}\r\n")
}

#[tokio::test]
async fn b1_a_request_names_one_host() {
    let stage = Stage::new().await;
    for fields in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a@b/c\r\n",
        "Host: a@b\r\n",
        "Host: \r\n",
        "Host: a, b\r\n",
        "Host: a/b\r\n",
        "Host: a?b\r\n",
        "Host: a:b\r\n",
        "Host: \"a\"\r\n",
    ] {
        stage.refuses(fields, get("/a", fields), 400).await;
    }
    assert_eq!(stage.sidecar.metric("truehit_refused_total{reason=\"host\"}").await, 11.0);
    let old = stage.passes("HTTP/1.0 has none", "GET /a HTTP/1.0\r\n\r\n", "").await;
    assert_eq!(old.heard[0].values("host"), [stage.witness.address.to_string()], "it is for the origin");
}

#[tokio::test]
async fn b2_the_host_of_the_target_is_the_one_that_counts() {
    let stage = Stage::new().await;
    let fate = stage.passes("absolute-form", get("http://a.test/x", "Host: b.test\r\n"), "").await;
    assert_eq!(fate.heard[0].values("host"), ["a.test"]);
    assert!(!fate.heard[0].head.contains("b.test"), "{:?}", fate.heard);
    // It was stored for a.test, and for nobody else.
    let fate = stage.passes("the other host", get("/x", "Host: b.test\r\n"), "").await;
    assert!(fate.heard[0].values("if-none-match").is_empty(), "{:?}", fate.heard);
    let fate = stage.passes("the target's host", get("/x", "Host: a.test\r\n"), "").await;
    assert_eq!(fate.heard[0].values("if-none-match"), ["\"1\""]);
    for (host, expected) in [("evil.test", 400), (peers::HOST, 200)] {
        assert_eq!(stage.h2("GET", "/x", &[("host", host)]).await.unwrap(), expected, "RFC 9113 §8.3.1: {host}");
    }
}

#[tokio::test]
async fn b3_a_target_has_the_form_of_its_method() {
    let stage = Stage::new().await;
    let host = "Host: a\r\n";
    for target in ["*", "a:80", "a", "ftp://a/", "http:///x"] {
        stage.refuses(target, get(target, host), 400).await;
    }
    stage.refuses("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405).await;
    stage.refuses("POST *", "POST * HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 400).await;
}

#[tokio::test]
async fn b4_a_fragment_is_neither_forwarded_nor_stored() {
    let stage = Stage::new().await;
    let fate = stage.passes("a fragment", get("/a#b", "Host: a\r\n"), "").await;
    assert_eq!(fate.heard[0].line(), "GET /a HTTP/1.1");
    let fate = stage.passes("without", get("/a", "Host: a\r\n"), "").await;
    assert_eq!(fate.heard[0].values("if-none-match"), ["\"1\""], "the key agrees");
}

/// Each of these is a resource of its own: the first request for it finds nothing stored.
async fn each_has_its_own_key(targets: &[&str]) {
    let stage = Stage::new().await;
    for target in targets {
        let fate = stage.passes(target, get(target, "Host: a\r\n"), "").await;
        assert_eq!(fate.heard[0].line(), format!("GET {target} HTTP/1.1"));
        assert!(fate.heard[0].values("if-none-match").is_empty(), "{target}: {:?}", fate.heard);
        assert_eq!(fate.heard[0].values("host"), ["a"]);
    }
}

#[tokio::test]
async fn b5_two_slashes_are_a_path_and_no_authority() {
    each_has_its_own_key(&["//evil/x", "/evil/x", "///evil/x", "//evil:80@x/"]).await;
}

#[tokio::test]
async fn b6_targets_that_normalise_alike_are_not_alike() {
    let targets = [
        "/a/../b",
        "/b",
        "/a/%2e%2e/b",
        "/a/%2E%2E/b",
        "/a%2F../b",
        "/b%00",
        "/\\b",
        "/b\\",
        "/ü",
        "/%C3%BC",
        "/B",
        "/b/",
    ];
    each_has_its_own_key(&targets).await;
    each_has_its_own_key(&["/b?", "/b?a=1&b=2", "/b?b=2&a=1", "/b?a=1;b=2", "/b?a=%31&b=2"]).await;
}

#[tokio::test]
async fn b7_a_request_line_has_three_parts() {
    let stage = Stage::new().await;
    for line in [
        "GET /a b HTTP/1.1",
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "GET\t/a\tHTTP/1.1",
        "GET /a\x01 HTTP/1.1",
        "GET /a\x7f HTTP/1.1",
        "GET /a\0 HTTP/1.1",
        "G(T /a HTTP/1.1",
        "GET /a HTTP/1.1 ",
        "GET /a",
        "/a HTTP/1.1",
    ] {
        stage.refuses(line, format!("{line}\r\nHost: a\r\n\r\n"), 400).await;
    }
}

#[tokio::test]
async fn b8_another_method_is_another_matter() {
    let stage = Stage::new().await;
    stage.passes("GET", get("/a", "Host: a\r\n"), "").await;
    for method in ["get", "Get", "PURGE", "BREW", "X-OWN"] {
        for _ in 0..2 {
            let fate = stage.passes(method, format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n"), "").await;
            assert_eq!(fate.heard[0].line(), format!("{method} /a HTTP/1.1"));
            assert!(fate.heard[0].values("if-none-match").is_empty(), "{method}: {:?}", fate.heard);
        }
    }
}

#[tokio::test]
async fn b9_nothing_reflects_what_was_added_on_the_way() {
    let stage = Stage::new().await;
    for method in ["TRACE", "TRACK"] {
        stage.refuses(method, format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n"), 405).await;
        assert_eq!(stage.h2(method, "/a", &[]).await.unwrap(), 405, "{method}");
    }
    assert!(stage.witness.heard().is_empty());
}

#[tokio::test]
async fn b10_a_target_has_a_longest() {
    let stage = Stage::new().await;
    let target = |length: usize| format!("/{}", "a".repeat(length - 1));
    stage.passes("8 KiB", get(&target(8 << 10), "Host: a\r\n"), "").await;
    stage.refuses("8 KiB and a byte", get(&target((8 << 10) + 1), "Host: a\r\n"), 414).await;
    // It does not fit into a head either.
    let fate = stage.fate(get(&target(65 << 10), "Host: a\r\n")).await;
    assert!(matches!(*fate.statuses, [414 | 431] | []) && fate.heard.is_empty(), "{:?}", fate.statuses);
    assert_eq!(stage.h2("GET", &target(8 << 10), &[]).await.unwrap(), 200);
    assert_eq!(stage.h2("GET", &target((8 << 10) + 1), &[]).await.unwrap(), 414);
    stage.witness.heard();
}

#[tokio::test]
async fn b11_a_head_has_a_longest_and_so_many_fields() {
    let stage = Stage::new().await;
    let fields = |count: usize| format!("Host: a\r\n{}", "X-A: 1\r\n".repeat(count - 1));
    stage.passes("100 fields", get("/a", &fields(100)), "").await;
    stage.refuses("101 fields", get("/a", &fields(101)), 431).await;
    for length in [40 << 10, 300 << 10, 500 << 10] {
        let fate = stage.fate(get("/a", &format!("Host: a\r\nX-A: {}\r\n", "a".repeat(length)))).await;
        // What is still on its way when the connection is closed may take the answer with it.
        assert!(matches!(*fate.statuses, [431] | []), "{length}: {:?}", fate.statuses);
        assert!(!fate.lasted && fate.heard.is_empty(), "{length}");
    }
    stage.sidecar.until_metric("truehit_client_closings_total{reason=\"head-too-long\"}", 4.0).await;
    assert_eq!(stage.h2("GET", "/a", &vec![("x-a", "1"); 101]).await.unwrap(), 431);
    let long = "a".repeat(33 << 10);
    assert_eq!(stage.h2("GET", "/a", &[("x-a", &long)]).await.unwrap(), 431);
    assert!(stage.witness.heard().is_empty());
}

#[tokio::test]
async fn b12_versions_that_are_not_spoken_are_refused() {
    let stage = Stage::new().await;
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "http/1.1", "HTTP/1", "HTTP/1.10"] {
        stage.refuses(version, format!("GET /a {version}\r\nHost: a\r\n\r\n"), 400).await;
    }
    stage.refuses("HTTP/0.9", "GET /a\r\n", 400).await;
}
