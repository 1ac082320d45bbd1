//! A scripted origin: a list of expected requests and their answers, read top to bottom.
//!
//! At the end the script must be exhausted ([`Script::done`]); a request that does not fit fails the test with both
//! sides printed. Where order between requests matters, an answer is [held](Step::held) until the test releases it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};
use truehit::origin::{Origin, OriginError, Outgoing, Purpose};

/// The origin, as a script; clones share it.
#[derive(Clone, Default)]
pub struct Script(Arc<Inner>);

#[derive(Default)]
struct Inner {
    steps: Mutex<VecDeque<Step>>,
    /// What went wrong, to be told when the test ends: a panic in an exchange's task would be taken for a lost leader.
    faults: Mutex<Vec<String>>,
    requests: Mutex<Vec<String>>,
}

/// An expected request and its answer.
pub struct Step {
    what: String,
    with: Vec<(HeaderName, Option<String>)>,
    content: Option<String>,
    answer: Result<Answer, OriginError>,
    reached: Option<oneshot::Sender<()>>,
    gate: Option<oneshot::Receiver<()>>,
}

/// An answer of the script.
pub struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: ScriptBody,
}

/// The test's side of a held answer.
pub struct Gate {
    reached: Option<oneshot::Receiver<()>>,
    release: Option<oneshot::Sender<()>>,
}

impl Gate {
    /// Waits until the request is at the origin.
    pub async fn reached(&mut self) {
        if let Some(reached) = self.reached.take() {
            reached.await.expect("the held step was never reached");
        }
    }

    /// Lets the answer go.
    pub fn release(mut self) {
        let _the_request_may_be_gone = self.release.take().expect("a gate is released once").send(());
    }
}

impl Script {
    /// A script without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects `"GET /a"` next, with this answer.
    pub fn expects(&self, what: &str, answer: Answer) -> &Self {
        self.push(Step::new(what, Ok(answer)));
        self
    }

    /// Expects a request and fails it.
    pub fn fails(&self, what: &str, error: OriginError) -> &Self {
        self.push(Step::new(what, Err(error)));
        self
    }

    /// Expects a request with these fields; `None` for a field that must be absent.
    pub fn expects_with(&self, what: &str, with: &[(&str, Option<&str>)], answer: Answer) -> &Self {
        self.push(Step::new(what, Ok(answer)).with(with));
        self
    }

    /// Expects a request with these fields and this content.
    pub fn expects_content(&self, what: &str, with: &[(&str, Option<&str>)], content: &str, answer: Answer) -> &Self {
        let mut step = Step::new(what, Ok(answer)).with(with);
        step.content = Some(content.to_owned());
        self.push(step);
        self
    }

    /// Expects a request whose answer waits at the gate that is returned.
    pub fn holds(&self, what: &str, answer: Answer) -> Gate {
        let mut step = Step::new(what, Ok(answer));
        let ((reached, at), (release, gate)) = (oneshot::channel(), oneshot::channel());
        (step.reached, step.gate) = (Some(reached), Some(gate));
        self.push(step);
        Gate { reached: Some(at), release: Some(release) }
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.0.requests.lock().unwrap().len()
    }

    /// The script is exhausted, and nothing unexpected came.
    #[track_caller]
    pub fn done(&self) {
        let faults = self.0.faults.lock().unwrap();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let left: Vec<_> = self.0.steps.lock().unwrap().iter().map(|step| step.what.clone()).collect();
        assert!(left.is_empty(), "expected but never asked: {left:?}\nasked: {:?}", self.0.requests.lock().unwrap());
    }

    fn push(&self, step: Step) {
        self.0.steps.lock().unwrap().push_back(step);
    }

    fn fault(&self, fault: String) -> OriginError {
        self.0.faults.lock().unwrap().push(fault.clone());
        OriginError::Protocol(fault)
    }
}

impl Step {
    fn new(what: &str, answer: Result<Answer, OriginError>) -> Self {
        Self { what: what.to_owned(), with: Vec::new(), content: None, answer, reached: None, gate: None }
    }

    fn with(mut self, with: &[(&str, Option<&str>)]) -> Self {
        let field = |(name, value): &(&str, Option<&str>)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.map(str::to_owned))
        };
        self.with = with.iter().map(field).collect();
        self
    }

    fn mismatch(&self, what: &str, fields: &HeaderMap, content: &[u8]) -> Option<String> {
        if self.what != what {
            return Some(format!("expected {}, was asked {what}", self.what));
        }
        if self.content.as_ref().is_some_and(|expected| expected.as_bytes() != content) {
            return Some(format!("{what}: expected {:?}, came {:?}", self.content, String::from_utf8_lossy(content)));
        }
        self.with.iter().find_map(|(name, expected)| {
            let came = fields.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            (came != *expected).then(|| format!("{what}: expected {name}: {expected:?}, came {came:?}"))
        })
    }
}

impl Origin for Script {
    type Body = ScriptBody;

    async fn send(&self, _purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<ScriptBody>, OriginError> {
        let (head, body) = outgoing().into_parts();
        let what = format!("{} {}", head.method, head.uri);
        self.0.requests.lock().unwrap().push(what.clone());
        let content = body.collect().await.map_err(|error| OriginError::of_content(&error))?;
        let step = self.0.steps.lock().unwrap().pop_front();
        let Some(mut step) = step else { return Err(self.fault(format!("unexpected: {what}"))) };
        if let Some(mismatch) = step.mismatch(&what, &head.headers, &content.to_bytes()) {
            return Err(self.fault(mismatch));
        }
        if let Some(reached) = step.reached.take() {
            let _the_test_may_not_care = reached.send(());
        }
        if let Some(gate) = step.gate.take() {
            let _released_or_dropped = gate.await;
        }
        let answer = step.answer?;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.fields;
        Ok(response)
    }
}

/// A 200 with this content.
pub fn ok(content: &str) -> Answer {
    status(200).content(content)
}

/// An answer with this status and no content.
pub fn status(code: u16) -> Answer {
    Answer { status: StatusCode::from_u16(code).unwrap(), fields: HeaderMap::new(), body: ScriptBody::whole("") }
}

impl Answer {
    /// With this content.
    pub fn content(mut self, content: &str) -> Self {
        self.body = ScriptBody::whole(content);
        self
    }

    /// With content that the test sends piece by piece.
    pub fn streamed(mut self) -> (Self, mpsc::UnboundedSender<Result<Frame<Bytes>, OriginError>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.body = ScriptBody { pieces: Pieces::Sent(receiver), length: None };
        (self, sender)
    }

    /// With this field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.fields.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// With this status.
    pub fn with_status(mut self, code: u16) -> Self {
        self.status = StatusCode::from_u16(code).unwrap();
        self
    }

    /// With this `ETag`.
    pub fn etag(self, tag: &str) -> Self {
        self.with("etag", tag)
    }
}

/// The body of a scripted answer.
pub struct ScriptBody {
    pieces: Pieces,
    length: Option<u64>,
}

enum Pieces {
    Whole(Option<Bytes>),
    Sent(mpsc::UnboundedReceiver<Result<Frame<Bytes>, OriginError>>),
}

impl ScriptBody {
    /// Content that is there at once.
    pub fn whole(content: &str) -> Self {
        let bytes = Bytes::copy_from_slice(content.as_bytes());
        Self { length: Some(bytes.len() as u64), pieces: Pieces::Whole((!bytes.is_empty()).then_some(bytes)) }
    }
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        match &mut self.get_mut().pieces {
            Pieces::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Pieces::Sent(receiver) => receiver.poll_recv(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.pieces, Pieces::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.pieces, self.length) {
            (Pieces::Whole(None), _) => SizeHint::with_exact(0),
            (_, Some(length)) => SizeHint::with_exact(length),
            (_, None) => SizeHint::new(),
        }
    }
}
