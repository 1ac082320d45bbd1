//! Errors of the admin listener, as `application/problem+json` (RFC 9457).

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use super::text;

/// Nothing is there; says what is.
pub(super) fn not_found(path: &str, endpoints: &[(&str, &str, &str)]) -> Response<Full<Bytes>> {
    let known: Vec<_> = endpoints
        .iter()
        .map(|(path, methods, meaning)| serde_json::json!({"path": path, "methods": methods, "meaning": meaning}))
        .collect();
    // What is echoed is bounded, and escaped by the encoder.
    let path: String = path.chars().take(100).collect();
    problem(
        StatusCode::NOT_FOUND,
        &serde_json::json!({"title": "no such endpoint", "status": 404, "detail": path, "endpoints": known}),
    )
}

/// The endpoint does not know the method.
pub(super) fn method_not_allowed(method: &Method, allow: &str) -> Response<Full<Bytes>> {
    let method: String = method.as_str().chars().take(20).collect();
    let mut response = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        &serde_json::json!({"title": "method not allowed", "status": 405, "detail": format!("{method}; use {allow}")}),
    );
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// The request is understood and refused.
pub(super) fn forbidden(detail: &str) -> Response<Full<Bytes>> {
    problem(StatusCode::FORBIDDEN, &serde_json::json!({"title": "forbidden", "status": 403, "detail": detail}))
}

/// The request has to say who asks.
pub(super) fn unauthorized(detail: &str) -> Response<Full<Bytes>> {
    problem(StatusCode::UNAUTHORIZED, &serde_json::json!({"title": "unauthorized", "status": 401, "detail": detail}))
}

/// It was asked too often.
pub(super) fn too_many(detail: &str) -> Response<Full<Bytes>> {
    problem(
        StatusCode::TOO_MANY_REQUESTS,
        &serde_json::json!({"title": "too many requests", "status": 429, "detail": detail}),
    )
}

/// A bug of ours.
pub(super) fn internal(detail: &str) -> Response<Full<Bytes>> {
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        &serde_json::json!({"title": "internal error", "status": 500, "detail": detail}),
    )
}

fn problem(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    text(status, "application/problem+json", format!("{body}\n"))
}
