//! A world that changes: an origin in memory whose resources have histories, each with its own habits as a server.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use proptest::prelude::*;
use sha1::Digest as _;
use truehit::origin::{Origin, OriginError, Outgoing, Purpose};

use crate::house::NEW_YEAR;
use crate::script::ScriptBody;

/// How a resource's server tells versions apart, and what it does with questions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Habit {
    /// No validator at all.
    Nothing,
    /// A strong tag for each version.
    Strong,
    /// Express: a weak tag that is a digest.
    WeakDigest,
    /// A weak tag that two versions in a row share.
    WeakOpaque,
    /// nginx: seconds and length, said to be strong.
    Clock,
    /// FastAPI: no validator, and HEAD is 405.
    NoHead,
    /// Strong tags, and conditions are not looked at.
    IgnoresConditions,
    /// Strong tags that a 304 does not repeat.
    Bare304,
    /// A `Last-Modified` in whole seconds and nothing else.
    Dated,
}

/// A resource's server.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    pub habit: Habit,
    /// Whether each user has a representation of its own.
    pub personal: bool,
    /// Whether each language has one, and `Vary` says so.
    pub localised: bool,
    /// What it does with a `Range`.
    pub ranges: Ranges,
}

/// What a server does with a `Range`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ranges {
    /// It sends the whole.
    Ignored,
    /// It sends the part.
    Served,
    /// It sends the part, whatever `If-Range` says.
    Unconditional,
}

pub fn any_server() -> impl Strategy<Value = Server> {
    use Habit::*;
    let habits = [Nothing, Strong, WeakDigest, WeakOpaque, Clock, NoHead, IgnoresConditions, Bare304, Dated];
    let ranges = proptest::sample::select(vec![Ranges::Ignored, Ranges::Served, Ranges::Unconditional]);
    (proptest::sample::select(habits.to_vec()), any::<bool>(), any::<bool>(), ranges).prop_map(
        |(habit, personal, localised, ranges)| {
            // A clock tag is the same for all representations of a file: such a file has one.
            let one = habit == Clock;
            Server { habit, personal: personal && !one, localised: localised && !one, ranges }
        },
    )
}

/// What a resource was at some time.
#[derive(Clone, Copy, Debug)]
pub struct State {
    pub version: usize,
    pub exists: bool,
    modified: SystemTime,
}

/// Who asks for which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reader {
    pub user: u8,
    pub language: u8,
}

struct Resource {
    server: Server,
    history: Vec<State>,
    /// Becomes true right after the next answer has been made up.
    pending: Option<bool>,
}

/// The origin; clones share it.
#[derive(Clone)]
pub struct World {
    resources: Arc<Mutex<Vec<Resource>>>,
    start: tokio::time::Instant,
}

impl World {
    pub fn new(servers: &[Server]) -> Self {
        let world = Self { resources: Arc::default(), start: tokio::time::Instant::now() };
        let first = State { version: 0, exists: true, modified: world.wall() };
        let resource = |server: &Server| Resource { server: *server, history: vec![first], pending: None };
        *world.resources.lock().unwrap() = servers.iter().map(resource).collect();
        world
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + NEW_YEAR + self.start.elapsed()
    }

    /// Writes around the proxy.
    pub fn change(&self, resource: usize, exists: bool) {
        let modified = self.wall();
        let history = &mut self.resources.lock().unwrap()[resource].history;
        history.push(State { version: history.len(), exists, modified });
    }

    /// Writes as soon as the next answer has been made up, so that it is true no longer when it arrives.
    pub fn change_behind_next_answer(&self, resource: usize, exists: bool) {
        self.resources.lock().unwrap()[resource].pending = Some(exists);
    }

    /// How many states there have been; the last is the present one.
    pub fn age(&self, resource: usize) -> usize {
        self.resources.lock().unwrap()[resource].history.len()
    }

    /// The states that a request saw that began when there were `from` of them.
    pub fn since(&self, resource: usize, from: usize) -> Vec<State> {
        self.resources.lock().unwrap()[resource].history[from - 1..].to_vec()
    }

    pub fn server(&self, resource: usize) -> Server {
        self.resources.lock().unwrap()[resource].server
    }
}

impl Server {
    pub fn body(self, state: State, reader: Reader) -> String {
        let State { version, .. } = state;
        let user = if self.personal { reader.user } else { 0 };
        let language = if self.localised { reader.language } else { 0 };
        // Files are rewritten at the same length, where clocks alone can tell.
        let tail = if matches!(self.habit, Habit::Clock | Habit::Dated) { 0 } else { version % 3 };
        format!("version {version:06} for {user} in {language}{}", "!".repeat(tail))
    }

    pub fn tag(self, state: State, reader: Reader) -> Option<String> {
        let body = self.body(state, reader);
        let State { version, modified, .. } = state;
        match self.habit {
            Habit::Nothing | Habit::NoHead | Habit::Dated => None,
            Habit::Strong | Habit::IgnoresConditions | Habit::Bare304 => {
                Some(format!("\"{}\"", body.replace(' ', "-")))
            }
            Habit::WeakDigest => {
                let digest = base64::engine::general_purpose::STANDARD_NO_PAD.encode(sha1::Sha1::digest(&body));
                Some(format!("W/\"{:x}-{digest}\"", body.len()))
            }
            Habit::WeakOpaque => Some(format!("W/\"{}\"", version / 2)),
            Habit::Clock => {
                let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
                Some(format!("\"{seconds:x}-{:x}\"", body.len()))
            }
        }
    }

    fn answer(
        self,
        state: State,
        reader: Reader,
        method: &Method,
        asked: &HeaderMap,
        now: SystemTime,
    ) -> Response<ScriptBody> {
        if !state.exists {
            return plain(StatusCode::NOT_FOUND, if method == Method::HEAD { "" } else { "gone" });
        }
        if method == Method::HEAD && self.habit == Habit::NoHead {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "");
        }
        let body = self.body(state, reader);
        let mut fields = HeaderMap::new();
        let mut put =
            |name: header::HeaderName, value: &str| fields.insert(name, HeaderValue::from_str(value).unwrap());
        put(header::DATE, &httpdate::fmt_http_date(now));
        if self.localised {
            put(header::VARY, "Accept-Language");
        }
        let tag = self.tag(state, reader);
        let modified =
            matches!(self.habit, Habit::Clock | Habit::Dated).then(|| httpdate::fmt_http_date(state.modified));
        if let Some(modified) = &modified {
            put(header::LAST_MODIFIED, modified);
        }
        let named = |name| asked.get(name).map(|value: &HeaderValue| value.to_str().unwrap());
        let unchanged = match (named(header::IF_NONE_MATCH), &tag) {
            (Some(list), Some(tag)) => {
                list.split(", ").any(|known| known.trim_start_matches("W/") == tag.trim_start_matches("W/"))
            }
            (Some(_), None) => false,
            (None, _) => modified.is_some() && named(header::IF_MODIFIED_SINCE) == modified.as_deref(),
        } && self.habit != Habit::IgnoresConditions;
        if let Some(tag) = tag.filter(|_| !(unchanged && self.habit == Habit::Bare304)) {
            put(header::ETAG, &tag);
        }
        if method == Method::HEAD {
            put(header::CONTENT_LENGTH, &body.len().to_string());
        }
        let bare = unchanged || method == Method::HEAD;
        let part =
            named(header::RANGE).filter(|_| !bare && self.in_parts(named(header::IF_RANGE), fields.get(header::ETAG)));
        let mut answer = match part.and_then(|range| slice(range, body.len())) {
            Some((first, last)) if first <= last => {
                let range = format!("bytes {first}-{last}/{}", body.len());
                fields.insert(header::CONTENT_RANGE, HeaderValue::from_str(&range).unwrap());
                plain(StatusCode::PARTIAL_CONTENT, &body[first..=last])
            }
            Some(_) => plain(StatusCode::RANGE_NOT_SATISFIABLE, ""),
            None if unchanged => plain(StatusCode::NOT_MODIFIED, ""),
            None => plain(StatusCode::OK, if bare { "" } else { &body }),
        };
        answer.headers_mut().extend(fields);
        answer
    }

    fn in_parts(self, condition: Option<&str>, tag: Option<&HeaderValue>) -> bool {
        match self.ranges {
            Ranges::Ignored => false,
            Ranges::Unconditional => true,
            Ranges::Served => condition
                .is_none_or(|named| named.starts_with('"') && tag.is_some_and(|tag| tag.to_str().unwrap() == named)),
        }
    }
}

/// First and last of the one range that a `Range` asks for; the last before the first where there is none.
fn slice(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = last.parse().unwrap_or(length).min(length - 1);
    Some(if first < length { (first, last) } else { (1, 0) })
}

fn plain(status: StatusCode, content: &str) -> Response<ScriptBody> {
    let mut answer = Response::new(ScriptBody::whole(content));
    *answer.status_mut() = status;
    answer
}

impl Origin for World {
    type Body = ScriptBody;

    async fn send(&self, _: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<ScriptBody>, OriginError> {
        let (head, body) = outgoing().into_parts();
        let _content = body.collect().await.map_err(|error| OriginError::RequestIncomplete(error.to_string()))?;
        let resource: usize = head.uri.path().trim_start_matches('/').parse().unwrap();
        // Latency on both sides of the evaluation, so that others arrive and things change meanwhile.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let field =
            |name| head.headers.get(name).map_or(0, |value: &HeaderValue| value.to_str().unwrap().parse().unwrap());
        let reader = Reader { user: field(header::AUTHORIZATION), language: field(header::ACCEPT_LANGUAGE) };
        if head.method == Method::PUT {
            self.change(resource, true);
            return Ok(plain(StatusCode::NO_CONTENT, ""));
        }
        let (server, state) = (self.server(resource), *self.since(resource, self.age(resource)).last().unwrap());
        let answer = server.answer(state, reader, &head.method, &head.headers, self.wall());
        let pending = self.resources.lock().unwrap()[resource].pending.take();
        if let Some(exists) = pending {
            self.change(resource, exists);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(answer)
    }
}
