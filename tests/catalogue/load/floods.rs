//! HTTP/2 frames, more of them than any client has a use for.

use super::*;
use crate::frames::{self, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames};

/// The most that a flood is: none of them gets that far.
const MANY: u32 = 200_000;

/// A sidecar with an origin that reads nothing of content and answers at once, and a client of it that is well.
struct Scene {
    sidecar: Sidecar,
    other: Client,
    _origin: Origin,
}

impl Scene {
    async fn set(more: &str) -> Self {
        let origin = Origin::start(async |request: Request<hyper::body::Incoming>| {
            if request.uri().path() == "/wait" {
                return std::future::pending().await;
            }
            Response::builder().header("etag", "\"1\"").body(full("well")).unwrap()
        })
        .await;
        let sidecar = Sidecar::start(&origin.url(), more).await;
        let mut other = sidecar.h2_client().await;
        assert_eq!(other.get("/").await.text(), "well");
        Self { sidecar, other, _origin: origin }
    }

    async fn client(&self) -> Frames {
        Frames::begin(self.sidecar.raw().await, 65_535).await
    }

    /// The others have not noticed, and nothing is left of it.
    async fn goes_on(mut self, floods: f64) {
        assert_eq!(self.other.get("/").await.text(), "well");
        assert_eq!(self.sidecar.get("/").await.text(), "well");
        self.sidecar.until_metric("truehit_client_closings_total{reason=\"flood\"}", floods).await;
        self.sidecar.until_metric("truehit_connections", 1.0).await;
        self.sidecar.until_metric("truehit_waiting_requests", 0.0).await;
        assert_eq!(self.sidecar.metric("truehit_handler_panics_total").await, 0.0);
    }
}

/// Reads until the connection is given up, and says why it was.
async fn goaway(client: &mut Frames) -> u32 {
    loop {
        let read = client.read().await;
        if read.kind == frames::GOAWAY {
            return read.code();
        }
    }
}

/// Writes `part` of each odd number in turn until nobody reads any more.
async fn flood(client: &mut Frames, part: impl Fn(u32) -> Vec<u8>) {
    for first in (1..MANY).step_by(200) {
        let bytes: Vec<u8> = (first..first + 200).step_by(2).flat_map(&part).collect();
        if !client.flood(&bytes).await || client.has_goaway().await {
            return;
        }
    }
    panic!("{MANY} of them, and it goes on");
}

/// CVE-2023-44487.
#[tokio::test]
async fn f10_rapid_reset_ends_the_connection() {
    let scene = Scene::set("").await;
    let mut client = scene.client().await;
    flood(&mut client, |stream| [frames::get(stream, "/wait"), frames::rst(stream, 8)].concat()).await;
    assert_eq!(goaway(&mut client).await, ENHANCE_YOUR_CALM);
    scene.goes_on(1.0).await;
}

/// CVE-2025-8671: the client has the server reset its streams, here by a window that grows beyond what there is
/// (RFC 9113 §6.9.1).
#[tokio::test]
async fn f10_resets_that_the_client_provokes_end_the_connection() {
    let scene = Scene::set("").await;
    let mut client = scene.client().await;
    let most = i32::MAX as u32;
    flood(&mut client, |stream| [frames::get(stream, "/wait"), frames::window(stream, most)].concat()).await;
    assert_eq!(goaway(&mut client).await, ENHANCE_YOUR_CALM);
    scene.goes_on(1.0).await;
}

/// RUSTSEC-2024-0332.
#[tokio::test]
async fn f10_a_head_of_endless_continuations_ends_the_connection() {
    let scene = Scene::set("").await;
    for piece in [Vec::new(), frames::field("x", "y")] {
        let mut client = scene.client().await;
        client.write(frames::frame(frames::HEADERS, END_STREAM, 1, &frames::section("GET", "/", &[]))).await;
        flood(&mut client, |_| frames::frame(frames::CONTINUATION, 0, 1, &piece)).await;
        assert_eq!(goaway(&mut client).await, ENHANCE_YOUR_CALM);
    }
    scene.goes_on(2.0).await;
}

/// RUSTSEC-2026-0258.
#[tokio::test]
async fn f10_content_of_nothing_without_end_ends_the_connection() {
    let scene = Scene::set("").await;
    let mut client = scene.client().await;
    client.write(frames::post(1, "/wait")).await;
    flood(&mut client, |_| frames::frame(frames::DATA, 0, 1, &[])).await;
    assert_eq!(goaway(&mut client).await, ENHANCE_YOUR_CALM);
    scene.goes_on(1.0).await;
}

/// CVE-2019-9512, CVE-2019-9515: each is answered before the next is read, so there is no queue of answers. Whoever does
/// not read them is closed like any reader that takes nothing.
#[tokio::test]
async fn f10_pings_and_settings_are_answered_one_by_one_or_not_at_all() {
    let scene = Scene::set("limits.write_timeout = \"200ms\"").await;
    for (number, part) in
        [frames::frame(frames::PING, 0, 0, &[7; 8]), frames::frame(frames::SETTINGS, 0, 0, &[])].into_iter().enumerate()
    {
        let mut client = scene.client().await;
        let bytes = part.repeat(10_000);
        while client.flood(&bytes).await {}
        let closed = "truehit_client_closings_total{reason=\"write-late\"}";
        scene.sidecar.until_metric(closed, f64::from(u32::try_from(number + 1).unwrap())).await;
        // Read, they cost what they cost.
        let mut client = scene.client().await;
        for _ in 0..100 {
            client.write(&part).await;
            while client.read().await.kind != part[3] {}
        }
        client.write(frames::get(1, "/")).await;
        assert_eq!(client.status(1).await, 200);
    }
    scene.goes_on(0.0).await;
}

/// Above the limit the request is refused and the connection goes on; far above it, it ends.
#[tokio::test]
async fn f10_a_field_section_above_the_limit_is_431() {
    let mut scene = Scene::set("").await;
    let mut client = scene.client().await;
    let large = |stream: u32, fields: usize| {
        let value = "y".repeat(1000);
        let names: Vec<String> = (0..fields).map(|number| format!("x-{number}")).collect();
        let lines: Vec<_> = names.iter().map(|name| (&**name, &*value)).collect();
        let section = frames::section("GET", "/", &lines);
        let mut bytes = Vec::new();
        let pieces: Vec<_> = section.chunks(16_384).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let kind = if at == 0 { frames::HEADERS } else { frames::CONTINUATION };
            let flags = if at == 0 { END_STREAM } else { 0 } | if at + 1 == pieces.len() { END_HEADERS } else { 0 };
            bytes.extend(frames::frame(kind, flags, stream, piece));
        }
        bytes
    };
    let bytes = large(1, 40);
    client.write(bytes).await;
    assert_eq!(client.status(1).await, 431);
    client.write(frames::get(3, "/")).await;
    assert_eq!(client.status(3).await, 200);
    let bytes = large(5, 2000);
    client.flood(&bytes).await;
    assert_ne!(goaway(&mut client).await, 0);
    assert_eq!(scene.other.get("/").await.text(), "well");
}
