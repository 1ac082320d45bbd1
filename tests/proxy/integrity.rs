//! Digests (RFC 9530): what the origin claims is verified before it is stored, and who asks for one is told.

use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use truehit::rules::digest::{Algorithm, Digest};
use truehit::rules::policy::{CheckHow, Strategy};

use crate::house::House;
use crate::script::{Answer, Script, ok, status};

const CONTRADICTED: &str = "truehit_not_stored_total{reason=\"contradicted\"}";

/// The member of an integrity field for `content`.
fn digest(content: &str, algorithm: Algorithm) -> String {
    Digest::of(content.as_bytes(), algorithm).to_member().to_str().unwrap().to_owned()
}

fn short(content: &str) -> String {
    digest(content, Algorithm::Sha256)
}

fn long(content: &str) -> String {
    digest(content, Algorithm::Sha512)
}

/// Content that comes in two pieces, and trailers after it.
fn with_trailer(answer: Answer, content: [&str; 2], name: &'static str, value: &str) -> Answer {
    let (answer, pieces) = answer.streamed();
    for piece in content {
        pieces.send(Ok(Frame::data(piece.to_owned().into()))).unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert(name, HeaderValue::try_from(value).unwrap());
    pieces.send(Ok(Frame::trailers(trailers))).unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn what_contradicts_its_own_digest_reaches_its_client_and_is_not_stored() {
    for field in ["content-digest", "repr-digest"] {
        for lie in [short("another"), long("another"), format!("{}, {}", short("content"), long("another"))] {
            let origin = Script::new();
            origin.expects("GET /a", ok("content").etag("\"1\"").with(field, &lie));
            origin.expects_with("GET /a", &[("if-none-match", None)], ok("again"));
            let house = House::new(origin.clone());
            let reply = house.get("/a").await;
            assert_eq!((reply.text(), reply.field(field)), ("content", &*lie), "the client has both to judge by");
            assert_eq!(house.get("/a").await.text(), "again");
            assert_eq!(house.metric(CONTRADICTED), 1.0);
            origin.done();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_trailer_that_contradicts_the_bytes_keeps_them_out_of_the_store() {
    for field in ["content-digest", "repr-digest"] {
        let origin = Script::new();
        origin.expects("GET /a", with_trailer(ok("").etag("\"1\""), ["con", "tent"], field, &long("another")));
        origin.expects_with("GET /a", &[("if-none-match", None)], {
            with_trailer(ok("").etag("\"1\""), ["con", "tent"], field, &long("content"))
        });
        origin.expects_with("GET /a", &[("if-none-match", Some("\"1\""))], status(304).etag("\"1\""));
        let house = House::new(origin.clone());
        for _ in 0..3 {
            assert_eq!(house.get("/a").await.text(), "content");
        }
        assert_eq!(house.metric(CONTRADICTED), 1.0);
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn much_content_is_verified_too() {
    let much = "0123456789abcdef".repeat(2048);
    let origin = Script::new();
    origin
        .expects("GET /a", ok(&much).etag("\"1\"").with("content-digest", &long("another")))
        .expects_with("GET /a", &[("if-none-match", None)], ok(&much).etag("\"1\"").with("repr-digest", &long(&much)))
        .expects("GET /a", status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    for _ in 0..3 {
        assert_eq!(house.get("/a").await.text(), much);
    }
    assert_eq!(house.metric(CONTRADICTED), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_repeats_the_bytes_and_claims_others_confirms_nothing() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("content"))
        .expects("GET /a", ok("content").with("content-digest", &short("another")))
        .expects("GET /a", with_trailer(ok(""), ["con", "tent"], "repr-digest", &short("another")))
        .expects("GET /a", ok("content").with("content-digest", &short("content")));
    let house = House::with(origin.clone(), |policy| policy.check = CheckHow::Only(Strategy::Body));
    for detail in ["uri-miss", "changed", "changed", "checked"] {
        let reply = house.get("/a").await;
        assert_eq!(reply.text(), "content");
        assert!(reply.cache_status().ends_with(&format!("detail={detail}")), "{}", reply.cache_status());
    }
    assert_eq!(house.metric(CONTRADICTED), 2.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_is_told_in_the_algorithm_that_it_prefers() {
    let (short, long) = (short("content"), long("content"));
    let rows: [(&str, &str, &str); 5] = [
        ("sha-256=1", &short, "the only one"),
        ("sha-512=9, sha-256=3", &long, "the preferred"),
        ("sha-512=5, sha-256=5", &short, "of equals, what is usually known"),
        ("sha-512=1, sha-256=0", &long, "never what is not acceptable"),
        ("md5=10, sha-256=0", "", "nothing rather than that"),
    ];
    for (wanted, expected, sentence) in rows {
        for (want, field, other) in [
            ("want-repr-digest", "repr-digest", "content-digest"),
            ("want-content-digest", "content-digest", "repr-digest"),
        ] {
            let origin = Script::new();
            origin.expects("GET /a", ok("content").etag("\"1\"")).expects("GET /a", status(304).etag("\"1\""));
            let house = House::new(origin.clone());
            house.get("/a").await;
            let reply = house.get_with("/a", &[(want, wanted)]).await;
            assert_eq!((reply.field(field), reply.field(other)), (expected, ""), "RFC 9530 §4: {sentence}");
            origin.done();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_origin_states_stays_and_what_is_asked_for_comes_beside_it() {
    let origin = Script::new();
    let (short, long) = (short("content"), long("content"));
    origin.expects("GET /a", ok("content").etag("\"1\"").with("repr-digest", &short));
    let house = House::new(origin.clone());
    house.get("/a").await;
    for (wanted, expected) in
        [("sha-256=1", vec![&*short]), ("sha-512=2, sha-256=1", vec![&*short, &*long]), ("sha-256=0", vec![&*short])]
    {
        origin.expects("GET /a", status(304).etag("\"1\""));
        let reply = house.get_with("/a", &[("want-repr-digest", wanted)]).await;
        let stated: Vec<_> = reply.fields.get_all("repr-digest").iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(stated, expected, "{wanted}");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_response_without_content_carries_no_digest_of_any() {
    let origin = Script::new();
    let answer = ok("content").etag("\"1\"").with("content-digest", &short("content"));
    origin.expects("GET /a", answer.with("repr-digest", &short("content")));
    let house = House::new(origin.clone());
    house.get("/a").await;
    let wants = [("want-repr-digest", "sha-512=1"), ("want-content-digest", "sha-512=1")];
    origin.expects("GET /a", status(304).etag("\"1\""));
    let head = house.send("HEAD", "/a", &wants).await;
    let stated: Vec<_> = head.fields.get_all("repr-digest").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(stated, [short("content"), long("content")], "RFC 9530 §3: of the representation, HEAD or not");
    assert_eq!(head.field("content-digest"), "", "RFC 9530 §2: of the content, of which there is none");
    origin.expects("GET /a", status(304).etag("\"1\""));
    let not_modified = house.get_with("/a", &[wants[0], wants[1], ("if-none-match", "\"1\"")]).await;
    assert_eq!(not_modified.status, 304);
    assert_eq!((not_modified.field("repr-digest"), not_modified.field("content-digest")), ("", ""));
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_not_verified() {
    let origin = Script::new();
    origin.expects("GET /a", ok("content").with("cache-control", "private").with("content-digest", &short("another")));
    let house = House::new(origin.clone());
    assert_eq!(house.get("/a").await.text(), "content");
    assert_eq!(house.metric(CONTRADICTED), 0.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_head_that_states_a_sha_512_settles_a_check() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("content"))
        .expects_with(
            "HEAD /a",
            &[("want-repr-digest", Some("sha-256=10, sha-512=5"))],
            status(200).with("repr-digest", &long("content")),
        )
        .expects("HEAD /a", status(200).with("repr-digest", &long("changed")))
        .expects("GET /a", ok("changed"));
    let house = House::with(origin.clone(), |policy| policy.check = CheckHow::Only(Strategy::Head));
    for expected in ["content", "content", "changed"] {
        assert_eq!(house.get("/a").await.text(), expected);
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_304_that_states_the_digest_of_other_bytes_is_held_against_a_full_get() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("content").etag("\"1\""))
        .expects("GET /a", status(304).etag("\"1\"").with("repr-digest", &short("content")))
        .expects("GET /a", status(304).etag("\"1\"").with("repr-digest", &short("changed")))
        .expects_with("GET /a", &[("if-none-match", None)], ok("changed").etag("\"1\""))
        // An origin that uses a tag again is not asked about tags again.
        .expects_with("GET /a", &[("if-none-match", None)], ok("changed").etag("\"1\""));
    let house = House::new(origin.clone());
    for expected in ["content", "content", "changed", "changed"] {
        assert_eq!(house.get("/a").await.text(), expected);
    }
    assert_eq!(house.metric("truehit_checks_unproven_total{reason=\"contradicted\"}"), 1.0);
    origin.done();
}
