//! A client: one connection, kept, and one request at a time.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

pub struct Client {
    sender: SendRequest<Empty<Bytes>>,
    tag: Option<String>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens there");
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, tag: None }
    }

    /// Sends a GET, and gives the response once its head is there.
    pub async fn open(&mut self, path: &str) -> Response<Incoming> {
        self.sender.ready().await.expect("the connection is kept");
        let request = Request::get(path).header(header::HOST, "figures.test").body(Empty::new()).unwrap();
        let response = self.sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{:?}", response.headers());
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        self.tag = tag.map(str::to_owned);
        response
    }

    /// The entity tag of the last response.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Sends a GET and reads all of it.
    pub async fn get(&mut self, path: &str) -> Bytes {
        self.open(path).await.into_body().collect().await.expect("a whole body").to_bytes()
    }
}
