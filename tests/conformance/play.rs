//! Playing a row: its requests go through the real proxy, and what comes back is held against what the row says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use truehit::config::{self, Config, Overrides};
use truehit::server::{InterimSink, Peer};

use crate::house::{House, settle};
use crate::origin::{Origin, Wall};
use crate::row::{Mode, Question, Row, Side, Step};

/// Plays a row in a mode, on a clock of its own; says what went otherwise.
pub(crate) fn play(row: &Row, mode: Mode) -> Result<(), String> {
    let config = configured(row, mode)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let wall = Wall::begin();
        let origin = Origin::new(wall);
        let mut stage = Stage { house: House::of(origin.clone(), config), origin, wall, mode, told: Vec::new() };
        for step in &row.steps {
            if step.after > Duration::ZERO {
                tokio::time::sleep(step.after).await;
            }
            let fault = |fault| format!("line {}: {} {}: {fault}", step.line, step.method, step.target);
            stage.step(step).await.map_err(fault)?;
        }
        Ok(())
    })
}

/// The configuration of a row. Most rows have the same one, and to load it takes longer than to play them.
fn configured(row: &Row, mode: Mode) -> Result<Config, String> {
    static LOADED: Mutex<BTreeMap<Settings, Result<Config, String>>> = Mutex::new(BTreeMap::new());
    let mut settings = vec![("TRUEHIT_DEFAULTS__VERIFY".to_owned(), mode.as_str().to_owned())];
    for (key, value) in &row.settings {
        settings.push((format!("TRUEHIT_DEFAULTS__{}", key.to_uppercase()), value.clone()));
    }
    let load = |settings: &Settings| {
        let overrides = Overrides { origin: Some("http://origin.test".to_owned()), ..Overrides::default() };
        let loaded = config::load(&overrides, settings.iter().cloned());
        loaded.map(|loaded| loaded.config).map_err(|error| error.to_string().trim().replace('\n', "; "))
    };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.entry(settings).or_insert_with_key(load).clone()
}

/// Variables and their values.
type Settings = Vec<(String, String)>;

struct Stage {
    house: House<Origin>,
    origin: Origin,
    wall: Wall,
    mode: Mode,
    /// The whole answers that clients got last, by what they asked for: what a hit must give again.
    told: Vec<(String, u16, String)>,
}

/// A response as the client has it.
struct Got {
    status: StatusCode,
    fields: HeaderMap,
    /// `None` if it broke off.
    content: Option<String>,
}

impl Stage {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        let mut fields = HeaderMap::new();
        for (name, value) in &step.fields {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            let value = HeaderValue::from_bytes(self.wall.fill(value).as_bytes()).map_err(|error| error.to_string())?;
            fields.append(name, value);
        }
        let method = Method::from_bytes(step.method.as_bytes()).map_err(|error| error.to_string())?;
        let (questions, unchanged): (&[Question], bool) = match &step.origin {
            Side::Hit => (&[], self.mode == Mode::EveryHit),
            Side::Unasked => (&[], false),
            Side::Asked(questions) | Side::Behind(questions) => (questions, false),
        };
        self.origin.expect(&method, &fields, questions, unchanged);
        let got = self.ask(&method, step, fields).await;
        settle().await;
        let came = self.origin.came();
        if let Some(fault) = came.faults.first() {
            return Err(fault.clone());
        }
        let shown = |fault: String| match &came.asked[..] {
            [] => format!("{fault}; {}", got.shown()),
            asked => format!("{fault}; {}; asked: {}", got.shown(), asked.join(", ")),
        };
        if came.left > 0 {
            return Err(shown("the origin was not asked".to_owned()));
        }
        self.held(step, &method, &got).map_err(shown)?;
        if matches!(step.origin, Side::Hit) {
            match self.mode {
                // RFC 9111 §4: "When a stored response is used to satisfy a request without validation, a cache MUST
                // generate an Age header field".
                Mode::WhenStale if !got.fields.contains_key(header::AGE) => {
                    return Err(shown("a stored response has no Age".to_owned()));
                }
                Mode::EveryHit if came.asked.is_empty() || !got.cache_status().contains("detail=checked") => {
                    return Err(shown("it was not checked".to_owned()));
                }
                Mode::WhenStale | Mode::EveryHit => {}
            }
        }
        let whole = !matches!(got.status.as_u16(), 206 | 304) && method != Method::HEAD;
        if let Some(content) = got.content.filter(|_| whole) {
            self.told.retain(|(asked, ..)| *asked != step.asked());
            self.told.push((step.asked(), got.status.as_u16(), content));
        }
        Ok(())
    }

    async fn ask(&self, method: &Method, step: &Step, fields: HeaderMap) -> Got {
        let content = step.content.clone().unwrap_or_default();
        let mut request = Request::new(Full::new(Bytes::from(content)));
        *request.method_mut() = method.clone();
        *request.uri_mut() = step.target.parse().expect("a target");
        *request.headers_mut() = fields;
        if let Some(content) = &step.content {
            request.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| content.len().into());
        }
        request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("api.test"));
        let peer =
            Peer { address: SocketAddr::from(([127, 0, 0, 1], 40_000)), tls: false, interim: InterimSink::default() };
        let (head, body) = self.house.proxy.clone().handle(request, peer).await.into_parts();
        let content =
            body.collect().await.ok().map(|content| String::from_utf8_lossy(&content.to_bytes()).into_owned());
        Got { status: head.status, fields: head.headers, content }
    }

    /// Whether the client got what the step says, or what it leaves to be understood.
    fn held(&self, step: &Step, method: &Method, got: &Got) -> Result<(), String> {
        let (status, content) = self.understood(step);
        let cut = matches!(&step.origin, Side::Asked(questions)
            if questions.iter().any(|question| question.answer.as_ref().is_some_and(|answer| answer.cut)));
        let expected = step.reply.as_ref();
        let expected_status = expected.map(|reply| reply.status).or(status).unwrap_or(200);
        if got.status.as_u16() != expected_status {
            return Err(format!("the status is {}, expected {expected_status}", got.status.as_u16()));
        }
        let bare = *method == Method::HEAD || matches!(expected_status, 204 | 304);
        let content = match expected.and_then(|reply| reply.content.clone()) {
            Some(content) => Some(content),
            None if bare => Some(String::new()),
            None => content.filter(|_| status == Some(expected_status)),
        };
        match (content, &got.content) {
            (_, None) if !cut => return Err("the content broke off".to_owned()),
            (_, Some(_)) if cut => return Err("the content did not break off".to_owned()),
            (Some(content), Some(came)) if content != *came => {
                return Err(format!("the content is {came:?}, expected {content:?}"));
            }
            _ => {}
        }
        let expectations = expected.map(|reply| reply.fields.as_slice()).unwrap_or_default();
        expectations.iter().find_map(|expected| expected.fault(&got.fields, self.wall)).map_or(Ok(()), Err)
    }

    /// What a client gets where the step does not say: the origin's answer, or what is stored.
    fn understood(&self, step: &Step) -> (Option<u16>, Option<String>) {
        let stored = self.told.iter().find(|(asked, ..)| *asked == step.asked());
        let stored = || stored.map_or((None, None), |(_, status, content)| (Some(*status), Some(content.clone())));
        let own_conditions = step.fields.iter().any(|(name, _)| name.starts_with("if-"));
        match &step.origin {
            Side::Hit | Side::Behind(_) => stored(),
            Side::Unasked => (None, None),
            Side::Asked(questions) => match questions.last().map(|question| &question.answer) {
                None | Some(None) => (Some(502), None),
                Some(Some(answer)) if answer.status == 304 && !own_conditions => stored(),
                Some(Some(answer)) => (Some(answer.status), Some(answer.content.clone())),
            },
        }
    }
}

impl Got {
    fn cache_status(&self) -> &str {
        self.fields.get("cache-status").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn shown(&self) -> String {
        let content = self.content.as_deref().unwrap_or("(broken off)");
        let short: String = content.chars().take(60).collect();
        format!("got {} {short:?}, Cache-Status: {}", self.status.as_u16(), self.cache_status())
    }
}
