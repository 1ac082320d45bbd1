//! `Client`: an HTTP client that is only as clever as `curl`, and times what it does.

use std::error::Error;
use std::time::Duration;

use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// The longest that one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Anything that went wrong.
pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Speaks HTTP/1.1 to one address, over one connection for as long as it lasts.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
    /// From sending the request to the last byte of the answer, on a connection that was already open.
    pub(crate) took: Duration,
}

impl Client {
    /// A client for `address`, given as `host:port`.
    pub(crate) fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), connection: None }
    }

    /// `GET target`.
    pub(crate) async fn get(&mut self, target: &str) -> Result<Answer, AnyError> {
        self.send(Request::get(target), String::new()).await
    }

    /// `POST target` with a JSON body.
    pub(crate) async fn post(&mut self, target: &str, json: &serde_json::Value) -> Result<Answer, AnyError> {
        let request = Request::post(target).header(header::CONTENT_TYPE, "application/json");
        self.send(request, json.to_string()).await
    }

    /// Sends any request, to which `Host` is added, and waits for the whole answer.
    pub(crate) async fn send(&mut self, request: Builder, body: String) -> Result<Answer, AnyError> {
        let request = request.header(header::HOST, &self.address).body(Full::from(body))?;
        let what = format!("{} http://{}{}", request.method(), self.address, request.uri());
        match timeout(ANSWER_WITHIN, self.exchange(request)).await {
            Ok(result) => result.map_err(|error| format!("{what}: {error}").into()),
            Err(_) => Err(format!("{what}: no whole answer within {ANSWER_WITHIN:?}").into()),
        }
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, AnyError> {
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => connect(&self.address).await?,
        };
        connection.ready().await?;
        let start = Instant::now();
        let (head, body) = connection.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let took = start.elapsed();
        self.connection = Some(connection);
        Ok(Answer { status: head.status, headers: head.headers, body, took })
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>, AnyError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what ends it earlier shows in the exchange.
    tokio::spawn(connection);
    Ok(sender)
}

impl Answer {
    /// The value of `Cache-Status`, or nothing.
    pub(crate) fn cache_status(&self) -> &str {
        self.headers.get("cache-status").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body, read as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value, AnyError> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}
