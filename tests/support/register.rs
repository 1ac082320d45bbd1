//! An origin that is a set of registers: each key holds a version, and every content says which.
//!
//! Writers go around the proxy, straight to the register. A request and a write each take effect at one instant between
//! two waits of random length, and all of it is logged, so that afterwards a history of reads can be held against what
//! was true when. Time is tokio's, paused, so waits cost nothing; order is told by a counter, since many things happen
//! at one instant of a paused clock. The wait before an exchange takes effect is never zero: on such a clock an exchange
//! could otherwise begin, take effect and be overtaken by a write, and a read be sent, all at one instant.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};
use http_body::{Body, Frame, SizeHint};
use sha1::{Digest, Sha1};
use tokio::time::{Instant, Sleep, sleep};
use truehit::origin::{Origin, OriginError, Outgoing, Purpose};

use crate::dice::Dice;
use crate::history::{Exchange, Stamp, Written};

/// What a register's answers carry, and which questions it understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A strong entity tag that is the version; conditional requests.
    Strong,
    /// No validator, and 405 to HEAD, like FastAPI: only bytes can tell.
    Bare,
    /// A weak entity tag that is a digest of the content, like Express; conditional requests.
    Express,
    /// A strong entity tag, and deaf to conditions: HEAD must tell.
    HeadOnly,
    /// A weak entity tag that two versions share, and conditional requests: a 304 proves nothing.
    Weak,
    /// Like [`Strong`](Self::Strong), behind a cache that confirms every other time what was true before the last write,
    /// and says by `Age` who speaks.
    Behind,
}

/// How a register behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// What it supports.
    pub kind: Kind,
    /// How many keys it has.
    pub keys: usize,
    /// The longest wait, in milliseconds, before something takes effect, and again before its answer goes out.
    pub wait_ms: u64,
    /// Of a thousand requests, how many fail.
    pub failing: u64,
    /// Of a thousand bodies, how many break off.
    pub breaking: u64,
    /// Of a thousand bodies, how many end before the length that they have declared.
    pub short: u64,
}

impl Manners {
    /// One that never fails.
    pub const fn sound(kind: Kind, keys: usize, wait_ms: u64) -> Self {
        Self { kind, keys, wait_ms, failing: 0, breaking: 0, short: 0 }
    }
}

/// The register; clones are the same one.
#[derive(Clone)]
pub struct Register(Arc<Inner>);

struct Inner {
    manners: Manners,
    start: Instant,
    ticks: AtomicU64,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    versions: Vec<u64>,
    writes: Vec<Written>,
    exchanges: Vec<Exchange>,
    answers: BTreeMap<(String, u16), usize>,
}

/// The content of a version: the same few words over and over, so that a torn or foreign content shows.
pub fn content(key: usize, version: u64) -> Bytes {
    let mut text = String::new();
    for line in 0..6 {
        writeln!(text, "key {key} version {version:08} line {line}").unwrap();
    }
    Bytes::from(text)
}

impl Register {
    /// All keys at version 0.
    pub fn new(manners: Manners, seed: u64) -> Self {
        let state = State {
            dice: Dice::new(seed),
            versions: vec![0; manners.keys],
            writes: Vec::new(),
            exchanges: Vec::new(),
            answers: BTreeMap::new(),
        };
        let (start, ticks, state) = (Instant::now(), AtomicU64::new(0), Mutex::new(state));
        Self(Arc::new(Inner { manners, start, ticks, state }))
    }

    /// Now.
    pub fn stamp(&self) -> Stamp {
        Stamp { tick: self.0.ticks.fetch_add(1, Ordering::Relaxed), at: self.0.start.elapsed() }
    }

    /// Writes the next version of a key, around the proxy, and waits for the acknowledgement. Writes are quicker than
    /// answers, so that many an answer is out of date as it arrives.
    pub async fn write(&self, key: usize) {
        let began = self.stamp();
        sleep(self.draw(|dice, manners| dice.wait(manners.wait_ms / 4))).await;
        let (version, rest) = self.locked(|state| {
            state.versions[key] += 1;
            (state.versions[key], state.dice.wait(self.0.manners.wait_ms / 4))
        });
        sleep(rest).await;
        let ended = self.stamp();
        self.locked(|state| state.writes.push(Written { key, version, began, ended }));
    }

    /// Every write that was acknowledged.
    pub fn writes(&self) -> Vec<Written> {
        self.locked(|state| state.writes.clone())
    }

    /// Every request that took effect.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.locked(|state| state.exchanges.clone())
    }

    /// How many answers there were, by method and status.
    pub fn answers(&self) -> BTreeMap<(String, u16), usize> {
        self.locked(|state| state.answers.clone())
    }

    fn locked<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.state.lock().unwrap())
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Dice, &Manners) -> T) -> T {
        self.locked(|state| draw(&mut state.dice, &self.0.manners))
    }

    /// The instant at which a request takes effect.
    fn evaluate(&self, request: &request::Parts, received: Stamp) -> Response<PacedBody> {
        let path = request.uri.path();
        let key: usize = path.strip_prefix("/k/").and_then(|key| key.parse().ok()).expect("a path of the test");
        let evaluated = self.stamp();
        let manners = self.0.manners;
        let condition = request.headers.get(header::IF_NONE_MATCH);
        let (version, pieces, fate, behind) = self.locked(|state| {
            let before = state.versions[key].saturating_sub(1);
            let behind =
                manners.kind == Kind::Behind && names(condition, &format!("\"v{before}\"")) && state.dice.below(2) == 0;
            let version = if behind { before } else { state.versions[key] };
            if !behind {
                state.exchanges.push(Exchange { key, version, received, evaluated });
            }
            let pieces: Vec<_> = (0..state.dice.below(3)).map(|_| state.dice.wait(manners.wait_ms)).collect();
            let fate = match state.dice.below(1000) {
                drawn if drawn < manners.breaking => Fate::Breaks,
                drawn if drawn < manners.breaking + manners.short => Fate::Short,
                _ => Fate::Whole,
            };
            (version, pieces, fate, behind)
        });
        let content = content(key, version);
        let tag = match manners.kind {
            Kind::Strong | Kind::HeadOnly | Kind::Behind => Some(format!("\"v{version}\"")),
            Kind::Weak => Some(format!("W/\"v{}\"", version / 2)),
            Kind::Bare => None,
            Kind::Express => {
                Some(format!("W/\"{:x}-{}\"", content.len(), STANDARD_NO_PAD.encode(Sha1::digest(&content))))
            }
        };
        let unchanged = manners.kind != Kind::HeadOnly && tag.as_ref().is_some_and(|tag| names(condition, tag));
        let (status, body) = match request.method {
            Method::HEAD if manners.kind == Kind::Bare => (StatusCode::METHOD_NOT_ALLOWED, PacedBody::empty()),
            _ if unchanged => (StatusCode::NOT_MODIFIED, PacedBody::empty()),
            Method::HEAD => (StatusCode::OK, PacedBody::empty()),
            _ => (StatusCode::OK, PacedBody::new(&content, pieces).fated(fate)),
        };
        let mut fields = HeaderMap::new();
        if let Some(tag) = tag {
            fields.insert(header::ETAG, HeaderValue::try_from(tag).unwrap());
        }
        // Whoever declares a length and then breaks off is seen through by it.
        if status == StatusCode::OK && fate != Fate::Breaks {
            fields.insert(header::CONTENT_LENGTH, content.len().into());
        }
        if behind {
            fields.insert(header::AGE, HeaderValue::from_static("1"));
        }
        self.locked(|state| {
            *state.answers.entry((request.method.to_string(), status.as_u16())).or_default() += 1;
        });
        let mut response = Response::new(body);
        (*response.status_mut(), *response.headers_mut()) = (status, fields);
        response
    }
}

/// Whether an `If-None-Match` (which may list several) names the tag.
fn names(condition: Option<&HeaderValue>, tag: &str) -> bool {
    let bare = tag.trim_start_matches("W/");
    condition
        .and_then(|list| list.to_str().ok())
        .is_some_and(|list| list.split(',').any(|one| one.trim().trim_start_matches("W/") == bare))
}

impl Origin for Register {
    type Body = PacedBody;

    async fn send(&self, _purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<PacedBody>, OriginError> {
        self.answer(&outgoing().into_parts().0).await
    }
}

impl Register {
    /// Answers a request after a while, or fails it.
    pub async fn answer(&self, request: &request::Parts) -> Result<Response<PacedBody>, OriginError> {
        let received = self.stamp();
        let (before, after, fate) = self.draw(|dice, manners| {
            let before = Duration::from_millis(1) + dice.wait(manners.wait_ms - 1);
            let fate = if dice.below(1000) < manners.failing { dice.below(2) } else { 2 };
            (before, dice.wait(manners.wait_ms), fate)
        });
        let broken = || OriginError::ConnectionTerminated("the register was told to fail".to_owned());
        sleep(before).await;
        if fate == 0 {
            return Err(broken());
        }
        let response = self.evaluate(request, received);
        sleep(after).await;
        if fate == 1 { Err(broken()) } else { Ok(response) }
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    /// In an error, before its last piece.
    Breaks,
    /// As if it were whole, before its last piece.
    Short,
}

/// Content in pieces, with waits between them.
pub struct PacedBody {
    pieces: VecDeque<(Duration, Bytes)>,
    pause: Option<Pin<Box<Sleep>>>,
    length: u64,
    fate: Fate,
}

impl PacedBody {
    pub const fn empty() -> Self {
        Self { pieces: VecDeque::new(), pause: None, length: 0, fate: Fate::Whole }
    }

    /// The same without its last piece, if that is its fate.
    fn fated(mut self, fate: Fate) -> Self {
        self.fate = fate;
        if fate != Fate::Whole {
            let first = self.pieces.len() == 1;
            let last = self.pieces.pop_back();
            // Of one piece, half is kept.
            self.pieces.extend(last.filter(|_| first).map(|(pause, piece)| (pause, piece.slice(..piece.len() / 2))));
        }
        self
    }

    /// `content`, the first piece at once, and another after each of `pauses`.
    pub fn new(content: &Bytes, pauses: Vec<Duration>) -> Self {
        let size = content.len().div_ceil(pauses.len() + 1);
        let pauses = std::iter::once(Duration::ZERO).chain(pauses);
        let pieces = pauses.zip(content.chunks(size)).map(|(pause, piece)| (pause, content.slice_ref(piece)));
        Self { pieces: pieces.collect(), pause: None, length: content.len() as u64, fate: Fate::Whole }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        let Some((wait, _)) = this.pieces.front() else {
            let broken = this.fate == Fate::Breaks;
            this.fate = Fate::Whole;
            return Poll::Ready(broken.then(|| Err(OriginError::ResponseIncomplete("as told".to_owned()))));
        };
        if !wait.is_zero() {
            ready!(this.pause.get_or_insert_with(|| Box::pin(sleep(*wait))).as_mut().poll(cx));
            this.pause = None;
        }
        let piece = this.pieces.pop_front();
        this.length -= piece.as_ref().map_or(0, |(_, piece)| piece.len() as u64);
        Poll::Ready(piece.map(|(_, piece)| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.length == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.fate == Fate::Breaks { SizeHint::new() } else { SizeHint::with_exact(self.length) }
    }
}
