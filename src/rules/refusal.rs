//! `Refusal`: why truehit answers a request by itself, without the origin, and what it then says.

use http::StatusCode;

use super::outcome::words;

words! {
    /// Why truehit answered by itself, without the origin.
    Refusal {
        /// `only-if-cached`, and nothing that may be served unasked (RFC 9111 §5.2.1.7).
        OnlyIfCached = "only-if-cached",
        /// The request came back through us (`Via`).
        Loop = "loop",
        /// As many requests are under way as may be (`limits.requests`).
        Requests = "requests",
        /// As many requests wait as may (`limits.waiters`).
        Waiters = "waiters",
        /// The request waited as long as it may (`limits.wait_max`).
        WaitedOut = "waited-out",
        /// CONNECT, TRACE or TRACK.
        Method = "method",
        /// The target is in none of the forms that the method allows (RFC 9112 §3.2).
        TargetForm = "target-form",
        /// The target is longer than `limits.target_bytes`.
        TargetTooLong = "target-too-long",
        /// No `Host`, several, one that is no host and port, or one that is not that of `:authority`.
        Host = "host",
        /// A length or a transfer coding that two recipients could read in two ways (RFC 9112 §6.3).
        Framing = "framing",
        /// A transfer coding that is registered and not understood here (RFC 9112 §6.1).
        TransferCoding = "transfer-coding",
        /// A field name that a CGI origin takes for one that frames or describes the content.
        FieldName = "field-name",
        /// More fields than may be.
        Fields = "fields",
        /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
        Expectation = "expectation",
        /// Content longer than `limits.content_bytes`.
        ContentTooLong = "content-too-long",
        /// The client left before there was an answer: logged, never sent.
        ClientLeft = "client-left",
    }
}

/// What a refused client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// The `error` of `Proxy-Status` (RFC 9209 §2.3).
    pub error: &'static str,
    /// What was wrong, and what is allowed.
    pub detail: &'static str,
}

impl Refusal {
    /// What the client is told.
    #[must_use]
    pub const fn told(self) -> Told {
        let (status, error, detail) = match self {
            Self::OnlyIfCached => (
                StatusCode::GATEWAY_TIMEOUT,
                "proxy_internal_response",
                "only-if-cached, and nothing is stored that may be served without asking the origin",
            ),
            Self::Loop => (StatusCode::BAD_GATEWAY, "proxy_loop_detected", "the request came back through this proxy"),
            Self::Requests => (
                StatusCode::SERVICE_UNAVAILABLE,
                "proxy_internal_response",
                "as many requests are under way as may be (limits.requests)",
            ),
            Self::Waiters => (
                StatusCode::SERVICE_UNAVAILABLE,
                "proxy_internal_response",
                "as many requests wait for the origin as may (limits.waiters)",
            ),
            Self::WaitedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                "http_response_timeout",
                "the request waited as long as it may (limits.wait_max)",
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "http_request_denied",
                "CONNECT, TRACE and TRACK are not served; every other method is forwarded",
            ),
            Self::TargetForm => (
                StatusCode::BAD_REQUEST,
                "http_request_error",
                "the target must be a path, an http or https URI, or, for OPTIONS alone, an asterisk",
            ),
            Self::TargetTooLong => (
                StatusCode::URI_TOO_LONG,
                "http_request_error",
                "the target is longer than allowed (limits.target_bytes)",
            ),
            Self::Host => (
                StatusCode::BAD_REQUEST,
                "http_request_error",
                "a request needs exactly one Host, which is a host with or without a port, and that of its :authority",
            ),
            Self::Framing => (
                StatusCode::BAD_REQUEST,
                "http_request_error",
                "content is framed by one Content-Length without leading zeros, or by Transfer-Encoding: chunked",
            ),
            Self::TransferCoding => {
                (StatusCode::NOT_IMPLEMENTED, "http_request_error", "the only transfer coding is chunked")
            }
            Self::FieldName => (
                StatusCode::BAD_REQUEST,
                "http_request_error",
                "a field name stands for one that frames or describes the content; allowed: that one, with hyphens",
            ),
            Self::Fields => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "http_request_error",
                "the request has more fields than allowed: 100",
            ),
            Self::Expectation => {
                (StatusCode::EXPECTATION_FAILED, "http_request_error", "the only expectation is 100-continue")
            }
            Self::ContentTooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "http_request_error",
                "the content is longer than allowed (limits.content_bytes)",
            ),
            Self::ClientLeft => (StatusCode::BAD_REQUEST, "http_request_error", "the client left"),
        };
        Told { status, error, detail }
    }

    /// Whether nothing that follows on the connection can be trusted to be a request: how this one ends is in doubt (RFC
    /// 9112 §9.3, §11.2), or it asked for a tunnel.
    #[must_use]
    pub const fn ends_connection(self) -> bool {
        matches!(self.told().status.as_u16(), 400 | 405 | 413 | 414 | 417 | 431 | 501)
    }
}
