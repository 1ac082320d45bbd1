//! The network: connections in memory, relayed by plan, between hyper's ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::server::conn::http1 as serving;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Sleep, sleep, timeout};
use truehit::origin::{Origin, OriginError, Outgoing, Purpose, RequestBody};
use truehit::server::{InterimSink, Peer};

use crate::dice::Dice;
use crate::house::House;
use crate::register::Register;
use crate::relay::{Plan, Weather, carry};
use crate::run::Way;

/// How long an answer may take to begin, and to go on.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a connection holds on the way, in bytes.
const ROOM: usize = 1024;

/// The two ends of a connection that goes by `plan`.
fn connection(plan: Plan) -> (DuplexStream, DuplexStream) {
    let ((near, mut one), (mut two, far)) = (duplex(ROOM), duplex(ROOM));
    tokio::spawn(async move { carry(&mut one, &mut two, plan).await });
    (near, far)
}

/// The origin, some way off; clones are the same one.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    register: Register,
    weather: Weather,
    dice: Mutex<Dice>,
    is_down: AtomicBool,
}

impl Network {
    pub fn new(register: Register, weather: Weather, seed: u64) -> Self {
        let dice = Mutex::new(Dice::new(seed ^ (0x0e7 << 32)));
        Self(Arc::new(Inner { register, weather, dice, is_down: AtomicBool::new(false) }))
    }

    /// No connection is made for a while, over and over.
    pub async fn fails_now_and_then(self) {
        let draw = |longest| self.0.dice.lock().unwrap().wait(longest);
        loop {
            sleep(Duration::from_millis(100) + draw(300)).await;
            self.0.is_down.store(true, Ordering::Relaxed);
            sleep(draw(60)).await;
            self.0.is_down.store(false, Ordering::Relaxed);
        }
    }

    async fn dial(&self) -> Result<SendRequest<RequestBody>, OriginError> {
        if self.0.is_down.load(Ordering::Relaxed) {
            return Err(OriginError::ConnectionRefused);
        }
        let (near, far) = connection(self.0.weather.plan(&mut self.0.dice.lock().unwrap()));
        let register = self.0.register.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let register = register.clone();
            async move { register.answer(&request.into_parts().0).await }
        });
        tokio::spawn(serving::Builder::new().serve_connection(TokioIo::new(far), service));
        let (sender, driver) = http1::handshake(TokioIo::new(near)).await.map_err(|error| terminated(&error))?;
        tokio::spawn(driver);
        Ok(sender)
    }
}

fn terminated(error: &hyper::Error) -> OriginError {
    OriginError::ConnectionTerminated(error.to_string())
}

impl Origin for Network {
    type Body = Patient;

    async fn send(&self, _purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<Patient>, OriginError> {
        let mut sender = self.dial().await?;
        let response = timeout(PATIENCE, sender.send_request(outgoing())).await;
        let response = response.map_err(|_| OriginError::ResponseTimeout)?.map_err(|error| terminated(&error))?;
        Ok(response.map(Patient::new))
    }
}

/// A body that may be silent for so long and no longer.
pub struct Patient {
    inner: Incoming,
    silence: Pin<Box<Sleep>>,
}

impl Patient {
    fn new(inner: Incoming) -> Self {
        Self { inner, silence: Box::pin(sleep(PATIENCE)) }
    }
}

impl Body for Patient {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            return this.silence.as_mut().poll(cx).map(|()| Some(Err(OriginError::ResponseTimeout)));
        };
        this.silence.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
        Poll::Ready(frame.map(|frame| frame.map_err(|error| OriginError::ResponseIncomplete(error.to_string()))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The side that clients see: a client is on one connection at a time, which is as bad as the others.
pub struct Face<O: Origin> {
    house: House<O>,
    weather: Weather,
    dice: Arc<Mutex<Dice>>,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl<O: Origin> Face<O> {
    pub fn new(house: House<O>, weather: Weather, seed: u64) -> Self {
        Self { house, weather, dice: Arc::new(Mutex::new(Dice::new(seed ^ (0xface << 32)))), sender: None }
    }

    async fn dial(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let (near, far) = connection(self.weather.plan(&mut self.dice.lock().unwrap()));
        let proxy = Arc::clone(&self.house.proxy);
        let service = service_fn(move |request: Request<Incoming>| {
            let address = SocketAddr::from(([127, 0, 0, 1], 40_000));
            let handled =
                Arc::clone(&proxy).handle(request, Peer { address, tls: false, interim: InterimSink::default() });
            async move { Ok::<_, Infallible>(handled.await) }
        });
        tokio::spawn(serving::Builder::new().serve_connection(TokioIo::new(far), service));
        let (sender, driver) = http1::handshake(TokioIo::new(near)).await.ok()?;
        tokio::spawn(driver);
        Some(sender)
    }
}

impl<O: Origin> Clone for Face<O> {
    /// A connection is one reader's.
    fn clone(&self) -> Self {
        let Self { house, weather, dice, .. } = self;
        Self { house: house.clone(), weather: *weather, dice: Arc::clone(dice), sender: None }
    }
}

impl<O: Origin> Way for Face<O> {
    type Body = Patient;

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Option<Response<Patient>> {
        let ready = match &mut self.sender {
            Some(sender) => timeout(PATIENCE, sender.ready()).await.is_ok_and(|ready| ready.is_ok()),
            None => false,
        };
        if !ready {
            self.sender = self.dial().await;
        }
        // Taken, so that a connection on which nothing came back is not used again.
        let mut sender = self.sender.take()?;
        let response = timeout(10 * PATIENCE, sender.send_request(request)).await.ok()?.ok()?;
        self.sender = Some(sender);
        Some(response.map(Patient::new))
    }
}
