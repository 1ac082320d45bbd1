//! The words that only metrics and logs need; those of the rules are in [`crate::rules::outcome`].

use http::StatusCode;

use crate::origin::OriginError;
use crate::rules::outcome::words;

words! {
    /// What a check's answer said about the stored response.
    CheckResult {
        /// It is still current.
        Same = "same",
        /// It is not.
        Changed = "changed",
        /// The answer proves nothing either way.
        Unproven = "unproven",
        /// There was no answer.
        Error = "error",
    }
}

words! {
    /// What an audit of a check found.
    AuditResult {
        /// The bytes are those that the check vouched for.
        Upheld = "upheld",
        /// They are others, and the check, repeated, says so too: a write came between.
        Raced = "raced",
        /// They are others, and the check, repeated, vouches for what is stored again: it does not tell the truth.
        Mismatch = "mismatch",
        /// The whole representation was not to be had.
        Unsettled = "unsettled",
    }
}

words! {
    /// The class of a status code.
    CodeClass {
        /// Interim.
        Informational = "1xx",
        /// Success.
        Success = "2xx",
        /// Redirection, 304 included.
        Redirection = "3xx",
        /// The client's fault.
        ClientError = "4xx",
        /// The server's fault; also every status above 599, as RFC 9110 §15 has a client read those.
        ServerError = "5xx",
    }
}

impl From<StatusCode> for CodeClass {
    fn from(status: StatusCode) -> Self {
        match status.as_u16() {
            0..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

words! {
    /// Why a stored response left the store.
    EvictionCause {
        /// Room was needed.
        Size = "size",
        /// A newer response took its place.
        Replaced = "replaced",
        /// It was found not to be current, or a write to its target succeeded (RFC 9111 §4.4).
        Invalidated = "invalidated",
    }
}

words! {
    /// How an attempt to reload ended.
    ReloadResult {
        /// The new configuration is in use.
        Success = "success",
        /// It was rejected, and the old one is still in use.
        Error = "error",
    }
}

/// The words of [`OriginError`], in the order of [`origin_error_place`].
pub(super) const ORIGIN_ERRORS: [&str; 12] = [
    "dns_error",
    "connection_refused",
    "connection_timeout",
    "connection_terminated",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "http_response_timeout",
    "http_protocol_error",
    "http_response_incomplete",
    "http_request_error",
    "destination_unavailable",
];

/// The place of an error's word among [`ORIGIN_ERRORS`]; a new variant will not compile until it has one.
pub(super) const fn origin_error_place(error: &OriginError) -> usize {
    match error {
        OriginError::Dns(_) => 0,
        OriginError::ConnectionRefused => 1,
        OriginError::ConnectionTimeout => 2,
        OriginError::ConnectionTerminated(_) => 3,
        OriginError::ConnectionLimit => 4,
        OriginError::TlsProtocol(_) => 5,
        OriginError::TlsCertificate(_) => 6,
        OriginError::ResponseTimeout => 7,
        OriginError::Protocol(_) => 8,
        OriginError::ResponseIncomplete(_) => 9,
        OriginError::RequestIncomplete(_) | OriginError::RequestLate | OriginError::RequestTooLong => 10,
        OriginError::Unavailable(_) => 11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_errors_label_is_its_proxy_status_word() {
        let text = String::new;
        for error in [
            OriginError::Dns(text()),
            OriginError::ConnectionRefused,
            OriginError::ConnectionTimeout,
            OriginError::ConnectionTerminated(text()),
            OriginError::ConnectionLimit,
            OriginError::TlsProtocol(text()),
            OriginError::TlsCertificate(text()),
            OriginError::ResponseTimeout,
            OriginError::Protocol(text()),
            OriginError::ResponseIncomplete(text()),
            OriginError::RequestIncomplete(text()),
            OriginError::RequestLate,
            OriginError::RequestTooLong,
            OriginError::Unavailable(std::time::Duration::ZERO),
        ] {
            assert_eq!(ORIGIN_ERRORS[origin_error_place(&error)], error.as_str());
        }
    }
}
