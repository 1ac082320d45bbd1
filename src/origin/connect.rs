//! Dialling: from the origin's place to a connection that speaks HTTP.
//!
//! A dial resolves, connects, shakes hands and spawns the task that drives the connection. Its deadline is the caller's.

use std::net::SocketAddr;
use std::sync::Weak;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

use super::pool::Pool;
use super::preface::{Awaiting, Guarded, OneAtATime, Streams};
use super::resolve::Names;
use super::tls::{OriginSetupError, Tls};
use super::{OriginError, RequestBody, failure};
use crate::config::{self, OriginPlace, OriginProtocol};
use crate::socket;

/// How often a busy HTTP/2 connection is asked for a sign of life: a dead one would fail every request until TCP gives
/// up, as there is only one.
const H2_PING_EVERY: Duration = Duration::from_secs(10);

/// How long that sign may take.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(5);

/// What an HTTP/1.1 connection reads ahead of whoever reads its response, in bytes, and so the longest head that it takes
/// (over HTTP/2 hyper takes 16 KiB). A client that reads slowly has this held for it a few times over: in the socket's
/// buffer, on its way, and as its own.
const READ_AHEAD: usize = 32 * 1024;

/// The same for one response over HTTP/2. The connection as a whole has no bound of its own: one window for all of them
/// would be used up by those who read slowly, and hold up those who do not.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = i32::MAX as u32;

/// A new connection, by the version it speaks.
pub(super) enum Dialled {
    H1(http1::SendRequest<RequestBody>, Awaiting),
    H2(http2::SendRequest<RequestBody>),
}

/// Where and how to dial.
pub(super) struct Connector {
    place: OriginPlace,
    names: Names,
    tls: Option<Tls>,
    /// Whether HTTP/2 is spoken where ALPN did not choose.
    prior_knowledge: bool,
}

impl Connector {
    pub(super) fn new(origin: &config::Origin) -> Result<Self, OriginSetupError> {
        let tls = match &origin.place {
            OriginPlace::Tcp { tls: true, host, .. } => Some(Tls::new(host, &origin.tls, origin.protocol)?),
            OriginPlace::Tcp { .. } | OriginPlace::Unix(_) => None,
        };
        Ok(Self {
            place: origin.place.clone(),
            names: Names::default(),
            tls,
            prior_knowledge: origin.protocol == OriginProtocol::H2,
        })
    }

    /// Opens a connection. The pool hears of bytes that nobody asked for.
    pub(super) async fn dial(&self, pool: Weak<Pool>, deadline: Instant) -> Result<Dialled, OriginError> {
        let (host, port) = match &self.place {
            OriginPlace::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| failure::connecting(&error))?;
                return self.speak(stream, self.prior_knowledge, pool).await;
            }
            OriginPlace::Tcp { host, port, .. } => (host.as_str(), *port),
        };
        let lookup = async { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
        let stream = connect(&self.names.resolve(lookup).await?, deadline).await?;
        let Some(tls) = &self.tls else { return self.speak(stream, self.prior_knowledge, pool).await };
        let stream =
            tls.connector.connect(tls.name.clone(), stream).await.map_err(|error| failure::handshaking(&error))?;
        let h2 = match stream.get_ref().1.alpn_protocol() {
            Some(chosen) => chosen == b"h2",
            None => self.prior_knowledge,
        };
        self.speak(stream, h2, pool).await
    }

    async fn speak<S>(&self, stream: S, h2: bool, pool: Weak<Pool>) -> Result<Dialled, OriginError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if h2 {
            let io = TokioIo::new(Guarded::new(stream, Streams::default()));
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(H2_PING_EVERY)
                .keep_alive_timeout(H2_PING_TIMEOUT)
                .initial_stream_window_size(H2_STREAM_WINDOW)
                .initial_connection_window_size(H2_CONNECTION_WINDOW)
                .handshake(io)
                .await
                .map_err(|error| failure::before_head(&error, false))?;
            // Whatever ends the connection reaches the requests on it.
            tokio::spawn(connection);
            return Ok(Dialled::H2(sender));
        }
        let awaiting = Awaiting::default();
        let io = TokioIo::new(Guarded::new(stream, OneAtATime::new(awaiting.clone())));
        let handshake = http1::Builder::new().max_buf_size(READ_AHEAD).max_header_size(READ_AHEAD).handshake(io).await;
        let (sender, connection) = handshake.map_err(|error| failure::before_head(&error, false))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await
                && failure::is_unexpected_message(&error)
                && let Some(pool) = pool.upgrade()
            {
                pool.desynchronised();
            }
        });
        Ok(Dialled::H1(sender, awaiting))
    }
}

/// Tries the addresses in turn. Each gets an equal share of the time that is left, so that one black hole cannot spend
/// it all.
async fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, OriginError> {
    let mut last = OriginError::Dns("no address".to_owned());
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / left;
        left -= 1;
        match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                socket::prepare(&stream).map_err(|error| failure::connecting(&error))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = failure::connecting(&error),
            Err(_) => last = OriginError::ConnectionTimeout,
        }
    }
    Err(last)
}
