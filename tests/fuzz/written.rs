//! The targets for what an operator writes: files, variables, durations, sizes, and the rules of keys.
//!
//! Made like those of `targets.rs`, which are for what comes over the wire.

use std::time::Duration;

use truehit::config::{self, ConfigError, Loaded, Overrides, duration, size};
use truehit::rules::key_rule::{Glob, Keep, KeyRule, PathPattern, QueryRule};

/// A target: its name, which is that of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("config", config_file),
    ("environment", environment),
    ("duration", durations),
    ("size", sizes),
    ("key_rule", key_rule),
    ("key_path", key_path),
];

/// A configuration file: TOML, or YAML after a line `---`.
pub fn config_file(bytes: &[u8]) {
    thread_local! {
        /// A folder per thread: targets run beside each other, and in more than one process.
        static FOLDER: std::path::PathBuf = {
            let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
            let folder = std::env::temp_dir().join(format!("truehit-fuzz-{}-{thread}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder of its own");
            folder
        };
    }
    let extension = if bytes.starts_with(b"---") { "yaml" } else { "toml" };
    let path = FOLDER.with(|folder| folder.join(format!("truehit.{extension}")));
    std::fs::write(&path, bytes).expect("a file of its own");
    let load = || {
        // The file may leave the origin out, and is not refused for that alone.
        let origin = Some("http://origin.test".to_owned());
        config::load(&Overrides { config: Some(path.clone()), origin, ..Overrides::default() }, std::iter::empty())
    };
    holds(&load(), &load());
}

/// Variables of the environment, a line each.
pub fn environment(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let load = || {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        // A file that is named would be read.
        let pairs = pairs.filter(|(name, _)| *name != "TRUEHIT_CONFIG");
        let origin = Some("http://origin.test".to_owned());
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        config::load(&Overrides { origin, ..Overrides::default() }, pairs)
    };
    holds(&load(), &load());
}

/// What holds for any configuration: it means one thing, has its bounds, or says what is wrong with it.
fn holds(loaded: &Result<Loaded, ConfigError>, again: &Result<Loaded, ConfigError>) {
    match (loaded, again) {
        (Ok(one), Ok(other)) => {
            assert_eq!(format!("{:?}", one.config), format!("{:?}", other.config));
            let limits = &one.config.limits;
            assert!(!one.config.routes.is_empty() && limits.connections > 0 && limits.head_bytes > 0);
            assert!(one.config.origin.response_timeout <= duration::LONGEST);
        }
        (Err(one), Err(other)) => {
            assert_eq!(one.to_string(), other.to_string());
            assert!(!one.to_string().trim().is_empty(), "what is refused is told why");
        }
        _ => panic!("loaded once and refused once"),
    }
}

/// Durations as text.
pub fn durations(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(read) = duration::parse(&text) {
        assert!(read <= duration::LONGEST);
        assert_eq!(duration::parse(&duration::render(read)), Some(read), "a duration is what it is written as");
    }
    let nanos = bytes.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let any = Duration::from_nanos(nanos).min(duration::LONGEST);
    assert_eq!(duration::parse(&duration::render(any)), Some(any));
}

/// Sizes as text.
pub fn sizes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(read) = size::parse(&text) {
        assert_eq!(size::parse(&size::render(read)), Some(read), "a size is what it is written as");
    }
}

/// `key_query` and its lists: a line with the rule and its globs, and a line with a target.
pub fn key_rule(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let how = words.next().unwrap_or_default();
    let globs = words.filter_map(Glob::parse).collect();
    let keep = match how.trim_start_matches("sorted-") {
        "only" => Keep::Only(globs),
        "without" => Keep::Without(globs),
        _ => Keep::All,
    };
    let rule = QueryRule { keep, sorted: how.starts_with("sorted-") };
    let target = lines.next().unwrap_or_default();
    let key = rule.apply(target);
    assert_eq!(rule.apply(&key), key, "a target in a key is a fixed point");
    let parameters = |target: &str| {
        let query = target.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
        let mut all: Vec<_> = query.split('&').map(str::to_owned).collect();
        all.sort();
        all
    };
    let (sent, kept) = (parameters(target), parameters(&key));
    assert!(kept.iter().all(|one| one.is_empty() || sent.contains(one)), "nothing is made up");
    assert_eq!(key.split('?').next(), target.split('?').next(), "the path stays");
    if rule.keep == Keep::All {
        assert_eq!(kept, sent, "and nothing is lost");
    }
}

/// `key_path`: a line with a pattern, and a line with a path.
pub fn key_path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let Some(pattern) = PathPattern::parse(lines.next().unwrap_or_default()) else { return };
    let path = lines.next().unwrap_or_default();
    for (name, segment) in pattern.captures(path) {
        assert!(!name.is_empty() && path.split('/').any(|one| one == segment), "what is named was sent");
    }
    let rule = KeyRule { path: Some(pattern), ..KeyRule::default() };
    assert_eq!(rule.parts(path, &http::HeaderMap::new()), rule.parts(path, &http::HeaderMap::new()));
}
