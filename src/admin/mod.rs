//! The admin listener: probes, metrics and `/drain`, as a plain function from request to response.
//!
//! It follows kube-apiserver's habits: `/livez`, `/readyz` and `/startupz` answer `ok`, and `?verbose` lists the
//! checks. **No probe consults the origin.** Every pod shares the origin's dependencies, so if readiness followed the
//! origin, one blip would take all pods out of the service at once and turn slow answers into none; and a proxy that
//! is out cannot serve what its policies let it serve while the origin is away. How the origin answered last is a line
//! of `?verbose` that decides nothing.
//!
//! Nothing here can read or change what is stored; that belongs to the control listener. Nor does anything here take a
//! URL, or show a body, a key or a credential. Who may look, and who may drain, is told by [`Gate`].

mod gate;
mod listen;
mod problem;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use self::gate::Denial;
pub use self::gate::{Gate, WINDOW, WRONG_MAX};
pub use self::listen::{CONNECTION_AGE_MAX, CONNECTIONS_MAX, HEAD_TIMEOUT, serve};
use crate::metrics::{self, Metrics};
use crate::readiness::{Phase, Readiness};

/// What the admin handler needs to know.
#[derive(Clone)]
pub struct AdminState {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For the probes and `/drain`.
    pub readiness: Arc<Readiness>,
    /// Who may have what.
    pub gate: Arc<Gate>,
}

/// The endpoints: path, methods, what it says.
const ENDPOINTS: [(&str, &str, &str); 6] = [
    ("/metrics", "GET, HEAD", "metrics in the Prometheus text format"),
    ("/livez", "GET, HEAD", "the process answers"),
    ("/healthz", "GET, HEAD", "alias of /livez"),
    ("/readyz", "GET, HEAD", "new traffic is welcome"),
    ("/startupz", "GET, HEAD", "listeners are bound and the configuration is valid"),
    ("/drain", "GET, POST", "stop being ready, keep serving until SIGTERM"),
];

/// Answers one request of `peer` to the admin listener. A request's content is ignored.
#[must_use]
pub fn handle<B>(state: &AdminState, request: &Request<B>, peer: IpAddr) -> Response<Full<Bytes>> {
    if let Err(denial) = state.gate.may_look(request.headers()) {
        return denied(denial);
    }
    let path = request.uri().path();
    let Some((_, allow, _)) = ENDPOINTS.iter().find(|(known, ..)| *known == path) else {
        return problem::not_found(path, &ENDPOINTS);
    };
    if !allow.split(", ").any(|method| method == request.method().as_str()) {
        return problem::method_not_allowed(request.method(), allow);
    }
    let verbose = asks_verbose(request);
    let response = match path {
        "/metrics" => exposition(&state.metrics),
        "/readyz" => probe("readyz", &readiness_checks(state), verbose),
        "/startupz" => probe("startupz", &startup_checks(state), verbose),
        "/drain" => drain(state, request, peer),
        // `/livez` and `/healthz`: that this was answered is all there is to check. It needs the runtime to make
        // progress, and nothing outside of the process that a restart would not cure.
        _ => probe("livez", &[Check::passed("ping")], verbose),
    };
    if request.method() == Method::HEAD { without_content(response) } else { response }
}

/// One line of a probe.
struct Check {
    name: &'static str,
    /// What is wrong, if something is.
    failure: Option<String>,
    /// A remark that decides nothing.
    note: Option<String>,
}

impl Check {
    const fn passed(name: &'static str) -> Self {
        Self { name, failure: None, note: None }
    }

    fn of(name: &'static str, passed: bool, failure: impl FnOnce() -> String) -> Self {
        Self { name, failure: (!passed).then(failure), note: None }
    }
}

/// Listeners and configuration, never the origin: a sidecar that waits for its application to start, while the
/// kubelet waits for the sidecar before it starts the application, would wait for ever.
fn startup_checks(state: &AdminState) -> Vec<Check> {
    vec![Check::of("listeners-and-configuration", state.readiness.is_started(), || String::from("starting"))]
}

fn readiness_checks(state: &AdminState) -> Vec<Check> {
    let mut checks = startup_checks(state);
    let draining = match state.readiness.phase() {
        Phase::Draining(since) => Some(format!("draining for {:.1} s", since.elapsed().as_secs_f64())),
        Phase::Starting | Phase::Serving => None,
    };
    checks.push(Check { name: "not-draining", failure: draining, note: None });
    let origin = state.metrics.last_origin_answer().unwrap_or("not asked yet");
    checks.push(Check { name: "origin", failure: None, note: Some(format!("not consulted; last answer: {origin}")) });
    checks
}

fn probe(name: &str, checks: &[Check], verbose: bool) -> Response<Full<Bytes>> {
    let passed = checks.iter().all(|check| check.failure.is_none());
    let mut body = String::new();
    if verbose || !passed {
        for check in checks {
            // Writing to a String cannot fail.
            let _ = match (&check.failure, &check.note) {
                (Some(failure), _) => writeln!(body, "[-]{} failed: {failure}", check.name),
                (None, Some(note)) => writeln!(body, "[+]{} ok: {note}", check.name),
                (None, None) => writeln!(body, "[+]{} ok", check.name),
            };
        }
        let verdict = if passed { "passed" } else { "failed" };
        let _ = writeln!(body, "{name} check {verdict}");
    } else {
        body.push_str("ok\n");
    }
    let status = if passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(status, "text/plain; charset=utf-8", body)
}

/// Made for `preStop`, whose `httpGet` can do nothing but GET; it answers at once, as the kubelet waits for it before it
/// sends SIGTERM.
///
/// The process serves on until then: a native sidecar gets SIGTERM only after the application has ended, and until
/// the application has ended it may need its sidecar.
fn drain<B>(state: &AdminState, request: &Request<B>, peer: IpAddr) -> Response<Full<Bytes>> {
    if let Err(denial) = state.gate.may_do(request.headers(), peer) {
        return denied(denial);
    }
    let before = state.readiness.phase();
    state.readiness.drain();
    if !matches!(before, Phase::Draining(_)) {
        tracing::info!("draining: asked by /drain; serving on until SIGTERM");
    }
    text(StatusCode::OK, "text/plain; charset=utf-8", String::from("draining\n"))
}

fn denied(denial: Denial) -> Response<Full<Bytes>> {
    match denial {
        Denial::Page => problem::forbidden("nothing is done for web pages"),
        Denial::Name => problem::forbidden("Host is no name of this listener: use its address, or set admin.hosts"),
        Denial::Elsewhere => problem::forbidden("only for this machine: run `truehit drain`, or set admin.token_file"),
        Denial::Token => {
            let mut response = problem::unauthorized("only with the token of admin.token_file");
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Denial::Tries(left) => {
            let mut response = problem::too_many("too many wrong tokens");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
            response
        }
    }
}

fn exposition(metrics: &Metrics) -> Response<Full<Bytes>> {
    match metrics.render() {
        Ok(body) => text(StatusCode::OK, metrics::CONTENT_TYPE, body),
        Err(error) => problem::internal(&error.to_string()),
    }
}

fn asks_verbose<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair.split('=').next() == Some("verbose"))
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A browser that ends up here runs nothing, and takes nothing for what it is not.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// HEAD: the fields of the GET, `Content-Length` included, and no content (RFC 9110 §9.3.2).
fn without_content(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.map(|_| Full::default())
}
