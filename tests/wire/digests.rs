//! The digest endpoint: on the origin, and on another host.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::*;

/// An API with versions of one representation, and its digests below `/digest`.
#[derive(Clone, Default)]
struct Api(Arc<AtomicUsize>);

impl Api {
    fn write(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn content(&self) -> String {
        format!("version {}", self.0.load(Ordering::SeqCst))
    }

    fn digest(&self) -> String {
        Sha256::digest(self.content()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Serves it, and says which targets were asked for.
    async fn start(&self) -> (Origin, mpsc::UnboundedReceiver<Request<()>>) {
        let (api, (asked, asks)) = (self.clone(), mpsc::unbounded_channel());
        let origin = Origin::start(move |request: Request<Incoming>| {
            let is_digest = request.uri().path().starts_with("/digest");
            asked.send(request.map(|_| ())).unwrap();
            let content = if is_digest { api.digest() } else { api.content() };
            std::future::ready(Response::new(full(content)))
        });
        (origin.await, asks)
    }
}

/// What the same stories look like, wherever the digest is asked for.
async fn tell(api: &Api, sidecar: &Sidecar) {
    let mut client = sidecar.client().await;
    assert_eq!(client.get("/a?b=1&&c").await.text(), "version 0");
    let hit = client.get("/a?b=1&&c").await;
    assert_eq!(hit.field("cache-status"), "truehit; fwd=stale; fwd-status=200; detail=checked");
    assert_eq!(hit.text(), "version 0");
    api.write();
    let changed = client.get("/a?b=1&&c").await;
    assert_eq!(changed.text(), "version 1");
    assert!(changed.field("cache-status").contains("detail=changed"), "{}", changed.field("cache-status"));
    let series =
        |result| format!("truehit_checks_total{{route=\"default\",strategy=\"digest-endpoint\",result=\"{result}\"}}");
    let (same, changed) = (sidecar.metric(&series("same")).await, sidecar.metric(&series("changed")).await);
    assert_eq!((same, changed), (1.0, 1.0));
}

#[tokio::test]
async fn a_digest_endpoint_on_the_origin_gets_the_askers_own_fields() {
    let api = Api::default();
    let (origin, mut asks) = api.start().await;
    let more = "defaults.check = \"digest-endpoint\"\ndefaults.digest_endpoint = \"/digest{path}{query}\"";
    tell(&api, &Sidecar::start(&origin.url(), more).await).await;
    let mut targets = Vec::new();
    while let Ok(asked) = asks.try_recv() {
        assert_eq!(asked.headers()["host"], peers::HOST);
        targets.push(asked.uri().to_string());
    }
    assert_eq!(targets, ["/a?b=1&&c", "/digest/a?b=1&&c", "/digest/a?b=1&&c", "/a?b=1&&c"]);
}

#[tokio::test]
async fn a_digest_endpoint_elsewhere_learns_the_target_and_nothing_else() {
    let api = Api::default();
    let ((origin, mut asks), (elsewhere, mut digests)) = (api.start().await, api.start().await);
    let endpoint = format!("{}/digest{{path}}{{query}}", elsewhere.url());
    let more = format!("defaults.check = \"digest-endpoint\"\ndefaults.digest_endpoint = \"{endpoint}\"");
    let sidecar = Sidecar::start(&origin.url(), &more).await;
    tell(&api, &sidecar).await;
    let mut request = ask("GET", "/a?b=1&&c").body(empty()).unwrap();
    request.headers_mut().insert("x-private", "1".parse().unwrap());
    sidecar.client().await.fetch(request).await;
    let mut count = 0;
    while let Ok(asked) = digests.try_recv() {
        assert_eq!(asked.uri(), "/digest/a?b=1&&c");
        assert_eq!(asked.headers()["host"], elsewhere.address.to_string());
        for name in ["x-private", "cookie", "authorization", "x-forwarded-for"] {
            assert!(!asked.headers().contains_key(name), "{name}");
        }
        count += 1;
    }
    assert_eq!(count, 3);
    while let Ok(asked) = asks.try_recv() {
        assert_eq!(asked.uri(), "/a?b=1&&c");
    }
}

#[tokio::test]
async fn a_digest_endpoint_that_is_not_there_fails_the_check() {
    let api = Api::default();
    let (origin, _asks) = api.start().await;
    let nowhere = RawOrigin::start().await.address;
    let more =
        format!("defaults.check = \"digest-endpoint\"\ndefaults.digest_endpoint = \"http://{nowhere}/{{path}}\"");
    let sidecar = Sidecar::start(&origin.url(), &more).await;
    assert_eq!(sidecar.get("/a").await.text(), "version 0");
    let failed = sidecar.get("/a").await;
    assert_eq!(failed.status, 502, "nothing unchecked is served");
}
