//! Key rules: from the keys `key_*` of a route to its [`KeyRule`], and what must agree between them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::resolve::Findings;
use super::route_settings::Rules;
use super::text::Written;
use super::words::Credential;
use crate::rules::fields;
use crate::rules::key_rule::{Glob, Keep, KeyRule, PathPattern, QueryRule, TRACKING};

/// In which order the parameters of a query are in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum QueryOrder {
    /// As they were sent.
    Exact,
    /// By name; those of one name as they were sent.
    Sorted,
}

/// A parameter's name, the beginning of names, or a list of them that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parameters {
    /// This one, or those that begin so.
    Glob(Glob),
    /// Those of [`TRACKING`].
    Tracking,
}

impl Written for Parameters {
    const ALLOWED: &'static str =
        r#"a parameter's name as it is sent, its beginning with a "*", as "utm_*", or "@tracking""#;
    const WORDS: &'static [&'static str] = &["@tracking"];
    const PATTERN: &'static str = r"^[!-~]+$";

    fn read(text: &str) -> Option<Self> {
        if text == "@tracking" { Some(Self::Tracking) } else { Glob::parse(text).map(Self::Glob) }
    }
}

/// A cookie's name.
#[derive(Clone, Debug)]
pub(super) struct CookieName(pub(super) String);

impl Written for CookieName {
    const ALLOWED: &'static str = r#"a cookie's name, as "session""#;
    const PATTERN: &'static str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

    fn read(text: &str) -> Option<Self> {
        // RFC 6265 §4.1.1: a cookie's name is a token, and so is a field's.
        http::HeaderName::from_bytes(text.as_bytes()).ok().map(|_| Self(text.to_owned()))
    }
}

impl Written for PathPattern {
    const ALLOWED: &'static str = r#"segments with at least one {name}, each its own, with "*" for any and "**" as the last, as "/users/{id}/**""#;
    const PATTERN: &'static str = r"^/.*\{[A-Za-z0-9_-]+\}";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

/// The key rule of the route at `at`, whose `cookies` is this.
pub(super) fn resolve(rules: &Rules, cookies: Credential, at: &str, findings: &mut Findings<'_>) -> KeyRule {
    let allow: Vec<&Parameters> = rules.key_query_allow.iter().map(|written| &written.0).collect();
    let drop: Vec<&Parameters> = rules.key_query_drop.iter().map(|written| &written.0).collect();
    let everything = |parameters: &&Parameters| matches!(parameters, Parameters::Glob(glob) if glob.is_everything());
    let limited = !allow.iter().any(everything);
    if limited && !drop.is_empty() {
        let why = r#"allowed: only with key_query_allow = ["*"], because what is not allowed is dropped already"#;
        findings.refuse(&format!("{at}.key_query_drop"), why);
    }
    if allow.contains(&&Parameters::Tracking) {
        let why = r#"allowed: "@tracking" only in key_query_drop"#;
        findings.refuse(&format!("{at}.key_query_allow"), why);
    }
    for name in rules.key_headers.iter().map(|written| &written.0.0) {
        let why = match name.as_str() {
            "authorization" => r#"allowed: other fields; for this one there is authorization = "key""#,
            "cookie" => r#"allowed: other fields; for this one there is cookies = "key", or key_cookies"#,
            _ if !fields::is_forwarded_as_sent(name) => {
                "allowed: only fields that the origin gets as they were sent; not those of one connection, \
                 conditions, or those that say who forwarded the request"
            }
            _ => continue,
        };
        findings.refuse(&format!("{at}.key_headers"), why);
    }
    if !rules.key_cookies.is_empty() && !matches!(cookies, Credential::Rfc | Credential::Checked) {
        let why = r#"allowed: only with cookies = "rfc" or "checked"; under "key" all cookies are in the key, and under "pass" a request with cookies has none"#;
        findings.refuse(&format!("{at}.key_cookies"), why);
    }
    KeyRule {
        query: QueryRule {
            keep: match (limited, drop.is_empty()) {
                (true, _) => Keep::Only(globs(&allow)),
                (false, false) => Keep::Without(globs(&drop)),
                (false, true) => Keep::All,
            },
            sorted: rules.key_query == QueryOrder::Sorted,
        },
        headers: rules.key_headers.iter().map(|written| written.0.0.clone()).collect(),
        cookies: rules.key_cookies.iter().map(|written| written.0.0.as_str().into()).collect(),
        path: rules.key_path.as_ref().map(|written| written.0.clone()),
    }
}

fn globs(parameters: &[&Parameters]) -> Box<[Glob]> {
    let preset = || TRACKING.iter().filter_map(|name| Glob::parse(name));
    parameters
        .iter()
        .flat_map(|one| match one {
            Parameters::Glob(glob) => vec![glob.clone()],
            Parameters::Tracking => preset().collect(),
        })
        .collect()
}
