//! Durations and sizes: what is read, what is refused, and that what is written is read back.

use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, proptest};
use truehit::config::{duration, size};

#[test]
fn durations_are_a_number_and_a_unit() {
    for (text, expected) in [
        ("250ms", Some(Duration::from_millis(250))),
        ("1.5s", Some(Duration::from_millis(1500))),
        ("5m", Some(Duration::from_secs(300))),
        ("0s", Some(Duration::ZERO)),
        ("0.5us", Some(Duration::from_nanos(500))),
        ("8760h", Some(duration::LONGEST)),
        ("8760.1h", None),
        ("0.5ns", None),
        ("5", None),
        ("s", None),
        ("", None),
        ("-1s", None),
        ("+1s", None),
        ("1. s", None),
        ("1.s", None),
        (".5s", None),
        ("1 s", None),
        ("1S", None),
        ("1d", None),
        ("1e3s", None),
        ("99999999999999999999h", None),
    ] {
        assert_eq!(duration::parse(text), expected, "{text:?}");
    }
}

#[test]
fn sizes_are_a_number_and_a_unit_or_a_number_of_bytes() {
    for (text, expected) in [
        ("64MiB", Some(64 << 20)),
        ("1.5KiB", Some(1536)),
        ("32KiB", Some(32 << 10)),
        ("10kB", Some(10_000)),
        ("5GB", Some(5_000_000_000)),
        ("512B", Some(512)),
        ("512", Some(512)),
        ("0", Some(0)),
        ("16777216TiB", None),
        ("0.3B", None),
        ("1Mi", None),
        ("1mb", None),
        ("-1", None),
        ("", None),
        ("MiB", None),
    ] {
        assert_eq!(size::parse(text), expected, "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_duration_that_was_written_is_read_back(seconds in 0_u64..365 * 86_400, nanos in 0_u32..1_000_000_000) {
        for duration in [Duration::new(seconds, nanos), Duration::from_secs(seconds), Duration::from_millis(seconds)] {
            assert_eq!(duration::parse(&duration::render(duration)), Some(duration));
        }
    }

    #[test]
    fn a_size_that_was_written_is_read_back(bytes in any::<u64>(), shift in 0_u32..64) {
        for bytes in [bytes, bytes >> shift, bytes << shift] {
            assert_eq!(size::parse(&size::render(bytes)), Some(bytes));
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "[0-9.a-zA-Zé ]{0,30}") {
        let _ = (duration::parse(&text), size::parse(&text));
    }
}
