//! The two sides: a client on one connection, and an origin whose answers a closure gives.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use truehit::origin::BoxError;

use super::*;

/// The name that clients ask for.
pub const HOST: &str = "api.test";

/// The content of a request or a response.
pub type Content = UnsyncBoxBody<Bytes, BoxError>;

pub fn empty() -> Content {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Content {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Content of unknown length, sent frame by frame as the test sends them. An error breaks it off.
pub fn channel() -> (mpsc::Sender<Result<Frame<Bytes>, BoxError>>, Content) {
    let (sender, mut frames) = mpsc::channel(1);
    let stream = futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx));
    (sender, BodyExt::boxed_unsync(StreamBody::new(stream)))
}

/// A data frame.
pub fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// The beginning of a request as HTTP/1.1 has it; an HTTP/2 client moves the host into the target.
pub fn ask(method: &str, target: &str) -> http::request::Builder {
    Request::builder().method(method).uri(target).header(header::HOST, HOST)
}

enum Sender {
    H1(http1::SendRequest<Content>),
    H2(http2::SendRequest<Content>),
}

/// A client on one connection. What is sent and received is not changed on the way.
pub struct Client(Sender);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub fields: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub async fn of(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        let collected = soon(body.collect()).await?;
        let trailers = collected.trailers().cloned();
        Ok(Self { status: head.status, fields: head.headers, body: collected.to_bytes(), trailers })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A field as text; empty if absent.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Client {
    pub async fn h1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self(Sender::H1(sender))
    }

    pub async fn h2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(Sender::H2(sender))
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn try_send(&mut self, mut request: Request<Content>) -> hyper::Result<Response<Incoming>> {
        match &mut self.0 {
            Sender::H1(sender) => {
                soon(sender.ready()).await?;
                soon(sender.send_request(request)).await
            }
            Sender::H2(sender) => {
                request.headers_mut().remove(header::HOST);
                let target = request.uri().path_and_query().unwrap().clone();
                let uri = Uri::builder().scheme("http").authority(HOST).path_and_query(target);
                *request.uri_mut() = uri.build().unwrap();
                soon(sender.ready()).await?;
                soon(sender.send_request(request)).await
            }
        }
    }

    pub async fn send(&mut self, request: Request<Content>) -> Response<Incoming> {
        self.try_send(request).await.unwrap()
    }

    /// Sends a request and reads all of its answer.
    pub async fn fetch(&mut self, request: Request<Content>) -> Answer {
        Answer::of(self.send(request).await).await.unwrap()
    }

    /// Sends a request on HTTP/2 without waiting; its answer goes to `answers`.
    pub fn concurrent(&self, request: Request<Content>, answers: mpsc::UnboundedSender<Answer>) {
        let Sender::H2(sender) = &self.0 else { panic!("HTTP/1.1 has no concurrent requests") };
        let mut client = Self(Sender::H2(sender.clone()));
        tokio::spawn(async move { answers.send(client.fetch(request).await) });
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        self.fetch(ask("GET", target).body(empty()).unwrap()).await
    }
}

/// An origin on a port of the system's choice, in HTTP/1.1 and in HTTP/2 with prior knowledge.
pub struct Origin {
    pub address: SocketAddr,
}

impl Origin {
    pub async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<Content>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, answer.clone()));
            }
        });
        Self { address }
    }

    /// An origin that answers every request with `answer`, and says what it was asked.
    pub async fn telling<F>(answer: F) -> (Self, mpsc::UnboundedReceiver<(http::request::Parts, Bytes)>)
    where
        F: Fn() -> Response<Content> + Clone + Send + 'static,
    {
        let (asked, asks) = mpsc::unbounded_channel();
        let origin = Self::start(move |request| {
            let (response, asked) = (answer(), asked.clone());
            async move {
                let (head, body) = request.into_parts();
                // Content that breaks off is for the tests of that.
                let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                // A test that is not curious has dropped the other end.
                let _ = asked.send((head, body));
                response
            }
        });
        (origin.await, asks)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Serves one connection.
pub async fn serve<S, F, R>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Send + 'static,
    R: Future<Output = Response<Content>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Tests keep requests waiting; none of them tests this server's patience.
    http.http1().header_read_timeout(None::<Duration>);
    let _ = http.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}
