//! The proxy as it is deployed: server, rules, and pooled connections to the origin.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Empty};
use truehit::access_log::AccessLog;
use truehit::body::Body;
use truehit::clock::Clock;
use truehit::config;
use truehit::metrics::Metrics;
use truehit::origin::{NetworkBody, NetworkOrigin};
use truehit::proxy::{Proxy, Shared};
use truehit::rules::policy::Policy;
use truehit::server::{Content, Handler, Peer, Server};

struct Door(Arc<Proxy<NetworkOrigin>>);

impl Handler for Door {
    type Body = Either<Body<NetworkBody>, Empty<Bytes>>;

    async fn handle(self: Arc<Self>, request: Request<Content>, peer: Peer) -> Response<Self::Body> {
        Arc::clone(&self.0).handle(request, peer).await.map(Either::Left)
    }

    fn panicked(&self) -> Response<Self::Body> {
        let mut response = Response::new(Either::Right(Empty::new()));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

/// Serves `origin` on a port of the system's choice, with the defaults, but for this.
pub fn serve(origin: SocketAddr, adjust: impl Fn(&mut Policy)) -> SocketAddr {
    let overrides = config::Overrides { origin: Some(format!("http://{origin}")), ..Default::default() };
    let mut config = config::load(&overrides, std::iter::empty()).expect("the defaults load").config;
    for route in &mut config.routes {
        adjust(&mut route.policy);
    }
    config.listen.address = SocketAddr::from(([127, 0, 0, 1], 0));
    let clock = Clock::system();
    let metrics = Metrics::new("figures", "");
    let (access_log, _guard) = AccessLog::to(std::io::sink(), 1, false);
    let network = NetworkOrigin::new(&config.origin, clock).expect("an origin without TLS");
    let server = Server::bind(&config.listen, &config.limits).expect("a free port");
    let shared = Arc::new(Shared::new(&config, server.drain(), &metrics, clock));
    let address = server.local_addr();
    let proxy = Proxy::new(network, Arc::new(config), shared, &metrics, &Arc::new(access_log), clock).unwrap();
    tokio::spawn(server.run(Arc::new(Door(Arc::new(proxy))), std::future::pending()));
    address
}
