//! `Front`: the proxy that is in use, behind the listener; a reload puts another in its place.
//!
//! A request keeps the proxy that it began with. What is stored, running and counted outlives a reload, unless the
//! origin is another one: what one origin confirmed says nothing about another.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};

use crate::body::Body;
use crate::config::Config;
use crate::metrics::{Metrics, Readings};
use crate::origin::{BoxError, NetworkBody, NetworkOrigin};
use crate::proxy::{Proxy, Shared};
use crate::run::{Core, Parts};
use crate::server::{Content, Handler, Peer};

/// What answers clients.
pub struct Front {
    metrics: Arc<Metrics>,
    current: Arc<ArcSwap<InUse>>,
}

struct InUse {
    proxy: Arc<Proxy<NetworkOrigin>>,
    shared: Arc<Shared<NetworkOrigin>>,
    config: Arc<Config>,
}

impl InUse {
    fn build(config: &Config, parts: &Parts, old: Option<&Self>) -> Result<Self, BoxError> {
        let counters = Arc::clone(&parts.origin_counters);
        let origin = NetworkOrigin::with_counters(&config.origin, parts.clock, counters)?;
        let same_origin = |old: &&Self| old.config.origin.place == config.origin.place;
        let shared = match old.filter(same_origin) {
            Some(old) => Arc::clone(&old.shared),
            None => Arc::new(Shared::new(config, parts.drain.clone(), &parts.metrics, parts.clock)),
        };
        let config = Arc::new(config.clone());
        let proxy = Proxy::new(
            origin,
            Arc::clone(&config),
            Arc::clone(&shared),
            &parts.metrics,
            &parts.access_log,
            parts.clock,
        )?;
        Ok(Self { proxy: Arc::new(proxy), shared, config })
    }

    fn read(&self, readings: &mut Readings) {
        let Shared { store, flights, fill_memory, breaker, .. } = &*self.shared;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        readings.store_entries = store.entries();
        readings.store_bytes = store.weight();
        readings.store_capacity_bytes = store.capacity();
        readings.fill_bytes = fill_memory.used();
        readings.fill_capacity_bytes = fill_memory.capacity();
        readings.waiting_requests = count(flights.waiting());
        readings.running_exchanges = count(flights.running());
        readings.breaker = breaker.standing() as u64;
    }
}

impl Core for Front {
    /// Builds the proxy of `config`.
    ///
    /// # Errors
    ///
    /// If what the configuration names cannot be used, such as a certificate file.
    fn build(config: &Config, parts: &Parts) -> Result<Self, BoxError> {
        let current = Arc::new(ArcSwap::from_pointee(InUse::build(config, parts, None)?));
        let read = Arc::clone(&current);
        parts.metrics.on_scrape(move |readings| read.load().read(readings));
        Ok(Self { metrics: Arc::clone(&parts.metrics), current })
    }

    /// Takes a new configuration into use as a whole, or not at all. Requests under way end under the old one.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); the old configuration is then still in use.
    fn replace(&self, config: &Config, parts: &Parts) -> Result<(), BoxError> {
        let next = InUse::build(config, parts, Some(&self.current.load()))?;
        self.current.store(Arc::new(next));
        Ok(())
    }
}

impl Handler for Front {
    type Body = Body<NetworkBody>;

    fn handle(
        self: Arc<Self>,
        request: Request<Content>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static {
        let proxy = Arc::clone(&self.current.load().proxy);
        proxy.handle(request, peer)
    }

    fn panicked(&self) -> Response<Self::Body> {
        self.metrics.handler_panicked();
        let mut response = Response::new(Body::unsettled(Bytes::from_static(PANICKED)));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert("proxy-status", HeaderValue::from_static("truehit; error=proxy_internal_error"));
        response
    }
}

/// The problem (RFC 9457) of a request whose handler panicked.
const PANICKED: &[u8] = b"{\"title\":\"Internal Server Error\",\"status\":500,\"reason\":\"panic\"}\n";
