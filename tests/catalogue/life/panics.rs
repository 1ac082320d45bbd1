//! Bugs of our own: what a panic costs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use truehit::config::Config;
use truehit::front::Front;
use truehit::origin::{self, BoxError, OriginError, Outgoing, Purpose};
use truehit::run::{Core, Parts};
use truehit::server::{self, Handler, Peer};

use super::*;
use crate::house::{self, House};

/// The proxy, with a bug.
struct Fragile(Arc<Front>);

impl Core for Fragile {
    fn build(config: &Config, parts: &Parts) -> Result<Self, BoxError> {
        Ok(Self(Arc::new(Front::build(config, parts)?)))
    }

    fn replace(&self, config: &Config, parts: &Parts) -> Result<(), BoxError> {
        self.0.replace(config, parts)
    }
}

impl Handler for Fragile {
    type Body = <Front as Handler>::Body;

    fn handle(
        self: Arc<Self>,
        request: Request<server::Content>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static {
        assert_ne!(request.uri().path(), "/at-once", "the bug");
        async move {
            assert_ne!(request.uri().path(), "/later", "the bug");
            Arc::clone(&self.0).handle(request, peer).await
        }
    }

    fn panicked(&self) -> Response<Self::Body> {
        self.0.panicked()
    }
}

#[tokio::test]
async fn g8_a_panic_costs_its_request_and_counts() {
    let (origin, _asks) = Origin::telling(|| Response::new(full("well"))).await;
    let sidecar = Sidecar::with::<Fragile>(&origin.url()).await;
    let mut panics = 0.0;
    for mut client in [sidecar.client().await, sidecar.h2_client().await] {
        for path in ["/at-once", "/later"] {
            let answer = client.get(path).await;
            assert_eq!(answer.status, 500);
            assert_eq!(answer.field("proxy-status"), "truehit; error=proxy_internal_error");
            assert!(!answer.text().contains("the bug"));
            panics += 1.0;
            assert_eq!(sidecar.metric("truehit_handler_panics_total").await, panics);
            assert_eq!(client.get("/").await.text(), "well", "its connection goes on too");
        }
    }
    assert_eq!(sidecar.admin("/livez").await.status, 200);
}

/// An origin whose connection has a bug, so many times.
struct Buggy(AtomicU32);

impl origin::Origin for Buggy {
    type Body = Pin<Box<UnsyncBoxBody<Bytes, OriginError>>>;

    async fn send(&self, _: Purpose, _: &mut Outgoing<'_>) -> Result<Response<Self::Body>, OriginError> {
        house::settle().await;
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left.is_err(), "the bug");
        let body = Full::from("well").map_err(|never| match never {}).boxed_unsync();
        Ok(Response::builder().header("etag", "\"1\"").body(Box::pin(body)).unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn g8_a_panic_in_a_shared_exchange_is_nobodys_end() {
    let house = House::new(Buggy(AtomicU32::new(1)));
    let readers: Vec<_> = (0..5)
        .map(|_| {
            let house = house.clone();
            tokio::spawn(async move { house.get("/").await })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap().text(), "well");
    }
    assert_eq!(house.metric("truehit_handler_panics_total"), 1.0);
    assert_eq!((house.metric("truehit_waiting_requests"), house.shared.flights.running()), (0.0, 0));
}
