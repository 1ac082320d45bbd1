//! The admin listener's sockets: few, short-lived, and never in the way of the data port's.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{AdminState, handle};

/// How many connections may be open at once: a kubelet, a few scrapers, a person. More wait in the backlog.
pub const CONNECTIONS_MAX: usize = 64;

/// How long a connection may take to send a request's head, and may be idle.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How old a connection may become before it is closed between two requests, so that a client that never reads its
/// answer cannot hold a slot for good.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);

/// How long to wait after accepting failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the admin handler until the future is dropped. It serves while the data port drains, so that the last
/// scrape and the probes see the drain.
pub async fn serve(listener: TcpListener, state: AdminState) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // The semaphore is never closed; a closed one would end the listener.
    while let Ok(slot) = slots.clone().acquire_owned().await {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "admin listener cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let state = state.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let service = service_fn(move |request| {
                let response = handle(&state, &request, peer.ip());
                async move { Ok::<_, Infallible>(response) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_headers(64);
            let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
            // How an admin connection ends concerns only its client.
            if timeout(CONNECTION_AGE_MAX, connection.as_mut()).await.is_err() {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(HEAD_TIMEOUT, connection).await;
            }
        });
    }
}
