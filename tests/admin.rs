//! The admin handler's answers, without a socket: what a kubelet, a scraper and a lost person get.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use truehit::admin::{AdminState, Gate, handle};
use truehit::config::Admin;
use truehit::metrics::Metrics;
use truehit::origin::{OriginError, Purpose};
use truehit::readiness::Readiness;

fn starting() -> AdminState {
    let admin = Admin { address: ([127, 0, 0, 1], 0).into(), hosts: Vec::new(), token: None };
    AdminState {
        metrics: Metrics::new("1.2.3", ""),
        readiness: Arc::new(Readiness::default()),
        gate: Arc::new(Gate::new(&admin, admin.address)),
    }
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn serving() -> AdminState {
    let state = starting();
    state.readiness.serve();
    state
}

fn ask(state: &AdminState, method: Method, target: &str) -> Response<Full<Bytes>> {
    handle(state, &Request::builder().method(method).uri(target).header("host", "localhost").body(()).unwrap(), HERE)
}

fn get(state: &AdminState, target: &str) -> Response<Full<Bytes>> {
    ask(state, Method::GET, target)
}

async fn body(response: Response<Full<Bytes>>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_life_as_the_kubelet_sees_it() {
    let state = starting();
    let probes = |state: &AdminState| {
        ["/livez", "/healthz", "/startupz", "/readyz"].map(|probe| get(state, probe).status().as_u16())
    };
    assert_eq!(probes(&state), [200, 200, 503, 503], "starting");
    state.readiness.serve();
    assert_eq!(probes(&state), [200, 200, 200, 200], "serving");
    assert_eq!(get(&state, "/drain").status(), StatusCode::OK);
    assert_eq!(probes(&state), [200, 200, 200, 503], "draining");
}

#[tokio::test(start_paused = true)]
async fn drain_answers_at_once_by_get_and_by_post_and_only_begins_once() {
    let state = serving();
    assert_eq!(ask(&state, Method::POST, "/drain").status(), StatusCode::OK);
    let began = state.readiness.drain();
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(get(&state, "/drain").status(), StatusCode::OK);
    assert_eq!(state.readiness.drain(), began);
    assert!(body(get(&state, "/readyz")).await.contains("[-]not-draining failed: draining for 3.0 s"));
}

#[tokio::test]
async fn a_web_page_cannot_drain_its_visitors_proxy() {
    let state = serving();
    for (field, value) in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")] {
        let request =
            Request::builder().uri("/drain").header("host", "localhost").header(field, value).body(()).unwrap();
        assert_eq!(handle(&state, &request, HERE).status(), StatusCode::FORBIDDEN);
    }
    assert!(state.readiness.is_ready());
    let typed =
        Request::builder().uri("/drain").header("host", "localhost").header("sec-fetch-site", "none").body(()).unwrap();
    assert_eq!(handle(&state, &typed, HERE).status(), StatusCode::OK);
}

#[tokio::test]
async fn an_origin_that_is_down_takes_no_pod_out_of_the_service() {
    let state = serving();
    state.metrics.origin(Purpose::Check, Err(&OriginError::ConnectionRefused), Duration::ZERO);
    let ready = get(&state, "/readyz?verbose");
    assert_eq!(ready.status(), StatusCode::OK);
    insta::assert_snapshot!(body(ready).await, @r"
    [+]listeners-and-configuration ok
    [+]not-draining ok
    [+]origin ok: not consulted; last answer: connection_refused
    readyz check passed
    ");
}

#[tokio::test]
async fn verbose_is_only_given_when_asked_for_or_when_something_is_wrong() {
    assert_eq!(body(get(&serving(), "/readyz")).await, "ok\n");
    assert_eq!(body(get(&serving(), "/livez?verbose=1")).await, "[+]ping ok\nlivez check passed\n");
    assert!(body(get(&starting(), "/startupz")).await.contains("[-]listeners-and-configuration failed: starting"));
}

#[tokio::test]
async fn metrics_are_the_text_format() {
    let response = get(&serving(), "/metrics");
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(body(response).await.contains("truehit_build_info{version=\"1.2.3\",revision=\"\"} 1\n"));
}

#[tokio::test]
async fn head_has_the_length_of_get_and_no_content() {
    let head = ask(&serving(), Method::HEAD, "/livez");
    assert_eq!(head.headers()["content-length"], "3");
    assert_eq!(head.headers()["cache-control"], "no-store");
    assert_eq!(body(head).await, "");
}

#[tokio::test]
async fn a_wrong_path_says_what_exists() {
    let response = get(&serving(), "/");
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&body(response).await).unwrap();
    let paths: Vec<_> = problem["endpoints"].as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
    assert_eq!(paths, ["/metrics", "/livez", "/healthz", "/readyz", "/startupz", "/drain"]);
}

#[tokio::test]
async fn a_wrong_method_says_which_are_right() {
    let response = ask(&serving(), Method::DELETE, "/metrics");
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET, HEAD");
    let response = ask(&serving(), Method::PUT, "/drain");
    assert_eq!(response.headers()["allow"], "GET, POST");
}

#[tokio::test]
async fn the_listener_serves_while_the_process_drains() {
    let state = serving();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(truehit::admin::serve(listener, state.clone()));
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut client, connection) = hyper::client::conn::http1::handshake::<_, Full<Bytes>>(io).await.unwrap();
    tokio::spawn(connection);
    for (target, status) in [("/readyz", 200), ("/drain", 200), ("/readyz", 503), ("/metrics", 200)] {
        let request = Request::get(target).header("host", "localhost").body(Full::default()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{target}");
        response.into_body().collect().await.unwrap();
    }
    serving.abort();
}
