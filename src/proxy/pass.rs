//! Passing: a request that is none of a cache's business goes through unchanged, but for what RFC 9110 asks of an
//! intermediary, and so does its response.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, request, response};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;

use super::bounded::Bounded;
use super::target::{Target, origin_form};
use super::visit::{Ride, Visit};
use super::{Call, Proxy, reply};
use crate::body::{Body, Content};
use crate::metrics::EvictionCause;
use crate::origin::{BoxError, Origin, OriginError, Purpose, RequestBody};
use crate::rules::ask::Ask;
use crate::rules::decide::shared_by_check;
use crate::rules::groups::Groups;
use crate::rules::judge::{self, HeadUpdate};
use crate::rules::key::CacheKey;
use crate::rules::lookup::Lookup;
use crate::rules::moment::Now;
use crate::rules::outcome::{Kind, Outcome, PassReason};
use crate::rules::policy::Policy;
use crate::rules::refusal::Refusal;
use crate::rules::{fields, location};
use crate::store::Invalidation;

/// A request that passes.
pub(super) struct Passed<C> {
    pub(super) call: Box<Call<C>>,
    pub(super) why: PassReason,
    /// The request as a cache reads it, where it was one that might have been answered from the store.
    pub(super) ask: Option<Arc<Ask>>,
}

impl<O: Origin> Proxy<O> {
    /// Forwards a request and its response.
    pub(super) async fn pass<C>(self: &Arc<Self>, passed: Passed<C>, visit: Visit) -> Response<Body<O::Body>>
    where
        C: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
    {
        let Passed { call, why, ask } = passed;
        let Call { mut head, content, target, peer, .. } = *call;
        let upgrade = (why == PassReason::Upgrade || fields::is_upgrade(&head.headers))
            .then(|| head.extensions.remove::<hyper::upgrade::OnUpgrade>())
            .flatten();
        let protocol = head.headers.get(header::UPGRADE).cloned();
        let posted = self.posted(&head, &content, &target, &peer);
        let hop = self.hop(head.version, &target, &peer);
        let is_query = content.is_query();
        let content = Bounded::new(content, self.config.limits.content_bytes);
        let body = if content.is_end_stream() { RequestBody::Empty } else { RequestBody::Stream(stream(content)) };
        let mut body = Some(body);
        let mut outgoing = || {
            // Made again, the request is one without content.
            let mut request = Request::new(body.take().unwrap_or_default());
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = origin_form(&head.uri);
            *request.headers_mut() = hop.leaving(&head.headers, |_| false);
            if let (Some(_), Some(protocol)) = (&upgrade, &protocol) {
                request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                request.headers_mut().insert(header::UPGRADE, protocol.clone());
            }
            self.forward_interim(&peer.interim, &mut request);
            request
        };

        let sent = self.watch.clock.now();
        let response = self.origin.send(Purpose::Pass, &mut outgoing).await;
        let answered = self.watch.clock.now();
        let took = answered.at.since(sent.at);
        self.watch.metrics.origin(Purpose::Pass, response.as_ref().map(Response::status), took);
        let response = match response {
            Ok(response) => response,
            Err(OriginError::RequestTooLong) => return self.render_refused(visit, Refusal::ContentTooLong),
            Err(error) => return self.render_failed(visit, &error, Ride::default()),
        };
        let invalidated = match is_query || is_safe(&head.method) {
            true => None,
            false => self.invalidate(&head, &target, response.status(), response.headers()),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.tunnel(visit, upgrade, response);
        }
        let (mut parts, body) = response.into_parts();
        if let Some(ask) = ask.filter(|ask| ask.head_only) {
            self.freshen_by_head(&ask, visit.policy(), &parts, sent.wall, answered);
        }
        fields::remove_hop_by_hop(&mut parts.headers);
        let (content, stored) = match self.record(posted.zip(invalidated), &target, &parts, body) {
            Ok(reader) => (Content::Filling(reader), true),
            Err(body) => (Content::Passing(Box::new(body), Purpose::Pass), false),
        };
        let outcome = Outcome { fwd_status: Some(parts.status), stored, ..Outcome::new(Kind::Pass, why.as_str()) };
        let settled = visit.settle(outcome, parts.status, Ride::default());
        reply::sign(&mut parts, &settled, &self.marks.via);
        Response::from_parts(parts, Body::new(content, settled))
    }

    /// Invalidates what an unsafe request does, stored or being fetched, before its response goes out; `None` where its
    /// target is not among it.
    ///
    /// RFC 9111 §4.4: where it succeeded, the target URI, and what `Location` and `Content-Location` name on the same
    /// origin. RFC 9875 §3: whatever belongs to a group that `Cache-Group-Invalidation` names, with any status: the
    /// origin says what it has changed, also where it failed half-way.
    fn invalidate(
        &self,
        head: &request::Parts,
        target: &Target,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Option<Invalidation> {
        let own = head.uri.path_and_query()?;
        let origin = CacheKey::new(target.scheme, target.authority(), own.as_str(), &[]).origin_hash();
        let mut marks: Vec<u64> = Groups::invalidated_by(fields).hashes(origin).collect();
        let succeeded = status.is_success() || status.is_redirection();
        if succeeded {
            self.mark_target(target, own, &mut marks);
            for value in [header::LOCATION, header::CONTENT_LOCATION].iter().filter_map(|name| fields.get(name)) {
                let named = location::target_on_same_origin(target.scheme, target.authority(), own.as_str(), value);
                if let Some(named) = named {
                    self.mark_target(target, &named, &mut marks);
                }
            }
        }
        if marks.is_empty() {
            return None;
        }
        let invalidation = self.shared.store.invalidate(&marks, Groups::of(fields).hashes(origin));
        succeeded.then_some(invalidation)
    }

    /// RFC 9111 §4.3.5: the 200 to a HEAD freshens a stored GET response that it describes, and one that it contradicts
    /// is stale.
    fn freshen_by_head(&self, ask: &Ask, policy: &Policy, answer: &response::Parts, asked: SystemTime, now: Now) {
        let store = &self.shared.store;
        let lookup = Lookup::select(store.lookup(&ask.key), &ask.fields);
        for stored in lookup.variants().filter(|variant| variant.selected_by(&ask.fields)) {
            match judge::head_update(stored, answer, ask, policy, asked, now) {
                HeadUpdate::Freshened(fresh) => self.put(ask, &ask.key, fresh, shared_by_check(policy)),
                HeadUpdate::Differs => {
                    store.remove(&ask.key, stored);
                    self.watch.metrics.evicted(EvictionCause::Invalidated);
                }
                HeadUpdate::Silent => {}
            }
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

/// RFC 9110 §9.2.1, and RFC 10008 §2: QUERY is safe too. A method that is not known is not.
fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY")
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
