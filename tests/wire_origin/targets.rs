//! The request target reaches the origin byte for byte (catalogue B5, B6).

use super::*;
use raw::{RawOrigin, ok};

const TARGETS: [&str; 14] = [
    "/",
    "/a/../b",
    "/./a//b/.",
    "/%2e%2e/%2F%00%zz",
    "//evil/x",
    "///",
    "/it's?it's='",
    "/back\\slash?\\",
    "/{}?{}",
    "/a|b?a|b",
    "/ü?ü",
    "/a;b=c,d@e:80",
    "/?",
    "/?a=b?c&&d=%20+",
];

#[tokio::test]
async fn targets_reach_the_origin_byte_for_byte() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async {
        let mut connection = server.accept().await;
        for target in TARGETS {
            let head = connection.answer(ok("ok")).await;
            assert_eq!(head.lines().next().unwrap(), format!("GET {target} HTTP/1.1"));
            assert!(head.contains("host: example.test\r\n"), "{head}");
        }
    };
    let requests = async {
        for target in TARGETS {
            quarantine().await;
            text(fetch(&origin, get(target)).await.unwrap()).await.unwrap();
        }
    };
    tokio::join!(script, requests);
}

#[tokio::test]
async fn an_absolute_form_becomes_an_origin_form() {
    let server = RawOrigin::start().await;
    let origin = to(server.address);
    let script = async { server.accept().await.answer(ok("ok")).await };
    let (head, _) = tokio::join!(script, fetch(&origin, get("http://other.test/a/../b?c")));
    assert!(head.starts_with("GET /a/../b?c HTTP/1.1\r\n"), "{head}");
}
