//! From the errors of hyper, rustls and the system to the words of [`OriginError`].

use std::error::Error as StdError;
use std::io;

use super::OriginError;

/// A connection attempt that failed in the system or in TLS.
pub(super) fn connecting(error: &io::Error) -> OriginError {
    if let Some(tls) = tls_cause(error) {
        return tls;
    }
    match error.kind() {
        // A Unix socket that is not there is as good as a port where nothing listens.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => OriginError::ConnectionRefused,
        io::ErrorKind::TimedOut => OriginError::ConnectionTimeout,
        _ => OriginError::ConnectionTerminated(error.to_string()),
    }
}

/// A handshake that failed: whatever is not a TLS error is the peer hanging up.
pub(super) fn handshaking(error: &io::Error) -> OriginError {
    tls_cause(error).unwrap_or_else(|| OriginError::TlsProtocol(error.to_string()))
}

fn tls_cause(error: &io::Error) -> Option<OriginError> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match tls {
        rustls::Error::InvalidCertificate(_) => OriginError::TlsCertificate(tls.to_string()),
        _ => OriginError::TlsProtocol(tls.to_string()),
    })
}

/// No response head came. `streamed` says whether the request had content, which alone can break off.
pub(super) fn before_head(error: &hyper::Error, streamed: bool) -> OriginError {
    if streamed && error.is_user() {
        return OriginError::RequestIncomplete(chain(error));
    }
    if let Some(tls) = cause::<io::Error>(error).and_then(tls_cause) {
        return tls;
    }
    if error.is_parse() || is_garbled(error) || is_unexpected_message(error) {
        return OriginError::Protocol(chain(error));
    }
    OriginError::ConnectionTerminated(chain(error))
}

/// The body broke off or cannot be decoded.
pub(super) fn within_body(error: &hyper::Error) -> OriginError {
    if is_garbled(error) { OriginError::Protocol(chain(error)) } else { OriginError::ResponseIncomplete(chain(error)) }
}

/// Whether what came is no HTTP, or [too much](super::preface::TooMuch) of it. Over HTTP/2 only the kind is left of the
/// error of a connection.
fn is_garbled(error: &hyper::Error) -> bool {
    cause::<io::Error>(error)
        .is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput))
}

/// Whether bytes came on a connection that had asked nothing.
///
/// hyper has no predicate for this kind, and its texts are not a contract, so it is told by what it is not. A request
/// that was queued when the bytes came is handed back as cancelled, with this error as the cause.
pub(super) fn is_unexpected_message(error: &hyper::Error) -> bool {
    if error.is_canceled() {
        return error.source().and_then(|source| source.downcast_ref()).is_some_and(is_unexpected_message);
    }
    let other = error.is_parse()
        || error.is_user()
        || error.is_closed()
        || error.is_incomplete_message()
        || error.is_body_write_aborted()
        || error.is_shutdown()
        || error.is_timeout();
    !other && error.source().is_none()
}

fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
