//! Where a response's body ends, by its head: read strictly, as what two readers may split differently must not be read.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};

use super::OriginError;

/// Whether an HTTP/1.1 message says where its body ends. Contradictions are refused (RFC 9112 §6.1, §6.3), and a length
/// that is said more than once is said once.
pub(super) fn is_delimited(headers: &mut HeaderMap) -> Result<bool, OriginError> {
    let has_length = has_length(headers)?;
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(has_length) };
    if has_length {
        return Err(OriginError::Protocol("both Transfer-Encoding and Content-Length".to_owned()));
    }
    let name = coding.as_bytes().trim_ascii().to_ascii_lowercase();
    let one = codings.next().is_none() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    match &*name {
        b"chunked" if one => Ok(true),
        // Content in a coding that was not asked for: without its label, which goes no further, nobody could decode it.
        b"gzip" | b"x-gzip" | b"deflate" | b"compress" | b"x-compress" => Err(undecodable()),
        // RFC 9112 §6.3: where chunked is not the final coding of a response, "the message body length is determined by
        // reading the connection until it is closed". A name that is not registered labels nothing (`identity`).
        _ if one => Ok(false),
        _ => Err(undecodable()),
    }
}

/// Whether a message has a `Content-Length`, which is then one number. hyper reads a list of equal ones, and no length at
/// all where there is no body, but writes neither.
///
/// RFC 9110 §8.6: a recipient of equal lengths "MUST either reject the message as invalid or replace the duplicated or
/// invalid field values with a single valid Content-Length".
pub(super) fn has_length(headers: &mut HeaderMap) -> Result<bool, OriginError> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else { return Ok(false) };
    if lines.next().is_none() && number(first.as_bytes()).is_some() {
        return Ok(true);
    }
    let members = headers.get_all(CONTENT_LENGTH).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut lengths = members.map(|member| number(member.trim_ascii()));
    let Some(length) = lengths.next().flatten().filter(|first| lengths.all(|other| other == Some(*first))) else {
        return Err(OriginError::Protocol("a Content-Length that is none, or several".to_owned()));
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(true)
}

/// Digits and nothing else: `parse` takes a sign too.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

fn undecodable() -> OriginError {
    OriginError::Protocol("a Transfer-Encoding other than chunked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_one_number_or_none() {
        let rows: &[(&str, &[&'static str], Option<&str>)] = &[
            ("one", &["5"], Some("5")),
            ("as it is written", &["005"], Some("005")),
            ("equal ones on two lines", &["5", "5"], Some("5")),
            ("equal ones on one", &["5, 5"], Some("5")),
            ("equal numbers", &["5", "05,5"], Some("5")),
            ("different ones", &["5", "6"], None),
            ("on one line", &["5, 6"], None),
            ("nothing", &[""], None),
            ("nothing beside one", &["5,"], None),
            ("a sign", &["+5"], None),
            ("more than there is", &["18446744073709551616"], None),
            ("no number", &["five"], None),
        ];
        for (sentence, lines, expected) in rows {
            let mut head = HeaderMap::new();
            for line in *lines {
                head.append(CONTENT_LENGTH, HeaderValue::from_static(line));
            }
            let read = has_length(&mut head);
            let lines = head.get_all(CONTENT_LENGTH).iter().map(|line| line.to_str().unwrap()).collect::<Vec<_>>();
            assert_eq!(read.ok().map(|_| lines), expected.map(|one| vec![one]), "{sentence}");
        }
        assert_eq!(has_length(&mut HeaderMap::new()), Ok(false));
    }
}
