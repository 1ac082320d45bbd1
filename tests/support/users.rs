//! Users of an origin that shows each of them something of their own, and what they get through the proxy.
//!
//! Every content says for whom it was made: which host and page were asked for, whose cookie, credentials and tenant came
//! with the request; to nobody in particular, which session was opened. So a content that reached anybody else tells on
//! itself. The origin says as little as origins do: it names neither `Cookie` nor `Authorization` in `Vary`, unless a
//! world makes it. Time is tokio's, paused.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt, Empty};
use tokio::time::{sleep, timeout};
use truehit::origin::{Origin, OriginError, Outgoing, Purpose};
use truehit::rules::policy::{Credentials, Verify};
use truehit::server::{InterimSink, Peer};

use crate::dice::Dice;
use crate::house::House;
use crate::register::PacedBody;

/// What a tag tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// Versions of a page and tenants: no more than RFC 9110 §8.8.1 asks for where the key tells users and hosts apart.
    OfPages,
    /// Users too.
    OfUsers,
    /// Versions of a page and tenants, and a 304 does not repeat them: it is no use where bodies are shared by check.
    Unrepeated,
}

/// Who asks for what, and how the proxy is told to treat it.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// The policy, for `Authorization` and for cookies.
    pub credentials: Credentials,
    pub verify: Verify,
    pub tags: Tags,
    /// Whether the origin names `Cookie` and `Authorization` in `Vary`.
    pub varies: bool,
    pub users: u64,
    /// How many tenants, whom `Vary` tells apart; and of a thousand answers, how many have a new version of their page.
    pub tenants: u64,
    pub changing: u64,
    /// How many clients ask at a time, and how often each.
    pub clients: u64,
    pub requests: u64,
    /// Of a thousand requests, how many are given up before the last byte.
    pub leaving: u64,
    pub seed: u64,
}

/// What came of it.
pub struct Seen {
    /// Contents that reached somebody else than they were made for.
    pub foreign: Vec<String>,
    /// Replies that were whole, requests that were given up.
    pub whole: usize,
    pub left: usize,
    /// Replies that came from an exchange of somebody else's.
    pub collapsed: usize,
    /// Replies that came from the store, one way or the other.
    pub stored: usize,
    pub house: House<Private>,
}

const HOSTS: u64 = 2;
const PAGES: u64 = 4;
/// Half of the requests are those of so many users.
const BUSY: u64 = 3;
/// The longest wait at the origin, in milliseconds.
const WAIT_MS: u64 = 10;

/// The origin; clones are the same one.
#[derive(Clone)]
pub struct Private(Arc<Inner>);

struct Inner {
    world: World,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    versions: Vec<u64>,
    sessions: u64,
}

/// Whom a content is for: everything about a request that the origin looks at, but for the page's version.
fn addressee(host: &str, path: &str, fields: &HeaderMap) -> String {
    let of = |name: &str| fields.get(name).map_or("none", |value| value.to_str().unwrap()).to_owned();
    let (cookie, authorization, tenant) = (of("cookie"), of("authorization"), of("x-tenant"));
    format!("{host}{path} cookie {cookie} authorization {authorization} tenant {tenant}")
}

fn content(addressee: &str, version: u64, session: Option<u64>) -> String {
    let mut text = String::new();
    let session = session.map_or(String::new(), |number| format!(" session {number}"));
    for line in 0..4 {
        writeln!(text, "for {addressee}; version {version}{session}; line {line}").unwrap();
    }
    text
}

impl Private {
    fn locked<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.state.lock().unwrap())
    }

    fn answer(&self, request: &request::Parts) -> Response<PacedBody> {
        let world = self.0.world;
        let (fields, path) = (&request.headers, request.uri.path());
        let page: usize = path.strip_prefix("/page/").and_then(|page| page.parse().ok()).expect("a path of the test");
        let anonymous = !fields.contains_key(header::COOKIE) && !fields.contains_key(header::AUTHORIZATION);
        let (version, session, pauses) = self.locked(|state| {
            if state.dice.below(1000) < world.changing {
                state.versions[page] += 1;
            }
            state.sessions += u64::from(anonymous);
            let pauses = (0..state.dice.below(2)).map(|_| state.dice.wait(WAIT_MS)).collect();
            (state.versions[page], anonymous.then_some(state.sessions), pauses)
        });
        let host = fields[header::HOST].to_str().unwrap();
        let addressee = addressee(host, path, fields);
        let tenant = fields.get("x-tenant").map_or("none", |value| value.to_str().unwrap());
        let mut tag = format!("\"{version}-{tenant}");
        if world.tags == Tags::OfUsers {
            tag.extend(addressee.bytes().filter(u8::is_ascii_alphanumeric).map(char::from));
        }
        tag.push('"');
        let asked = fields.get(header::IF_NONE_MATCH).and_then(|list| list.to_str().ok()).unwrap_or_default();
        let unchanged = asked.split(',').any(|one| one.trim() == tag);
        let mut response = Response::new(PacedBody::empty());
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            let content = Bytes::from(content(&addressee, version, session));
            response.headers_mut().insert(header::CONTENT_LENGTH, content.len().into());
            *response.body_mut() = PacedBody::new(&content, pauses);
        }
        let own = response.headers_mut();
        if !unchanged || world.tags != Tags::Unrepeated {
            own.insert(header::ETAG, HeaderValue::try_from(tag).unwrap());
        }
        let vary = if world.varies { "x-tenant, cookie, authorization" } else { "x-tenant" };
        own.insert(header::VARY, HeaderValue::from_static(vary));
        let cache = if page == 0 { "private, max-age=1" } else { "max-age=1" };
        own.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        if let Some(session) = session {
            own.insert(header::SET_COOKIE, HeaderValue::try_from(format!("sid=session{session}")).unwrap());
        }
        response
    }
}

impl Origin for Private {
    type Body = PacedBody;

    async fn send(&self, _purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<PacedBody>, OriginError> {
        let (request, _) = outgoing().into_parts();
        let (before, after) = self.locked(|state| (state.dice.wait(WAIT_MS), state.dice.wait(WAIT_MS)));
        sleep(before + Duration::from_millis(1)).await;
        let response = self.answer(&request);
        sleep(after).await;
        Ok(response)
    }
}

/// Lets all clients of a world ask, and looks at what they get.
pub async fn visit(world: World) -> Seen {
    let versions = vec![0; usize::try_from(PAGES).unwrap()];
    let state = State { dice: Dice::new(world.seed), versions, sessions: 0 };
    let origin = Private(Arc::new(Inner { world, state: Mutex::new(state) }));
    let house = House::with(origin, |policy| {
        policy.verify = world.verify;
        (policy.authorization, policy.cookies) = (world.credentials, world.credentials);
    });
    let sessions = Arc::default();
    let clients: Vec<_> = (0..world.clients)
        .map(|at| {
            let dice = Dice::new(world.seed ^ (0xc11e << 32) ^ at);
            let client = Client { world, house: house.clone(), dice, sessions: Arc::clone(&sessions) };
            tokio::spawn(client.ask_on())
        })
        .collect();
    let mut seen = Seen { foreign: Vec::new(), whole: 0, left: 0, collapsed: 0, stored: 0, house };
    for client in clients {
        for got in client.await.unwrap() {
            match got {
                Got::Left => seen.left += 1,
                Got::Foreign(what) => seen.foreign.push(what),
                Got::Own { collapsed, stored } => {
                    seen.whole += 1;
                    seen.collapsed += usize::from(collapsed);
                    seen.stored += usize::from(stored);
                }
            }
        }
    }
    seen
}

enum Got {
    Left,
    Own { collapsed: bool, stored: bool },
    Foreign(String),
}

struct Client {
    world: World,
    house: House<Private>,
    dice: Dice,
    /// The sessions that somebody has been told of.
    sessions: Arc<Mutex<HashSet<String>>>,
}

impl Client {
    async fn ask_on(mut self) -> Vec<Got> {
        let mut all = Vec::new();
        for _ in 0..self.world.requests {
            let think = self.dice.wait(2 * WAIT_MS);
            sleep(think).await;
            let leaves = self.dice.below(1000) < self.world.leaving;
            let patience = if leaves { self.dice.wait(3 * WAIT_MS) } else { Duration::MAX };
            all.push(timeout(patience, self.ask()).await.unwrap_or(Got::Left));
        }
        all
    }

    async fn ask(&mut self) -> Got {
        let mut request = Request::new(Empty::<Bytes>::new());
        let path = format!("/page/{}", self.dice.below(PAGES));
        *request.uri_mut() = path.parse().unwrap();
        let host = format!("host{}.test", self.dice.below(HOSTS));
        self.dress(&host, request.headers_mut());
        let addressee = addressee(&host, &path, request.headers());
        let peer =
            Peer { address: SocketAddr::from(([127, 0, 0, 1], 40_000)), tls: false, interim: InterimSink::default() };
        let response = Arc::clone(&self.house.proxy).handle(request, peer).await;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        if head.status != StatusCode::OK || !self.is_for(&addressee, text) {
            return Got::Foreign(format!("{} to {addressee}: {text}", head.status));
        }
        let status = head.headers["cache-status"].to_str().unwrap();
        let stored = status.contains("detail=checked") || status.contains("; hit");
        Got::Own { collapsed: status.contains("; collapsed"), stored }
    }

    /// One user in three is known by a cookie, one by credentials, one by both; and one request in eight by neither.
    fn dress(&mut self, host: &str, fields: &mut HeaderMap) {
        let busy = self.dice.below(2) == 0;
        let user = self.dice.below(if busy { BUSY } else { self.world.users });
        let (anonymous, tenant) = (self.dice.below(8) == 0, self.dice.below(self.world.tenants));
        fields.insert(header::HOST, HeaderValue::try_from(host).unwrap());
        fields.insert("x-tenant", HeaderValue::try_from(format!("t{tenant}")).unwrap());
        if !anonymous && !user.is_multiple_of(3) {
            fields.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer u{user}")).unwrap());
        }
        if !anonymous && user % 3 != 1 {
            fields.insert(header::COOKIE, HeaderValue::try_from(format!("sid=u{user}")).unwrap());
        }
    }

    /// Whether a content was made for this request; of a session, whether nobody else was told of it.
    fn is_for(&self, addressee: &str, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(&format!("for {addressee}; version ")) else { return false };
        let said = rest.split(';').next().unwrap_or_default();
        let (version, session) = said.split_once(" session ").map_or((said, None), |(one, two)| (one, Some(two)));
        let Ok(version) = version.parse() else { return false };
        let own = session.is_none_or(|session| self.sessions.lock().unwrap().insert(session.to_owned()));
        own && text == content(addressee, version, session.map(|session| session.parse().unwrap()))
    }
}
