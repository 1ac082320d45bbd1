//! `Client`: sends a request to one address on a connection of its own and reads the whole answer.
//!
//! No pool, no redirects, no decompression, no retry: what the server sent is what the test sees.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest that one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Speaks HTTP/1.1 to one address.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: String,
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
}

impl Client {
    /// A client for `address`, given as `host:port`.
    pub(crate) fn new(address: impl Into<String>) -> Self {
        Self { address: address.into() }
    }

    /// `GET target`.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, &[], "").await
    }

    /// Sends a request and waits for the whole answer; fails the test if there is none.
    pub(crate) async fn send(&self, method: Method, target: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(&method).uri(target).header(header::HOST, &self.address);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a valid request");
        match timeout(ANSWER_WITHIN, self.exchange(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => panic!("{method} {target} at {}: {error}", self.address),
            Err(_) => panic!("{method} {target} at {}: no whole answer within {ANSWER_WITHIN:?}", self.address),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Answer {
    /// The field's value, if it is there once and readable.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }
}
