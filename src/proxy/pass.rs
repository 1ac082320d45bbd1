//! Passing: a request that is none of a cache's business goes through unchanged, but for what RFC 9110 asks of an
//! intermediary, and so does its response.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;

use super::target::{Target, origin_form};
use super::visit::{Ride, Visit};
use super::{Proxy, reply};
use crate::body::{Body, Content};
use crate::origin::{BoxError, Origin, Purpose, RequestBody};
use crate::rules::fields;
use crate::rules::outcome::{Kind, Outcome, PassReason};
use crate::server::Peer;

impl<O: Origin> Proxy<O> {
    /// Forwards a request and its response.
    pub(super) async fn pass<C>(
        &self,
        mut head: request::Parts,
        content: C,
        target: &Target,
        peer: &Peer,
        visit: Visit,
        why: PassReason,
    ) -> Response<Body<O::Body>>
    where
        C: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
    {
        let upgrade = (why == PassReason::Upgrade || fields::is_upgrade(&head.headers))
            .then(|| head.extensions.remove::<hyper::upgrade::OnUpgrade>())
            .flatten();
        let protocol = head.headers.get(header::UPGRADE).cloned();
        fields::remove_hop_by_hop(&mut head.headers);
        let mut outgoing = std::mem::take(&mut head.headers);
        self.prepare(&mut outgoing, &head, target, peer);
        if let (Some(_), Some(protocol)) = (&upgrade, protocol) {
            outgoing.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            outgoing.insert(header::UPGRADE, protocol);
        }
        let body = if content.is_end_stream() { RequestBody::Empty } else { RequestBody::Stream(stream(content)) };
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = origin_form(&head.uri);
        *request.headers_mut() = outgoing;

        let sent = self.watch.clock.moment();
        let response = self.origin.send(Purpose::Pass, request).await;
        let took = self.watch.clock.moment().since(sent);
        self.watch.metrics.origin(Purpose::Pass, response.as_ref().map(Response::status), took);
        let mut response = match response {
            Ok(response) => response,
            Err(error) => return self.render_failed(visit, &error, Ride::default()),
        };
        self.invalidate(&head, target, response.status());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.tunnel(visit, upgrade, response);
        }
        fields::remove_hop_by_hop(response.headers_mut());
        let outcome = Outcome { fwd_status: Some(response.status()), ..Outcome::new(Kind::Pass, why.as_str()) };
        let (mut parts, body) = response.into_parts();
        let settled = visit.settle(outcome, parts.status, Ride::default());
        reply::sign(&mut parts, settled.outcome(), &self.via);
        Response::from_parts(parts, Body::new(Content::Passing(body, Purpose::Pass), settled))
    }

    /// RFC 9111 §4.4: an unsafe request that succeeded invalidates what is stored for its target URI, and what is
    /// being fetched for it. This happens before its response goes out.
    fn invalidate(&self, head: &request::Parts, target: &Target, status: StatusCode) {
        let safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        if safe || !(status.is_success() || status.is_redirection()) {
            return;
        }
        if let Some(path_and_query) = head.uri.path_and_query() {
            self.invalidate_target(target, path_and_query);
        }
    }

    /// Both sides changed the protocol: bytes go both ways until either side is done.
    fn tunnel(
        &self,
        visit: Visit,
        client: Option<hyper::upgrade::OnUpgrade>,
        mut response: Response<O::Body>,
    ) -> Response<Body<O::Body>> {
        let origin = response.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
        if let Some((client, origin)) = client.zip(origin) {
            let busy = self.shared.drain.busy();
            tokio::spawn(async move {
                let (Ok(client), Ok(origin)) = tokio::join!(client, origin) else { return };
                let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
                tokio::select! {
                    () = busy.cut() => tracing::debug!("an upgraded connection was cut by the drain"),
                    copied = tokio::io::copy_bidirectional(&mut client, &mut origin) => {
                        if let Err(error) = copied {
                            tracing::debug!(%error, "an upgraded connection ended");
                        }
                    }
                }
            });
        }
        let protocol = response.headers().get(header::UPGRADE).cloned();
        fields::remove_hop_by_hop(response.headers_mut());
        let (mut parts, _no_content) = response.into_parts();
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(header::UPGRADE, protocol);
        }
        let outcome =
            Outcome { fwd_status: Some(parts.status), ..Outcome::new(Kind::Pass, PassReason::Upgrade.as_str()) };
        let settled = visit.settle(outcome, parts.status, Ride::default());
        Response::from_parts(parts, Body::new(Content::Empty, settled))
    }
}

/// A client's content on its way to the origin.
fn stream<C>(content: C) -> http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>
where
    C: http_body::Body<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    let forwardable = content.map_err(Into::into).map_frame(|frame| match frame.into_trailers() {
        Ok(trailers) => http_body::Frame::trailers(fields::forwardable_trailers(trailers)),
        Err(data) => data,
    });
    forwardable.boxed_unsync()
}
