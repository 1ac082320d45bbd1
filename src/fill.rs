//! `Fill`: a response body on its way in, read by everyone who may while it is recorded.
//!
//! One pump takes the body from the origin; any number of readers follow it at their own pace through one shared list
//! of chunks. While the fill records, the pump runs at the origin's speed: what it may hold is bounded by the route's
//! `object_max` and, all fills together, by `cache.fill_memory`. A body that outgrows either is no longer recorded: its
//! readers still get all of it, but chunks are dropped once everyone has read them, and the pump waits for the slowest
//! reader when [`WINDOW`] bytes are kept, or as soon as `cache.fill_memory` is used up. One chunk is always taken in, or
//! nothing would ever go on: that much of each body, a read of its connection, is beyond the budget.
//!
//! Ownership: the pump's task owns the [`Pump`], readers own a [`Reader`] each, both share the [`Fill`]. A pump that is
//! dropped early ends the fill as broken; readers that leave free their place. Who has told others of the fill owns a
//! [`Hold`] until they had their chance to read.

mod memory;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use crate::origin::OriginError;
use crate::rules::outcome::SkipReason;

pub use memory::{FillMemory, Taken};

/// How many bytes a fill that is not recorded keeps for its readers before the pump waits for the slowest of them.
pub const WINDOW: usize = 256 * 1024;

/// The pieces of memory in which fills keep bodies. What comes from a connection is a slice of its read buffer and would
/// keep all of that; and were each piece as long as what came, freed memory would seldom fit what comes next.
const BLOCK: usize = 8 * 1024;

/// How a body ended.
#[derive(Clone, Debug)]
enum End {
    /// Cleanly, with these trailers.
    Whole(Option<HeaderMap>),
    /// Early.
    Broken(OriginError),
}

/// Whether the body is still being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Recording,
    /// No longer, and why not.
    Passing(SkipReason),
}

#[derive(Debug)]
struct State {
    /// What is left of the last block.
    block: BytesMut,
    /// The chunks kept; the first has the number `dropped`.
    chunks: VecDeque<Bytes>,
    dropped: usize,
    /// Bytes in `chunks`.
    kept: usize,
    /// How many of them count in the budget: all, but for a chunk that was taken in when nothing was left of it.
    taken: Taken,
    mode: Mode,
    end: Option<End>,
    readers: Vec<Option<Place>>,
    /// How many hold it for readers to come.
    holds: usize,
    pump: Option<Waker>,
}

/// Where a reader is.
#[derive(Debug)]
struct Place {
    next: usize,
    waker: Option<Waker>,
}

/// A body on its way in.
#[derive(Debug)]
pub struct Fill {
    state: Mutex<State>,
    object_max: u64,
}

impl Fill {
    /// A fill that records up to `object_max` bytes within `memory`, and its pump.
    #[must_use]
    pub fn start(memory: Arc<FillMemory>, object_max: u64) -> (Arc<Self>, Pump) {
        let state = State {
            block: BytesMut::new(),
            chunks: VecDeque::new(),
            dropped: 0,
            kept: 0,
            taken: Taken::nothing_of(memory),
            mode: Mode::Recording,
            end: None,
            readers: Vec::new(),
            holds: 0,
            pump: None,
        };
        let fill = Arc::new(Self { state: Mutex::new(state), object_max });
        let pump = Pump { fill: Arc::clone(&fill) };
        (fill, pump)
    }

    /// A reader from the first byte, unless the first bytes are gone already.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.lock();
        if state.dropped > 0 {
            return None;
        }
        let place = Place { next: 0, waker: None };
        let index = match state.readers.iter().position(Option::is_none) {
            Some(free) => {
                state.readers[free] = Some(place);
                free
            }
            None => {
                state.readers.push(Some(place));
                state.readers.len() - 1
            }
        };
        drop(state);
        Some(Reader { fill: Arc::clone(self), index, done: false, asked_back: false })
    }

    /// Says that readers are to come: until it is dropped, the body is not given up for want of any. It holds up nobody
    /// who reads.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.lock().holds += 1;
        Hold { fill: Arc::clone(self) }
    }

    /// Why the body broke off, if it did.
    #[must_use]
    pub fn broken(&self) -> Option<OriginError> {
        match &self.lock().end {
            Some(End::Broken(error)) => Some(error.clone()),
            Some(End::Whole(_)) | None => None,
        }
    }

    /// Whether the body is still being recorded.
    #[must_use]
    pub fn records(&self) -> bool {
        let state = self.lock();
        state.mode == Mode::Recording && !matches!(state.end, Some(End::Broken(_)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held cannot leave the list half changed in a way that matters: no user code runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps a copy of `bytes`, in blocks.
    fn keep(&mut self, mut bytes: &[u8]) {
        self.kept += bytes.len();
        while !bytes.is_empty() {
            if self.block.capacity() == 0 {
                self.block = BytesMut::with_capacity(BLOCK);
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.block.capacity()));
            self.block.extend_from_slice(now);
            self.chunks.push_back(self.block.split().freeze());
            bytes = later;
        }
    }

    /// The wakers of everyone who waits, to be woken after the lock is released.
    fn waiting(&mut self) -> Vec<Waker> {
        self.readers.iter_mut().flatten().filter_map(|place| place.waker.take()).collect()
    }

    /// Drops chunks that every reader has read, where the body is not recorded, and gives back what they took.
    fn drop_read(&mut self) {
        if self.mode == Mode::Recording {
            return;
        }
        let slowest = self.readers.iter().flatten().map(|place| place.next).min();
        while slowest.is_some_and(|slowest| self.dropped < slowest)
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.dropped += 1;
            self.kept -= chunk.len();
        }
        self.taken.shrink_to(self.kept as u64);
    }

    /// Whether a body that is not recorded may take in another chunk.
    fn has_room(&self) -> bool {
        let all_counts = self.taken.bytes() == self.kept as u64;
        self.kept == 0 || self.kept < WINDOW && all_counts && self.taken.memory().has_room()
    }
}

/// The side that takes the body in.
#[derive(Debug)]
pub struct Pump {
    fill: Arc<Fill>,
}

impl Pump {
    /// Adds a chunk. Stops recording, and says why, when it does not fit.
    pub fn push(&self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let mut state = self.fill.lock();
        if state.mode == Mode::Recording && (state.kept + chunk.len()) as u64 > self.fill.object_max {
            state.mode = Mode::Passing(SkipReason::TooLarge);
        }
        if !state.taken.grow(chunk.len() as u64) && state.mode == Mode::Recording {
            state.mode = Mode::Passing(SkipReason::FillMemory);
        }
        state.keep(&chunk);
        state.drop_read();
        let waiting = state.waiting();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Stops recording, for this reason. What comes goes on to who reads it.
    pub fn stop_recording(&self, why: SkipReason) {
        let mut state = self.fill.lock();
        if state.mode == Mode::Recording {
            state.mode = Mode::Passing(why);
            state.drop_read();
        }
    }

    /// Ready when another chunk may be taken in; `Err` when there is no point in it, since nobody reads and nothing is
    /// recorded.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), SkipReason>> {
        let mut state = self.fill.lock();
        match state.mode {
            Mode::Recording => Poll::Ready(Ok(())),
            Mode::Passing(why) if state.holds == 0 && state.readers.iter().all(Option::is_none) => {
                Poll::Ready(Err(why))
            }
            Mode::Passing(_) if state.has_room() => Poll::Ready(Ok(())),
            Mode::Passing(_) => {
                state.pump = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Everything recorded so far, and `last`, which has not been pushed yet.
    ///
    /// # Errors
    /// Why the body is not recorded.
    pub fn recorded(&self, last: Option<&Bytes>) -> Result<Vec<Bytes>, SkipReason> {
        let state = self.fill.lock();
        let length = state.kept + last.map_or(0, Bytes::len);
        match state.mode {
            Mode::Passing(why) => Err(why),
            Mode::Recording if length as u64 > self.fill.object_max => Err(SkipReason::TooLarge),
            Mode::Recording => Ok(state.chunks.iter().chain(last).cloned().collect()),
        }
    }

    /// The body ended cleanly.
    pub fn finish(self, trailers: Option<HeaderMap>) {
        self.end(End::Whole(trailers));
    }

    /// The body ended early: readers get `error`, never an end that looks clean.
    pub fn fail(self, error: OriginError) {
        self.end(End::Broken(error));
    }

    fn end(&self, end: End) {
        let mut state = self.fill.lock();
        state.end = Some(end);
        let waiting = state.waiting();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        if self.fill.lock().end.is_none() {
            let lost = OriginError::ResponseIncomplete("the exchange was given up".to_owned());
            self.end(End::Broken(lost));
        }
    }
}

/// A promise of readers ([`Fill::hold`]).
#[derive(Debug)]
pub struct Hold {
    fill: Arc<Fill>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.fill.lock();
        state.holds -= 1;
        let pump = state.pump.take();
        drop(state);
        if let Some(pump) = pump {
            pump.wake();
        }
    }
}

/// A reader of a fill: a body.
#[derive(Debug)]
pub struct Reader {
    fill: Arc<Fill>,
    index: usize,
    done: bool,
    /// Whether the reader has been asked back before it says that the body is broken.
    asked_back: bool,
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let index = self.index;
        let mut state = self.fill.lock();
        let dropped = state.dropped;
        let Some(Some(place)) = state.readers.get(index) else { return Poll::Ready(None) };
        let next = place.next;
        if let Some(chunk) = state.chunks.get(next - dropped).cloned() {
            if let Some(Some(place)) = state.readers.get_mut(index) {
                place.next += 1;
            }
            state.drop_read();
            let pump = if state.has_room() { state.pump.take() } else { None };
            drop(state);
            if let Some(pump) = pump {
                pump.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let last = match &state.end {
            None => {
                if let Some(Some(place)) = state.readers.get_mut(index) {
                    place.waker = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
            Some(End::Whole(trailers)) => trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))),
            // Whoever writes the body out may do that now with what came before: at an error it may drop all, head included.
            Some(End::Broken(_)) if !self.asked_back => {
                drop(state);
                self.asked_back = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(End::Broken(error)) => Some(Err(error.clone())),
        };
        drop(state);
        self.done = true;
        Poll::Ready(last)
    }

    fn is_end_stream(&self) -> bool {
        if self.done {
            return true;
        }
        let state = self.fill.lock();
        let read = state.readers.get(self.index).and_then(Option::as_ref).map_or(0, |place| place.next);
        matches!(state.end, Some(End::Whole(None))) && read == state.dropped + state.chunks.len()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.fill.lock();
        if let Some(place) = state.readers.get_mut(self.index) {
            *place = None;
        }
        state.drop_read();
        let pump = state.pump.take();
        drop(state);
        if let Some(pump) = pump {
            pump.wake();
        }
    }
}

#[cfg(test)]
mod tests;
