//! `Tracked`: a response's body on its way to a client, which keeps its request under way.
//!
//! hyper takes whatever a body gives, so a large piece would be held until its client has read it, with nobody to say
//! for how long. Over HTTP/2 a body is given in pieces of [`PIECE`] bytes, each when the one before has got its window: a
//! client that opens none holds one piece, and [`Streams`](super::streams::Streams) sees that it does. HTTP/1.1 has one
//! response at a time, whose time is the connection's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::activity::UnderWay;
use super::streams;

/// How many bytes are given at a time over HTTP/2: a frame of the usual size.
const PIECE: usize = 16 * 1024;

pin_project! {
    /// A response body that keeps its request under way.
    pub(super) struct Tracked<B> {
        #[pin]
        body: B,
        under_way: UnderWay,
        // Over HTTP/2, what the body gave and has not gone on.
        rest: Option<Bytes>,
    }
}

impl<B> Tracked<B> {
    /// The body of a response over HTTP/2 if `in_pieces`, and over HTTP/1.1 otherwise.
    pub(super) const fn new(body: B, under_way: UnderWay, in_pieces: bool) -> Self {
        Self { body, under_way, rest: if in_pieces { Some(Bytes::new()) } else { None } }
    }
}

/// The next piece of what is left. The last piece of something large is copied: it may be held for long, and would hold
/// all of that.
fn piece_of(rest: &mut Bytes, whole: bool) -> Bytes {
    if rest.len() > PIECE {
        return rest.split_to(PIECE);
    }
    let last = std::mem::take(rest);
    if whole { last } else { Bytes::copy_from_slice(&last) }
}

impl<B: Body<Data = Bytes>> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let Some(rest) = this.rest else { return this.body.poll_frame(cx) };
        if !rest.is_empty() {
            streams::given();
            return Poll::Ready(Some(Ok(Frame::data(piece_of(rest, false)))));
        }
        streams::asked();
        let frame = ready!(this.body.poll_frame(cx));
        streams::given();
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(data) => {
                    *rest = data;
                    Frame::data(piece_of(rest, true))
                }
                Err(trailers) => trailers,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(Bytes::is_empty) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.size_hint();
        let rest = self.rest.as_ref().map_or(0, |rest| rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::FutureExt;
    use http::Version;
    use http_body_util::{BodyExt, Full};
    use proptest::prelude::*;

    use super::super::activity::Activity;
    use super::*;

    fn tracked(content: Vec<u8>, in_pieces: bool) -> Tracked<Full<Bytes>> {
        let activity = Arc::new(Activity::new(Duration::from_secs(1), Duration::from_secs(1)));
        Tracked::new(Full::new(content.into()), activity.begin(Version::HTTP_2), in_pieces)
    }

    #[tokio::test]
    async fn one_response_at_a_time_goes_out_as_it_is() {
        let mut body = tracked(vec![0; 10 * PIECE], false);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 10 * PIECE);
        assert!(body.is_end_stream());
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole_in_order_and_say_how_much_is_left(content in proptest::collection::vec(any::<u8>(), 0..3 * PIECE)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _entered = runtime.enter();
            let mut body = tracked(content.clone(), true);
            let mut all = Vec::new();
            while let Some(frame) = body.frame().now_or_never().unwrap() {
                let piece = frame.unwrap().into_data().unwrap();
                prop_assert!(piece.len() <= PIECE);
                all.extend_from_slice(&piece);
                prop_assert_eq!(body.size_hint().exact(), Some((content.len() - all.len()) as u64));
                prop_assert_eq!(body.is_end_stream(), all.len() == content.len());
            }
            prop_assert_eq!(all, content);
        }
    }
}
