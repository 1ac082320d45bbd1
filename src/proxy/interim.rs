//! Interim responses: from the origin's connection to that of the client whose request it was.

use std::sync::Arc;

use http::Request;

use super::Proxy;
use crate::origin::{Origin, RequestBody};
use crate::rules::interim;
use crate::server::InterimSink;

impl<O: Origin> Proxy<O> {
    /// Has the interim responses to `request` forwarded. They reach the client that `sink` belongs to and nobody else:
    /// those who wait for the same answer did not ask with these fields.
    pub(super) fn forward_interim(&self, sink: &InterimSink, request: &mut Request<RequestBody>) {
        if sink.is_nowhere() {
            return;
        }
        let (sink, metrics, marks) = (sink.clone(), Arc::clone(&self.watch.metrics), Arc::clone(&self.marks));
        hyper::ext::on_informational(request, move |response| {
            if !interim::is_forwarded(response.status()) {
                return;
            }
            let head = || interim::head(response.status(), response.headers(), response.version(), &marks.via);
            // What will not be forwarded is not rendered: an origin may send them without end.
            if !(sink.accepts() && sink.push(&head())) {
                metrics.interim_dropped();
            }
        });
    }
}
