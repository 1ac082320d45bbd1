//! The sockets: a register behind HTTP, and readers on connections of their own.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::*;
use crate::register::Register;
use crate::run::Way;

/// A register on a port of the system's choice.
pub async fn serve(register: Register) -> Origin {
    Origin::start(move |request: Request<Incoming>| {
        let register = register.clone();
        async move {
            let (head, _) = request.into_parts();
            // It is the relay that fails requests here.
            let response = register.answer(&head).await.expect("the register was not told to fail");
            response.map(|body| -> Content { body.map_err(Into::into).boxed_unsync() })
        }
    })
    .await
}

/// A client on one connection at a time.
pub struct Wire {
    address: SocketAddr,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Wire {
    pub const fn to(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    async fn connect(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }
}

impl Clone for Wire {
    /// A connection is one reader's.
    fn clone(&self) -> Self {
        Self::to(self.address)
    }
}

impl Way for Wire {
    type Body = Incoming;

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Option<Response<Incoming>> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.sender = self.connect().await;
        }
        let sent = self.sender.as_mut()?.send_request(request);
        let response = soon(sent).await.ok();
        if response.is_none() {
            self.sender = None;
        }
        response
    }
}
