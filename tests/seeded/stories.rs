//! Faults that show in a story of a few requests, told in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use tokio::time::sleep;
use truehit::faults::Fault;
use truehit::origin::{Origin, OriginError, Outgoing, Purpose};
use truehit::rules::policy::{Credentials, Policy, Verify};

use crate::holds_unless;
use crate::house::House;
use crate::register::PacedBody;

/// How long the origin takes: this before it looks, and again before it answers.
const HALF: Duration = Duration::from_millis(5);

/// An origin with one representation: a POST writes its next version, and every answer is good for ten seconds.
#[derive(Clone, Default)]
struct Page(Arc<AtomicU64>);

impl Origin for Page {
    type Body = PacedBody;

    async fn send(&self, _purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<PacedBody>, OriginError> {
        let method = outgoing().method().clone();
        sleep(HALF).await;
        let written = u64::from(method == Method::POST);
        let version = self.0.fetch_add(written, Ordering::Relaxed) + written;
        // A write is acknowledged sooner than a read is answered.
        sleep(if method == Method::POST { Duration::ZERO } else { HALF }).await;
        let content = Bytes::from(format!("version {version}"));
        let mut response = Response::new(PacedBody::new(&content, Vec::new()));
        response.headers_mut().insert(header::CONTENT_LENGTH, content.len().into());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=10"));
        Ok(response)
    }
}

fn house(adjust: impl Fn(&mut Policy)) -> (Page, House<Page>) {
    let page = Page::default();
    (page.clone(), House::with(page, adjust))
}

/// What is wrong with a reply that should have this version.
async fn wrong(house: &House<Page>, version: u64) -> Option<String> {
    let reply = house.get("/").await;
    let stale = reply.text() != format!("version {version}");
    stale.then(|| format!("{}, not version {version}: {}", reply.text(), reply.cache_status()))
}

#[tokio::test(start_paused = true)]
async fn what_has_outlived_its_freshness_and_is_served_is_found_out() {
    holds_unless(Fault::FreshForEver, async || {
        let (page, house) = house(|policy| policy.verify = Verify::WhenStale);
        let mut found: Vec<_> = wrong(&house, 0).await.into_iter().collect();
        page.0.store(1, Ordering::Relaxed);
        sleep(Duration::from_secs(5)).await;
        found.extend(wrong(&house, 0).await.map(|what| format!("within its lifetime: {what}")));
        sleep(Duration::from_secs(6)).await;
        found.extend(wrong(&house, 1).await);
        found
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_in_when_a_write_succeeded_is_found_out() {
    holds_unless(Fault::ForgetWrites, async || {
        let (_, house) = house(|policy| policy.verify = Verify::Lease(Duration::from_secs(60)));
        let early = tokio::spawn({
            let house = house.clone();
            async move { wrong(&house, 0).await }
        });
        // The read has been evaluated when the write is; its answer is still on its way when that of the write is here.
        sleep(Duration::from_millis(1)).await;
        house.send_content("POST", "/", "next").await;
        let mut found: Vec<_> = early.await.unwrap().into_iter().collect();
        found.extend(wrong(&house, 1).await);
        found
    })
    .await;
}

/// An origin that shows each user a page of their own under one tag, and says 304 to it without repeating it.
#[derive(Clone)]
struct Mine;

impl Origin for Mine {
    type Body = PacedBody;

    async fn send(&self, _purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<PacedBody>, OriginError> {
        let (request, _) = outgoing().into_parts();
        sleep(HALF).await;
        let mut response = Response::new(PacedBody::empty());
        if request.headers.contains_key(header::IF_NONE_MATCH) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let content = Bytes::from(format!("the page of {}", request.headers[header::COOKIE].to_str().unwrap()));
        response.headers_mut().insert(header::CONTENT_LENGTH, content.len().into());
        response.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"1\""));
        *response.body_mut() = PacedBody::new(&content, Vec::new());
        Ok(response)
    }
}

/// Such an origin breaks what tags are for, and a 304 that named the tag would be believed; but one that names none says
/// nothing of who may see what. (The first 304s are held against a full GET, and so are upheld: they are Ann's own.)
#[tokio::test(start_paused = true)]
async fn a_304_that_does_not_say_which_and_is_believed_is_found_out() {
    holds_unless(Fault::BelieveBare, async || {
        let house = House::with(Mine, |policy| policy.cookies = Credentials::Checked);
        let mut found = Vec::new();
        for who in ["ann", "ann", "ann", "bob"] {
            let reply = house.get_with("/", &[("cookie", who)]).await;
            if reply.text() != format!("the page of {who}") {
                found.push(format!("{who} got {}: {}", reply.text(), reply.cache_status()));
            }
        }
        found
    })
    .await;
}
