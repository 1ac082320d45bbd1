//! The body of a response to a client: from the store, on its way in, or passing.
//!
//! It carries the request's [`Settled`] guard, so the bytes that went out are counted when it is dropped, however it
//! ended.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::fill::Reader;
use crate::origin::{OriginError, Purpose};
use crate::proxy::Settled;
use crate::rules::fields;
use crate::window::Window;

/// Where a body's bytes come from.
#[derive(Debug)]
pub(crate) enum Content<B> {
    /// Nowhere.
    Empty,
    /// Memory: the store's, or a problem's text.
    Full(Bytes, Option<Box<HeaderMap>>),
    /// The same in pieces, without trailers.
    Pieces(VecDeque<Bytes>),
    /// A body that others may be reading too.
    Filling(Reader),
    /// One range of such a body.
    Within(Window<Reader>),
    /// The origin, for this client alone, by a request for this purpose. Boxed, as it is by far the largest.
    Passing(Box<B>, Purpose),
}

/// A response body.
#[derive(Debug)]
pub struct Body<B> {
    content: Content<B>,
    settled: Option<Settled>,
}

impl<B> Body<B> {
    pub(crate) const fn new(content: Content<B>, settled: Settled) -> Self {
        Self { content, settled: Some(settled) }
    }

    /// A body for a response that no visit stands behind, as a handler panicked.
    pub(crate) const fn unsettled(text: Bytes) -> Self {
        Self { content: Content::Full(text, None), settled: None }
    }
}

impl<B> http_body::Body for Body<B>
where
    B: http_body::Body<Data = Bytes, Error = OriginError> + Unpin,
{
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        let frame = match &mut this.content {
            Content::Empty => None,
            Content::Full(bytes, trailers) if bytes.is_empty() => trailers.take().map(|all| Ok(Frame::trailers(*all))),
            Content::Full(bytes, _) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Content::Pieces(pieces) => pieces.pop_front().map(|piece| Ok(Frame::data(piece))),
            Content::Filling(reader) => std::task::ready!(Pin::new(reader).poll_frame(cx)),
            Content::Within(window) => std::task::ready!(Pin::new(window).poll_frame(cx)),
            Content::Passing(body, _) => std::task::ready!(Pin::new(&mut **body).poll_frame(cx)),
        };
        let frame = frame.map(|frame| frame.map(forwardable));
        if let (Some(settled), Some(Ok(frame))) = (&mut this.settled, &frame)
            && let Some(data) = frame.data_ref()
        {
            settled.sent(data.len());
            if let Content::Passing(_, purpose) = this.content {
                settled.received(purpose, data.len());
            }
        }
        if let (Some(settled), Some(Err(error))) = (&mut this.settled, &frame) {
            settled.broke_off(error);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Full(bytes, trailers) => bytes.is_empty() && trailers.is_none(),
            Content::Pieces(pieces) => pieces.is_empty(),
            Content::Filling(reader) => reader.is_end_stream(),
            Content::Within(window) => window.is_end_stream(),
            Content::Passing(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Full(bytes, None) => SizeHint::with_exact(bytes.len() as u64),
            Content::Full(bytes, Some(_)) => {
                let mut hint = SizeHint::new();
                hint.set_lower(bytes.len() as u64);
                hint
            }
            Content::Pieces(pieces) => SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum()),
            Content::Filling(_) => SizeHint::new(),
            Content::Within(window) => window.size_hint(),
            Content::Passing(body, _) => body.size_hint(),
        }
    }
}

/// Trailers without those that may not be merged or forwarded (RFC 9110 §6.5.1).
fn forwardable(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(fields::forwardable_trailers(trailers)),
        Err(data) => data,
    }
}
