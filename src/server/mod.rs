//! The listening side: accept, speak HTTP/1.1 or HTTP/2, hand each request to a handler, and drain.
//!
//! One accept loop, one task per connection (`connection`). How long a client may keep a connection without asking
//! anything is told by `activity`, how long its content may take by `content`, how long it may take nothing of what it is
//! sent by `patience`, and on one stream of HTTP/2 by `streams`. How connections end when the process wants to is told by
//! [`drain`]; how interim responses get out, by `interim`. What a request means is the handler's business.

mod accept;
mod activity;
mod closing;
mod connection;
mod content;
pub mod drain;
mod interim;
mod patience;
mod streams;
pub mod tls;
mod tracked;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Body;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub use closing::{Closing, Closings};
pub use content::Content;
pub use drain::{Busy, Drain};
pub use interim::InterimSink;
pub use tls::{CertificateError, Certificates};

use crate::config::{Limits, Listen};
use crate::origin::BoxError;
use connection::Context;

/// Connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 1024;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// Where interim responses to this request go.
    pub interim: InterimSink,
}

/// What answers requests: the proxy on one port, the admin endpoints on another.
pub trait Handler: Send + Sync + 'static {
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request. Dropped when the client goes away. It is called on the connection's task: what can be
    /// answered without waiting may be answered in the call. A connection has room for one such future all its life, so
    /// it had better be small.
    fn handle(
        self: Arc<Self>,
        request: Request<Content>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;

    /// The answer to a request that panicked: counts it, and says 500.
    fn panicked(&self) -> Response<Self::Body>;
}

/// Why a listener could not be opened. The fault is the operator's.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        reason: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A bound listener that does not accept yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    drain: Drain,
    closings: Arc<Closings>,
}

impl Server {
    /// Binds the address and reads the certificate. Must be called within a tokio runtime.
    pub fn bind(listen: &Listen, limits: &Limits) -> Result<Self, BindError> {
        let refused = |reason| BindError::Listen { address: listen.address, reason };
        let certificates = listen.tls.clone().map(Certificates::load).transpose()?.map(Arc::new);
        let tls = certificates.clone().map(tls::acceptor).transpose()?;
        let listener = open(listen.address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self {
            listener,
            address,
            certificates,
            tls,
            limits: limits.clone(),
            drain: Drain::default(),
            closings: Arc::default(),
        })
    }

    /// The same, drained by a handle that exists already: a proxy's tunnels hold it too.
    #[must_use]
    pub fn drained_by(mut self, drain: Drain) -> Self {
        self.drain = drain;
        self
    }

    /// The address that was bound; with port 0 configured, the port the system chose.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The handle that ends this server's connections.
    #[must_use]
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Counts the clients that were not waited for any longer.
    #[must_use]
    pub fn closings(&self) -> Arc<Closings> {
        Arc::clone(&self.closings)
    }

    /// The certificate in use, to be read again when its files change.
    #[must_use]
    pub fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
    }

    /// Accepts connections until `shutdown` completes. Connections go on; [`Drain`] ends them.
    pub async fn run<H: Handler>(self, handler: Arc<H>, shutdown: impl Future<Output = ()> + Send) {
        let places = Arc::new(Semaphore::new(self.limits.connections.min(Semaphore::MAX_PERMITS)));
        let context = Arc::new(Context::new(handler, self.tls, self.drain, &self.limits, self.closings));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let (stream, peer, place) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept::next(&self.listener, &places) => accepted,
            };
            tokio::spawn(Arc::clone(&context).serve(stream, peer, place));
        }
        // Clients that the kernel has connected already would be reset together with the listener. The runtime learns of
        // them when this task lets it look.
        tokio::task::yield_now().await;
        while let Some((stream, peer, place)) = accept::next(&self.listener, &places).now_or_never() {
            tokio::spawn(Arc::clone(&context).serve(stream, peer, place));
        }
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the kernel to forget the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
