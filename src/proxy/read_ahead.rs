//! `ReadAhead`: a client's content, of which the beginning may have been read to see what it asks.
//!
//! Content that could say what is asked is read before anything is looked up, so a slow client holds no exchange and
//! nobody's place in one. It is bounded in length and in time, and all such content together by `cache.fill_memory`, for as
//! long as anybody holds it. What is beyond a bound is not lost: as a body, `ReadAhead` gives what was read and then the
//! rest.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::Proxy;
use super::exchange::HASH_INLINE_MAX;
use crate::fill::{FillMemory, Taken};
use crate::origin::{BoxError, Origin, OriginError};
use crate::rules::outcome::PassReason;
use crate::rules::policy::Policy;
use crate::rules::query::Query;

/// A client's content: what was read of it, and the rest.
#[derive(Debug)]
pub(super) struct ReadAhead<C> {
    /// What was read, until it is known to be all.
    read: BytesMut,
    /// What that takes of the memory for bodies under way.
    taken: Option<Taken>,
    /// All of it.
    whole: Bytes,
    trailers: Option<Box<HeaderMap>>,
    /// `None` once it has ended.
    rest: Option<C>,
    /// Whether it was found to be a query: its request is safe, whatever the method.
    is_query: bool,
}

/// Content that counts in the budget until nobody holds it any longer.
struct Counted {
    content: Bytes,
    _taken: Option<Taken>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// Why content that could be a query's is none to look up.
#[derive(Debug)]
pub(super) enum NoQuery {
    /// The request passes.
    Pass(PassReason),
    /// The content broke off.
    Broken(OriginError),
}

impl<C> ReadAhead<C> {
    /// Content of which nothing was read.
    pub(super) fn nothing_of(content: C) -> Self {
        let (read, whole) = (BytesMut::new(), Bytes::new());
        Self { read, taken: None, whole, trailers: None, rest: Some(content), is_query: false }
    }

    /// Whether nothing that was read is left to give.
    fn has_given_all(&self) -> bool {
        self.read.is_empty() && self.whole.is_empty()
    }

    /// Whether it was found to be a query.
    pub(super) const fn is_query(&self) -> bool {
        self.is_query
    }
}

impl<C> ReadAhead<C>
where
    C: Body<Data = Bytes> + Unpin,
    C::Error: Into<BoxError>,
{
    /// Reads all of it, if that is at most `max` bytes and there is room for it in `memory`.
    ///
    /// May be given up at any time: what was read until then is kept.
    async fn read(&mut self, max: u64, memory: &Arc<FillMemory>) -> Result<Bytes, NoQuery> {
        let taken = self.taken.get_or_insert_with(|| Taken::nothing_of(Arc::clone(memory)));
        while let Some(rest) = &mut self.rest {
            if self.read.len() as u64 + rest.size_hint().lower() > max {
                return Err(NoQuery::Pass(PassReason::ContentTooLong));
            }
            match rest.frame().await {
                None => self.rest = None,
                Some(Err(error)) => {
                    return Err(NoQuery::Broken(OriginError::of_content(&error.into())));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    // Copied, because a slice of the read buffer would keep all of that for as long as the request
                    // waits.
                    Ok(chunk) => {
                        self.read.extend_from_slice(&chunk);
                        let more = (self.read.capacity() as u64).saturating_sub(taken.bytes());
                        if !taken.grow(more) {
                            return Err(NoQuery::Pass(PassReason::ContentMemory));
                        }
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
                },
            }
        }
        if self.trailers.is_some() || self.read.len() as u64 > max {
            return Err(NoQuery::Pass(PassReason::ContentTooLong));
        }
        let content = std::mem::take(&mut self.read).freeze();
        self.whole = Bytes::from_owner(Counted { content, _taken: self.taken.take() });
        Ok(self.whole.clone())
    }
}

impl<O: Origin> Proxy<O> {
    /// Reads the content of a request that could be a query.
    pub(super) async fn query<C>(
        &self,
        head: &request::Parts,
        content: &mut ReadAhead<C>,
        policy: &Arc<Policy>,
    ) -> Result<Query, NoQuery>
    where
        C: Body<Data = Bytes> + Unpin,
        C::Error: Into<BoxError>,
    {
        let max = policy.content_max.min(self.config.limits.content_bytes);
        let reading = content.read(max, &self.shared.fill_memory);
        let reading = tokio::time::timeout(self.config.limits.head_timeout, reading);
        let bytes = reading.await.unwrap_or(Err(NoQuery::Pass(PassReason::ContentLate)))?;
        let method = head.method.clone();
        let query = if bytes.len() <= HASH_INLINE_MAX {
            Query::read(method, bytes)
        } else {
            let read = tokio::task::spawn_blocking(move || Query::read(method, bytes)).await;
            // It panicked, or the pool is shutting down: whoever the content is for may still want it.
            read.unwrap_or(Err(PassReason::Method))
        };
        let query = query.map_err(NoQuery::Pass)?;
        content.is_query = true;
        Ok(query)
    }
}

impl<C> Body for ReadAhead<C>
where
    C: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = C::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, C::Error>>> {
        let this = self.get_mut();
        if !this.has_given_all() {
            let read = if this.whole.is_empty() { this.read.split().freeze() } else { std::mem::take(&mut this.whole) };
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
        }
        match &mut this.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_given_all() && self.trailers.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let read = (self.whole.len() + self.read.len()) as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        // With an exact size a message would be framed by it, and have no place for trailers (RFC 9112 §7.1.2).
        if let Some(upper) = rest.upper().filter(|_| self.trailers.is_none()) {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::FutureExt;
    use http_body_util::StreamBody;

    use super::*;

    type Frames = Vec<Frame<Bytes>>;

    fn frames(chunks: &[&'static str], trailers: bool) -> Frames {
        let data = chunks.iter().map(|chunk| Frame::data(Bytes::from_static(chunk.as_bytes())));
        data.chain(
            trailers.then(|| Frame::trailers(HeaderMap::from_iter([(http::header::ETAG, "1".parse().unwrap())]))),
        )
        .collect()
    }

    fn content(frames: Frames) -> ReadAhead<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let frames = frames.into_iter().map(Ok::<_, Infallible>);
        ReadAhead::nothing_of(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn memory(bytes: u64) -> Arc<FillMemory> {
        Arc::new(FillMemory::new(bytes))
    }

    fn rest_of(content: impl Body<Data = Bytes, Error = Infallible>) -> (String, bool) {
        let all = content.collect().now_or_never().unwrap().unwrap();
        let trailers = all.trailers().is_some();
        (String::from_utf8(all.to_bytes().to_vec()).unwrap(), trailers)
    }

    #[test]
    fn what_was_read_is_never_lost() {
        let check = |sentence: &str, chunks: &[&'static str], trailers: bool, whole: bool| {
            let mut content = content(frames(chunks, trailers));
            let read = content.read(4, &memory(64)).now_or_never().unwrap();
            let expected = chunks.concat();
            assert_eq!(read.is_ok(), whole, "{sentence}");
            assert!(read.is_ok_and(|read| read == expected) == whole, "{sentence}");
            assert_eq!(content.size_hint().exact().is_some(), whole, "{sentence}: framed anew only when it is known");
            assert_eq!(rest_of(content), (expected, trailers), "{sentence}");
        };
        check("no content", &[], false, true);
        check("as much as may be", &["12", "34"], false, true);
        check("more than may be", &["123", "45", "6"], false, false);
        check("much more at once", &["123456", "7"], false, false);
        check("trailers are no part of a query", &["12"], true, false);
    }

    #[test]
    fn a_declared_length_is_believed_before_anything_is_read() {
        let mut content = ReadAhead::nothing_of(http_body_util::Full::new(Bytes::from_static(b"12345")));
        let read = content.read(4, &memory(64)).now_or_never().unwrap();
        assert!(matches!(read, Err(NoQuery::Pass(PassReason::ContentTooLong))));
        assert_eq!((content.read.len(), content.size_hint().exact()), (0, Some(5)));
    }

    #[test]
    fn what_is_read_counts_for_as_long_as_anybody_holds_it() {
        let memory = memory(64);
        let mut content = content(frames(&["12", "34"], false));
        let read = content.read(4, &memory).now_or_never().unwrap().unwrap();
        assert!((4..=64).contains(&memory.used()));
        drop(content);
        assert!(memory.used() >= 4, "a request waits with it");
        drop(read);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn content_for_which_there_is_no_room_passes_and_loses_nothing() {
        let memory = memory(1);
        let mut content = content(frames(&["12", "34"], false));
        let read = content.read(4, &memory).now_or_never().unwrap();
        assert!(matches!(read, Err(NoQuery::Pass(PassReason::ContentMemory))));
        assert_eq!(memory.used(), 0);
        assert_eq!(rest_of(content), ("1234".to_owned(), false));
    }

    #[test]
    fn reading_that_is_given_up_keeps_what_it_has() {
        let (sender, receiver) = channel();
        let mut content = ReadAhead::nothing_of(receiver);
        sender.send(Bytes::from_static(b"12")).unwrap();
        assert!(content.read(9, &memory(64)).now_or_never().is_none(), "the client is slow");
        sender.send(Bytes::from_static(b"34")).unwrap();
        drop(sender);
        assert_eq!(rest_of(content), ("1234".to_owned(), false));
    }

    /// A body whose chunks the test sends.
    fn channel() -> (tokio::sync::mpsc::UnboundedSender<Bytes>, impl Body<Data = Bytes, Error = Infallible> + Unpin) {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let frames = futures_util::stream::poll_fn(move |cx| {
            receiver.poll_recv(cx).map(|chunk: Option<Bytes>| chunk.map(|chunk| Ok(Frame::data(chunk))))
        });
        (sender, StreamBody::new(frames))
    }
}
