//! Nothing is buffered that need not be, and nothing truncated looks whole.

use http_body::Frame;
use http_body_util::BodyExt;
use truehit::origin::OriginError;
use truehit::rules::policy::{CheckHow, Strategy, Verify};

use crate::house::{House, settle};
use crate::script::{Script, ok, status};

#[tokio::test(start_paused = true)]
async fn a_miss_streams_to_the_client_while_it_is_recorded() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").streamed();
    origin.expects("GET /a", answer);
    let house = House::new(origin.clone());
    let mut body = house.open("/a").await.into_body();
    pieces.send(Ok(Frame::data("one ".into()))).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one ", "before the end is known");
    pieces.send(Ok(Frame::data("two".into()))).unwrap();
    drop(pieces);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "two");
    origin.expects("GET /a", status(304).etag("\"1\""));
    assert_eq!(house.get("/a").await.text(), "one two");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_not_stored_and_does_not_look_whole() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").streamed();
    origin.expects("GET /a", answer).expects_with("GET /a", &[("if-none-match", None)], ok("whole").etag("\"1\""));
    let house = House::new(origin.clone());
    let body = house.open("/a").await.into_body();
    pieces.send(Ok(Frame::data("half".into()))).unwrap();
    pieces.send(Err(OriginError::ResponseIncomplete("connection closed".to_owned()))).unwrap();
    assert!(body.collect().await.is_err());
    assert_eq!(house.get("/a").await.text(), "whole");
    assert_eq!(house.metric("truehit_not_stored_total{reason=\"incomplete\"}"), 1.0);
    assert_eq!(house.metric("truehit_requests_total{route=\"default\",outcome=\"failed\",code=\"2xx\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_before_its_head_has_gone_out_is_an_error() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").streamed();
    origin.expects("GET /a", answer);
    let house = House::new(origin.clone());
    pieces.send(Ok(Frame::data("half".into()))).unwrap();
    pieces.send(Err(OriginError::ResponseIncomplete("connection closed".to_owned()))).unwrap();
    assert_eq!(house.get("/a").await.status, 502);
    assert_eq!(house.metric("truehit_not_stored_total{reason=\"incomplete\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_at_hand_and_outgrows_object_max_reaches_its_client() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").streamed();
    origin.expects("GET /a", answer);
    let house = House::with(origin.clone(), |policy| policy.object_max = 4);
    for piece in ["one ", "two ", "three"] {
        pieces.send(Ok(Frame::data(piece.into()))).unwrap();
    }
    drop(pieces);
    assert_eq!(house.get("/a").await.text(), "one two three", "its beginning waits for whoever waits");
    assert_eq!(house.metric("truehit_not_stored_total{reason=\"too-large\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_does_not_stop_the_recording() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").streamed();
    origin.expects("GET /a", answer);
    let house = House::new(origin.clone());
    drop(house.open("/a").await);
    pieces.send(Ok(Frame::data("content".into()))).unwrap();
    drop(pieces);
    settle().await;
    origin.expects("GET /a", status(304).etag("\"1\""));
    assert_eq!(house.get("/a").await.text(), "content");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_outgrows_object_max_reaches_its_client_and_is_not_stored() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").streamed();
    origin.expects("GET /a", answer).expects_with("GET /a", &[("if-none-match", None)], ok("12345678"));
    let house = House::with(origin.clone(), |policy| policy.object_max = 7);
    let body = house.open("/a").await.into_body();
    for piece in ["1234", "5678"] {
        pieces.send(Ok(Frame::data(piece.into()))).unwrap();
    }
    drop(pieces);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "12345678");
    let declared = house.get("/a").await;
    assert_eq!(declared.cache_status(), "truehit; fwd=uri-miss; fwd-status=200; detail=too-large");
    assert_eq!(house.metric("truehit_not_stored_total{reason=\"too-large\"}"), 2.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn bytes_from_the_origin_are_counted_by_purpose() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("fetched"))
        .expects("GET /a", ok("fetched"))
        .expects("GET /mine", ok("alone").with("cache-control", "private"))
        .expects("POST /a", ok("passed"));
    let house = House::with(origin.clone(), |policy| policy.check = CheckHow::Only(Strategy::Body));
    for target in ["/a", "/a", "/mine"] {
        house.get(target).await;
    }
    house.send_content("POST", "/a", "").await;
    let bytes = |purpose: &str| house.metric(&format!("truehit_origin_body_bytes_total{{purpose=\"{purpose}\"}}"));
    assert_eq!([bytes("fetch"), bytes("check"), bytes("pass")], [12.0, 7.0, 6.0]);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn trailers_reach_the_client_from_the_origin_and_from_the_store() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").with("trailer", "x-sum").streamed();
    origin.expects("GET /a", answer).expects("GET /a", status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", http::HeaderValue::from_static("7"));
    pieces.send(Ok(Frame::data("content".into()))).unwrap();
    pieces.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    drop(pieces);
    for _ in 0..2 {
        let whole = house.open("/a").await.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers(), Some(&trailers));
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_passes_piece_by_piece_and_is_not_stored() {
    let origin = Script::new();
    let (answer, pieces) = ok("").with("content-type", "text/event-stream").streamed();
    origin.expects("GET /a", answer);
    let house = House::new(origin.clone());
    let response = house.open("/a").await;
    assert!(response.headers()["cache-status"].to_str().unwrap().contains("detail=event-stream"));
    let mut body = response.into_body();
    for piece in ["data: 1\n\n", "data: 2\n\n"] {
        pieces.send(Ok(Frame::data(piece.into()))).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_has_no_content_is_stored_before_its_head_goes_out() {
    // With collapsing off the exchange runs in the client's own task: nothing else runs until it yields.
    let origin = Script::new();
    origin.expects("GET /a", status(204).with("cache-control", "max-age=60"));
    let house = House::with(origin.clone(), |policy| {
        policy.verify = Verify::WhenStale;
        policy.collapse.enabled = false;
    });
    assert_eq!(house.open("/a").await.status(), 204);
    assert_eq!(house.open("/a").await.headers()["age"], "0", "the client may ask again at once");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_recorded_for_as_long_as_it_may_be_and_goes_on_to_who_reads_it() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").streamed();
    origin.expects("GET /a", answer).expects_with("GET /a", &[("if-none-match", None)], ok("anew"));
    let house = House::new(origin.clone());
    let mut body = house.open("/a").await.into_body();
    for _ in 0..61 {
        pieces.send(Ok(Frame::data("drop".into()))).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "drop");
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
    }
    pieces.send(Ok(Frame::data("last".into()))).unwrap();
    drop(pieces);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "last");
    assert_eq!(house.metric("truehit_not_stored_total{reason=\"too-slow\"}"), 1.0);
    assert_eq!(house.get("/a").await.text(), "anew");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_check_by_bytes_that_drip_fails_in_time() {
    let origin = Script::new();
    origin.expects("GET /a", ok(&"drop".repeat(100)));
    let house = House::with(origin.clone(), |policy| policy.check = CheckHow::Only(Strategy::Body));
    house.get("/a").await;
    let (answer, pieces) = ok("").streamed();
    origin.expects("GET /a", answer);
    let check = tokio::spawn({
        let house = house.clone();
        async move { house.get("/a").await }
    });
    settle().await;
    for _ in 0..62 {
        // The check may be over.
        let _ = pieces.send(Ok(Frame::data("drop".into())));
        settle().await;
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
    }
    assert_eq!(check.await.unwrap().status, 504);
    assert!(pieces.is_closed(), "its connection is given up");
    origin.done();
}
