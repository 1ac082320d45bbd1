//! Clock tags: entity tags made of a modification time and a length, and what they are worth.
//!
//! nginx and Apache mark such a tag strong. It stays the same when a file is rewritten, at the same length, within the
//! tick of its clock; a 304 for it is then a 304 for the old bytes, for good. So it proves nothing about a body that was
//! fetched within that tick.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{DATE, LAST_MODIFIED};

use super::validator::{EntityTag, content_length_of, date_of};

/// Whether `tag` is made of a modification time and a length, as nginx and Apache make them (`"65a1b2c3-1f4"`).
///
/// The shape is two to four hexadecimal or decimal numbers of at most 64 bits; and the response has a `Last-Modified`,
/// or one number reads as a time between 2001 and 2106 in seconds, milliseconds or microseconds. A single
/// number that is the `Last-Modified` is one too (mod_dav, Drupal), and so are time and length run together in base 36
/// (older Caddys).
#[must_use]
pub fn is_clock_tag(tag: &EntityTag, last_modified: Option<SystemTime>, content_length: Option<u64>) -> bool {
    if let Some(numbers) = numbers(tag.opaque()) {
        return last_modified.is_some() || numbers.into_iter().flatten().any(|number| time_in(number).is_some());
    }
    let Some(modified) = last_modified.and_then(unix_seconds) else { return false };
    if time_in(tag.opaque()).and_then(unix_seconds) == Some(modified) {
        return true;
    }
    let Some(length) = content_length else { return false };
    let mut caddy = base36(modified);
    caddy.extend(base36(length));
    tag.opaque() == caddy
}

/// Whether an equal `tag` proves equal bytes, `head` being the head that came *with the stored body*.
///
/// A strong tag does. A clock tag does if the body was fetched more than a second after its modification, by the
/// origin's own clock: no later write can then have left the same tag. A weak tag never does (RFC 9110 §8.8.1).
///
/// Ask this once, when the body arrives, and keep the answer. A freshened head carries the `Date` of the 304, which
/// would make an old enough tag of any young one.
#[must_use]
pub fn vouches(tag: &EntityTag, head: &HeaderMap) -> bool {
    if tag.weak {
        return false;
    }
    let modified = date_of(head, LAST_MODIFIED);
    if !is_clock_tag(tag, modified, content_length_of(head)) {
        return true;
    }
    let modified = modified.or_else(|| {
        let times = numbers(tag.opaque())?.into_iter().flatten().filter_map(time_in);
        times.max()
    });
    is_strong(modified, date_of(head, DATE))
}

/// Whether the `Last-Modified` of `head`, the head that came *with the stored body*, is a strong validator.
#[must_use]
pub fn date_vouches(head: &HeaderMap) -> bool {
    is_strong(date_of(head, LAST_MODIFIED), date_of(head, DATE))
}

/// RFC 9110 §8.8.2.2: a modification date is strong if the stored response's Date is at least one second after it, by the
/// same clock. Both are cut to whole seconds, so more than one is asked for.
fn is_strong(modified: Option<SystemTime>, date: Option<SystemTime>) -> bool {
    let since = modified.zip(date).and_then(|(modified, date)| date.duration_since(modified).ok());
    since.is_some_and(|since| since > Duration::from_secs(1))
}

/// The two to four parts of a tag that looks like numbers, or `None` when it does not.
fn numbers(opaque: &[u8]) -> Option<[Option<&[u8]>; 4]> {
    let mut numbers = [None; 4];
    let mut count = 0;
    // Apache and nginx write a hyphen, actix a colon; werkzeug's time has a fraction.
    for part in opaque.split(|&byte| matches!(byte, b'-' | b':')) {
        let whole = part.split(|&byte| byte == b'.').next().unwrap_or_default();
        let digits = part.iter().all(|&byte| byte.is_ascii_hexdigit() || byte == b'.');
        if !digits
            || whole.is_empty()
            || whole.len() > 20
            || (whole.len() > 16 && !whole.iter().all(u8::is_ascii_digit))
        {
            return None;
        }
        *numbers.get_mut(count)? = Some(whole);
        count += 1;
    }
    (count >= 2).then_some(numbers)
}

/// The time between 2001 and 2106 that a hexadecimal or decimal number reads as.
fn time_in(number: &[u8]) -> Option<SystemTime> {
    const FROM: u64 = 978_307_200;
    const TO: u64 = u32::MAX as u64;
    let text = std::str::from_utf8(number).ok()?;
    let readings = [u64::from_str_radix(text, 16).ok(), text.parse().ok()];
    readings
        .into_iter()
        .flatten()
        .find_map(|number: u64| {
            let units = [1, 1_000, 1_000_000];
            units.into_iter().map(|unit| number / unit).find(|seconds| (FROM..=TO).contains(seconds))
        })
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
}

fn unix_seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn base36(mut number: u64) -> Vec<u8> {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.reverse();
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{Lines, head};

    fn tag(opaque: &str) -> EntityTag {
        EntityTag::new(false, opaque.as_bytes()).unwrap()
    }

    #[test]
    fn clock_tags_are_known_by_their_shape() {
        let modified = UNIX_EPOCH.checked_add(Duration::from_secs(0x65a1_b2c3));
        let rows = [
            ("nginx: time and length", "65a1b2c3-1f4", None, true),
            ("Apache: length and microseconds", "1f4-60ecb3f4d8a40", None, true),
            ("Apache 1.3: inode, length, time", "2a0-1f4-65a1b2c3", None, true),
            ("serve-static: length and milliseconds", "1f4-18cff5d2f38", None, true),
            ("werkzeug: seconds with a fraction, length, path", "1705095875.25-500-3987123456", None, true),
            ("actix: inode, length, seconds, nanoseconds", "2a0:1f4:65a1b2c3:3b9aca", None, true),
            ("two numbers that are no time", "12-1f4", None, false),
            ("two numbers beside a Last-Modified", "12-1f4", modified, true),
            ("a revision", "42", modified, false),
            ("a digest", "d41d8cd98f00b204e9800998ecf8427e", modified, false),
            ("S3's digest of parts", "d41d8cd98f00b204e9800998ecf8427e-5", modified, false),
            ("a UUID", "550e8400-e29b-41d4-a716-446655440000", modified, false),
            ("Express's length and SHA-1", "1f4-2jmj7l5rSw0yVb/vlWAYkK/YBwk", modified, false),
            ("Caddy: seconds and length in base 36", "s764ebdw", modified, true),
            ("mod_dav: microseconds", "60ec691f1d900", modified, true),
            ("decimal seconds", "1705095875", modified, true),
            ("the same digits without the date", "s764ebdw", None, false),
            ("a hyphen is no number", "-", modified, false),
        ];
        for (sentence, opaque, modified, expected) in rows {
            assert_eq!(is_clock_tag(&tag(opaque), modified, Some(500)), expected, "{sentence}: {opaque}");
        }
    }

    #[test]
    fn a_clock_tag_vouches_a_second_after_its_modification() {
        const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        let rows: &[(&str, &str, Lines, bool)] = &[
            ("a strong tag that is no clock's", "v1", &[], true),
            ("fetched in the second of the modification", "2ebc9a21-5", &[MODIFIED, ("date", MODIFIED.1)], false),
            ("one second later", "2ebc9a21-5", &[MODIFIED, ("date", "Sun, 06 Nov 1994 08:49:38 GMT")], false),
            ("two seconds later", "2ebc9a21-5", &[MODIFIED, ("date", "Sun, 06 Nov 1994 08:49:39 GMT")], true),
            ("modified in the future", "2ebc9a21-5", &[MODIFIED, ("date", "Sun, 06 Nov 1994 08:49:30 GMT")], false),
            ("no Date says when", "2ebc9a21-5", &[MODIFIED], false),
            // 0x65a1b2c3 is Fri, 12 Jan 2024 21:44:35 GMT.
            ("the tag's own time, young", "65a1b2c3-5", &[("date", "Fri, 12 Jan 2024 21:44:36 GMT")], false),
            ("the tag's own time, old enough", "65a1b2c3-5", &[("date", "Fri, 12 Jan 2024 21:44:37 GMT")], true),
        ];
        for (sentence, opaque, lines, expected) in rows {
            assert_eq!(vouches(&tag(opaque), &head(lines)), *expected, "{sentence}");
        }
        let weak = EntityTag::new(true, b"v1").unwrap();
        assert!(!vouches(&weak, &HeaderMap::new()), "a weak tag never does (RFC 9110 §8.8.1)");
    }
}
