//! The origin of a row: it answers as the step says, and where the step says that nothing changed, it answers any kind of
//! check in accordance with what it answered last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::Instant;
use truehit::origin::{OriginError, Outgoing, Purpose};

use crate::house::NEW_YEAR;
use crate::row::{Answer, Expectation, How, Question, asked, duration};

/// The wall time that the proxy's clock shows, told from the same paused clock.
#[derive(Clone, Copy)]
pub(crate) struct Wall(Instant);

impl Wall {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    /// A value with its dates filled in.
    pub(crate) fn fill(self, value: &str) -> String {
        let mut filled = String::new();
        let mut rest = value;
        while let Some((before, (date, after))) =
            rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        {
            filled.push_str(before);
            filled.push_str(&self.date(date).unwrap_or_else(|| panic!("{{{date}}} is no date")));
            rest = after;
        }
        filled + rest
    }

    fn date(self, text: &str) -> Option<String> {
        let (text, form) = text.split_once('|').map_or((text, ""), |(text, form)| (text, form));
        let (since, shift) = match (text.strip_prefix("now"), text.strip_prefix("start")) {
            (Some(shift), _) => (self.0.elapsed(), shift),
            (_, Some(shift)) => (Duration::ZERO, shift),
            _ => return None,
        };
        let base = NEW_YEAR + since;
        let at = match shift.split_at_checked(1) {
            None => base,
            Some(("+", later)) => base + duration(later)?,
            Some(("-", earlier)) => base.checked_sub(duration(earlier)?)?,
            Some(_) => return None,
        };
        Some(written(SystemTime::UNIX_EPOCH + at, form))
    }
}

/// A date in the preferred form, or in one of the obsolete ones (RFC 9110 §5.6.7).
fn written(at: SystemTime, form: &str) -> String {
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let date = httpdate::fmt_http_date(at);
    let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    match form {
        "850" => {
            let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
            let weekday = days.into_iter().find(|weekday| weekday.starts_with(&date[..3])).unwrap();
            format!("{weekday}, {day}-{month}-{} {time} GMT", &year[2..])
        }
        "asctime" => format!("{} {month} {:>2} {time} {year}", &date[..3], day.trim_start_matches('0')),
        _ => date,
    }
}

/// The origin; clones share it.
#[derive(Clone)]
pub(crate) struct Origin(Arc<Inner>);

struct Inner {
    wall: Wall,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The client's request: conditions that it has itself are not the cache's own.
    client: Option<HeaderMap>,
    client_method: Method,
    questions: VecDeque<Question>,
    /// Whether checks are answered in accordance with what was answered last.
    unchanged: bool,
    /// What was answered: what was asked for, the request's fields, the answer.
    given: Vec<(String, HeaderMap, Answer)>,
    asked: Vec<String>,
    faults: Vec<String>,
}

/// What came to the origin in one step.
pub(crate) struct Came {
    pub(crate) asked: Vec<String>,
    pub(crate) left: usize,
    pub(crate) faults: Vec<String>,
}

impl Origin {
    pub(crate) fn new(wall: Wall) -> Self {
        Self(Arc::new(Inner { wall, state: Mutex::default() }))
    }

    /// Begins a step: what a client asks, what will be asked here, or whether nothing has changed.
    pub(crate) fn expect(&self, method: &Method, client: &HeaderMap, questions: &[Question], unchanged: bool) {
        let mut state = self.0.state.lock().unwrap();
        state.client = Some(client.clone());
        state.client_method = method.clone();
        state.questions = questions.iter().cloned().collect();
        state.unchanged = unchanged;
    }

    /// What came since the step began.
    pub(crate) fn came(&self) -> Came {
        let mut state = self.0.state.lock().unwrap();
        Came {
            asked: std::mem::take(&mut state.asked),
            left: std::mem::take(&mut state.questions).len(),
            faults: std::mem::take(&mut state.faults),
        }
    }

    fn answer(&self, request: &http::request::Parts, content: &str) -> Result<Response<Content>, OriginError> {
        let mut state = self.0.state.lock().unwrap();
        state.asked.push(shown(request));
        let target = asked(request.method.as_str(), &request.uri.to_string(), content);
        let own_probe = request.method == Method::HEAD && state.client_method != Method::HEAD;
        if state.unchanged {
            let Some(answer) = state.last(&target, &request.headers) else {
                return Err(state.fault(format!("nothing was answered before: {}", shown(request))));
            };
            return Ok(self.unchanged(&answer, request));
        }
        if own_probe {
            // An origin that answers HEAD with 405 is asked by GET from then on.
            return Ok(self.render(&Answer::bare(405), request));
        }
        let Some(question) = state.questions.pop_front() else {
            return Err(state.fault(format!("the origin was asked: {}", shown(request))));
        };
        let conditions = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
        let has = |head: &HeaderMap| conditions.iter().any(|name| head.contains_key(name));
        // What passes has the client's own.
        let own = has(&request.headers) && !state.client.as_ref().is_some_and(has);
        match question.how {
            How::Miss if own => {
                return Err(state.fault(format!("the origin was asked with conditions: {}", shown(request))));
            }
            How::Check if !has(&request.headers) => {
                return Err(state.fault(format!("the origin was asked without conditions: {}", shown(request))));
            }
            How::Miss | How::Check | How::Any => {}
        }
        if let Some(fault) = question.with.iter().find_map(|expected| expected.fault(&request.headers, self.0.wall)) {
            return Err(state.fault(format!("{fault}, in the question {}", shown(request))));
        }
        let Some(mut answer) = question.answer else { return Err(OriginError::ConnectionRefused) };
        for (_, value) in &mut answer.fields {
            *value = self.0.wall.fill(value);
        }
        if answer.status != 304 {
            state.given.push((target, request.headers.clone(), answer.clone()));
        }
        Ok(self.render(&answer, request))
    }

    /// The answer to a check of what has not changed.
    fn unchanged(&self, answer: &Answer, request: &http::request::Parts) -> Response<Content> {
        let field = |name: &str| answer.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let asked = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
        let named = asked(header::IF_NONE_MATCH).zip(field("etag")).is_some_and(|(list, tag)| list.contains(tag));
        let dated = !request.headers.contains_key(header::IF_NONE_MATCH)
            && asked(header::IF_MODIFIED_SINCE).is_some_and(|since| Some(since) == field("last-modified"));
        let mut current = answer.clone();
        if named || dated {
            (current.status, current.content) = (304, String::new());
            current.fields.retain(|(name, _)| ["etag", "last-modified", "vary"].contains(&name.as_str()));
        } else {
            // This origin made the answer now.
            current.fields.retain(|(name, _)| name != "age");
        }
        self.render(&current, request)
    }

    fn render(&self, answer: &Answer, request: &http::request::Parts) -> Response<Content> {
        let mut fields = HeaderMap::new();
        for (name, value) in &answer.fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            fields.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut add = |name: HeaderName, value: String| {
            if !fields.contains_key(&name) && !answer.without.iter().any(|without| without == name.as_str()) {
                fields.insert(name, HeaderValue::try_from(value).unwrap());
            }
        };
        add(header::DATE, self.0.wall.fill("{now}"));
        let empty = request.method == Method::HEAD || matches!(answer.status, 204 | 304);
        if !matches!(answer.status, 204 | 304) && !answer.cut {
            add(header::CONTENT_LENGTH, answer.content.len().to_string());
        }
        let bytes = Bytes::copy_from_slice(answer.content.as_bytes());
        let content = if answer.cut {
            // Not at once, so that its head has gone out.
            let broken = stream::once(async {
                tokio::task::yield_now().await;
                Err(OriginError::ResponseIncomplete("it breaks off here".to_owned()))
            });
            BodyExt::boxed(StreamBody::new(stream::iter([Ok(Frame::data(bytes))]).chain(broken)))
        } else {
            Full::new(if empty { Bytes::new() } else { bytes }).map_err(|never| match never {}).boxed()
        };
        let mut response = Response::new(content);
        *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap();
        *response.headers_mut() = fields;
        response
    }
}

type Content = BoxBody<Bytes, OriginError>;

impl truehit::origin::Origin for Origin {
    type Body = Content;

    async fn send(&self, _: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<Content>, OriginError> {
        let (head, body) = outgoing().into_parts();
        let content = body.collect().await.map_err(|error| OriginError::RequestIncomplete(error.to_string()))?;
        self.answer(&head, &String::from_utf8_lossy(&content.to_bytes()))
    }
}

impl State {
    fn fault(&mut self, fault: String) -> OriginError {
        self.faults.push(fault.clone());
        OriginError::Protocol(fault)
    }

    /// What was answered last for this target, if possible to the same user and the same selecting fields.
    fn last(&self, target: &str, request: &HeaderMap) -> Option<Answer> {
        let lines = |head: &HeaderMap, name: &str| head.get_all(name).iter().cloned().collect::<Vec<_>>();
        let same = |own: &HeaderMap, answer: &Answer| {
            let vary = answer.fields.iter().filter(|(name, _)| name == "vary").flat_map(|(_, value)| value.split(','));
            let named = vary.map(str::trim).filter(|name| HeaderName::from_bytes(name.as_bytes()).is_ok());
            named.chain(["authorization", "cookie"]).all(|name| lines(own, name) == lines(request, name))
        };
        let of_target = || self.given.iter().rev().filter(|(known, ..)| known == target);
        let found = of_target().find(|(_, own, answer)| same(own, answer)).or_else(|| of_target().next());
        found.map(|(.., answer)| answer.clone())
    }
}

impl Answer {
    fn bare(status: u16) -> Self {
        Self { status, content: String::new(), fields: Vec::new(), without: Vec::new(), cut: false }
    }
}

impl Expectation {
    /// What is wrong with `head`.
    pub(crate) fn fault(&self, head: &HeaderMap, wall: Wall) -> Option<String> {
        let came = |name: &str| {
            let lines: Vec<_> =
                head.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
            (!lines.is_empty()).then(|| lines.join(", "))
        };
        let (holds, name, expected) = match self {
            Self::Is(name, value) => {
                let value = wall.fill(value);
                (came(name).as_deref() == Some(&value), name, format!("{value:?}"))
            }
            Self::Has(name, part) => {
                let part = wall.fill(part);
                (came(name).is_some_and(|value| value.contains(&part)), name, format!("something with {part:?}"))
            }
            Self::Present(name) => (came(name).is_some(), name, "something".to_owned()),
            Self::Absent(name) => (came(name).is_none(), name, "nothing".to_owned()),
        };
        (!holds).then(|| format!("{name} is {:?}, expected {expected}", came(name)))
    }
}

/// A request as faults show it: without what says nothing about caching.
fn shown(request: &http::request::Parts) -> String {
    const DULL: &[&str] = &["host", "via", "forwarded"];
    let fields = request.headers.iter().filter(|(name, _)| {
        !DULL.contains(&name.as_str()) && !name.as_str().starts_with("x-forwarded") && *name != header::DATE
    });
    let fields: Vec<_> =
        fields.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    format!("{} {} [{}]", request.method, request.uri, fields.join("; "))
}
