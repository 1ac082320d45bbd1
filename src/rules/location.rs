//! References in response fields: which target of the same origin a `Location` or `Content-Location` names.
//!
//! Resolution is that of RFC 3986 §5.2, and the strict one. Nothing is decoded: targets are compared byte for byte, as
//! keys are.

use http::HeaderValue;
use http::uri::PathAndQuery;

use super::key::normal_authority;

/// The target that `value` names, resolved against the target URI of the request that it answers: `scheme`, `authority`
/// and `base`, its path and query.
///
/// `None` where it names something on another origin (scheme, host or port differ; RFC 9110 §4.3.1), or is no reference.
#[must_use]
pub fn target_on_same_origin(scheme: &str, authority: &[u8], base: &str, value: &HeaderValue) -> Option<PathAndQuery> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?.trim_matches([' ', '\t']);
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let reference = Reference::parse(text)?;
    if reference.scheme.is_some_and(|other| !other.eq_ignore_ascii_case(scheme)) {
        return None;
    }
    match reference.authority {
        Some(other) => {
            let scheme = scheme.to_ascii_lowercase();
            // RFC 9110 §4.2.4: "a recipient SHOULD parse for userinfo and treat its presence as an error".
            let usable = !other.is_empty() && !other.contains('@');
            let same =
                normal_authority(scheme.as_bytes(), other.as_bytes()) == normal_authority(scheme.as_bytes(), authority);
            if !(usable && same) {
                return None;
            }
        }
        // RFC 9110 §4.2.1: an http or https URI has an authority. (RFC 3986 §5.2.2: a strict parser does not read
        // `http:a` as a relative reference.)
        None if reference.scheme.is_some() => return None,
        None => {}
    }
    reference.resolve(base)
}

/// The components of a URI reference (RFC 3986 §4.1) that matter here; the fragment is gone.
#[derive(Clone, Copy, Debug)]
struct Reference<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Splits a reference (RFC 3986 appendix B).
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.split_once('#').map_or(text, |(before, _fragment)| before);
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
                // RFC 3986 §4.2: "A path segment that contains a colon character [..] cannot be used as the first
                // segment of a relative-path reference, as it would be mistaken for a scheme name."
                (Some(is_scheme(scheme).then_some(scheme)?), rest)
            }
            _ => (None, text),
        };
        let (hierarchy, query) = match rest.split_once('?') {
            Some((hierarchy, query)) => (hierarchy, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = match hierarchy.strip_prefix("//") {
            Some(after) => {
                let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
                (Some(authority), path)
            }
            None => (None, hierarchy),
        };
        Some(Self { scheme, authority, path, query })
    }

    /// RFC 3986 §5.2.2, for a base that has an authority.
    fn resolve(&self, base: &str) -> Option<PathAndQuery> {
        let (base_path, base_query) = match base.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (base, None),
        };
        let (path, query) = if self.authority.is_some() || self.path.starts_with('/') {
            (without_dot_segments(self.path), self.query)
        } else if self.path.is_empty() {
            // "T.path = Base.path": as it is, dot segments included.
            (base_path.to_owned(), self.query.or(base_query))
        } else {
            // RFC 3986 §5.2.3: "excluding any characters after the right-most "/" in the base URI path".
            let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
            (without_dot_segments(&format!("{folder}/{}", self.path)), self.query)
        };
        let target = match query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        PathAndQuery::try_from(target).ok()
    }
}

/// RFC 3986 §3.1: `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// RFC 3986 §5.2.4, for a path that is empty or begins with a slash. An empty path becomes `/`: "an empty path component
/// is equivalent to an absolute path of "/"" (RFC 9110 §4.2.3).
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    // What follows the last slash is a segment too; a dot there leaves the slash.
    let mut open = true;
    for segment in path.split('/').skip(1) {
        open = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut clean = String::with_capacity(path.len() + 1);
    for segment in kept {
        clean.push('/');
        clean.push_str(segment);
    }
    if open {
        clean.push('/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::any_value;

    fn resolved(base: &str, value: &HeaderValue) -> Option<String> {
        target_on_same_origin("http", b"a", base, value).map(|target| target.as_str().to_owned())
    }

    #[test]
    fn references_resolve_as_in_rfc_3986() {
        // The examples of RFC 3986 §5.4, which the base `http://a/b/c/d;p?q` stands above. (`g:h` and `//g` name other
        // origins; fragments are no part of a target.)
        let normal = [
            ("g:h", None),
            ("g", Some("/b/c/g")),
            ("./g", Some("/b/c/g")),
            ("g/", Some("/b/c/g/")),
            ("/g", Some("/g")),
            ("//g", None),
            ("?y", Some("/b/c/d;p?y")),
            ("g?y", Some("/b/c/g?y")),
            ("#s", Some("/b/c/d;p?q")),
            ("g#s", Some("/b/c/g")),
            ("g?y#s", Some("/b/c/g?y")),
            (";x", Some("/b/c/;x")),
            ("g;x", Some("/b/c/g;x")),
            ("g;x?y#s", Some("/b/c/g;x?y")),
            ("", Some("/b/c/d;p?q")),
            (".", Some("/b/c/")),
            ("./", Some("/b/c/")),
            ("..", Some("/b/")),
            ("../", Some("/b/")),
            ("../g", Some("/b/g")),
            ("../..", Some("/")),
            ("../../", Some("/")),
            ("../../g", Some("/g")),
        ];
        let abnormal = [
            ("../../../g", Some("/g")),
            ("../../../../g", Some("/g")),
            ("/./g", Some("/g")),
            ("/../g", Some("/g")),
            ("g.", Some("/b/c/g.")),
            (".g", Some("/b/c/.g")),
            ("g..", Some("/b/c/g..")),
            ("..g", Some("/b/c/..g")),
            ("./../g", Some("/b/g")),
            ("./g/.", Some("/b/c/g/")),
            ("g/./h", Some("/b/c/g/h")),
            ("g/../h", Some("/b/c/h")),
            ("g;x=1/./y", Some("/b/c/g;x=1/y")),
            ("g;x=1/../y", Some("/b/c/y")),
            ("g?y/./x", Some("/b/c/g?y/./x")),
            ("g?y/../x", Some("/b/c/g?y/../x")),
            ("g#s/../x", Some("/b/c/g")),
            ("http:g", None),
        ];
        for (reference, expected) in normal.into_iter().chain(abnormal) {
            let value = HeaderValue::from_static(reference);
            assert_eq!(resolved("/b/c/d;p?q", &value).as_deref(), expected, "{reference:?}");
        }
    }

    #[test]
    fn what_is_on_the_same_origin() {
        let check = |sentence: &str, scheme: &str, authority: &str, reference: &'static str, expected: Option<&str>| {
            let value = HeaderValue::from_static(reference);
            let target = target_on_same_origin(scheme, authority.as_bytes(), "/base?q", &value);
            assert_eq!(target.as_ref().map(PathAndQuery::as_str), expected, "{sentence}: {reference:?}");
        };
        check("an absolute URI", "http", "a.test", "http://a.test/x?y", Some("/x?y"));
        check("cases aside (RFC 9110 §4.2.3)", "http", "A.test", "HTTP://a.TEST/x", Some("/x"));
        check("a default port is none (§4.2.3)", "http", "a.test", "http://a.test:80/x", Some("/x"));
        check("nor is an empty one (§4.2.1)", "http", "a.test:80", "http://a.test:/x", Some("/x"));
        check("of its own scheme", "https", "a.test", "https://a.test:443/x", Some("/x"));
        check("an empty path is / (§4.2.3)", "http", "a.test", "http://a.test", Some("/"));
        check("also before a query", "http", "a.test", "http://a.test?y", Some("/?y"));
        check("a network-path reference", "http", "a.test", "//a.test/x", Some("/x"));
        check("IPv6", "http", "[::1]:80", "http://[::1]/x", Some("/x"));
        check("blanks around it are none of it (§5.5)", "http", "a.test", " /x\t", Some("/x"));
        check("another scheme is another origin", "https", "a.test", "http://a.test/x", None);
        check("another port", "http", "a.test", "http://a.test:81/x", None);
        check("another host", "http", "a.test", "http://b.test/x", None);
        check("a host in front of ours", "http", "a.test", "http://a.test.b.test/x", None);
        check("userinfo (§4.2.4)", "http", "a.test", "http://a.test@b.test/x", None);
        check("userinfo, of our own host too", "http", "a.test", "http://me@a.test/x", None);
        check("no host (§4.2.1)", "http", "", "http:///x", None);
        check("no authority (§4.2.1)", "http", "a.test", "http:/x", None);
        check("a colon in the first segment (RFC 3986 §4.2)", "http", "a.test", "1:2/x", None);
        check("but in a later one", "http", "a.test", "./1:2/x", Some("/1:2/x"));
        check("blanks within", "http", "a.test", "/x /y", None);
        check("no dot is decoded", "http", "a.test", "/x/%2e%2e/y", Some("/x/%2e%2e/y"));
        check("empty segments are segments", "http", "a.test", "/x//../y", Some("/x/y"));
    }

    #[test]
    fn bytes_that_no_uri_has_name_nothing() {
        for bytes in [&b"/\xe4"[..], b"/a\tb", "/ä".as_bytes(), b"/<a>"] {
            assert_eq!(resolved("/", &HeaderValue::from_bytes(bytes).unwrap()), None, "{bytes:?}");
        }
    }

    fn any_target() -> impl Strategy<Value = String> {
        "(/[a-z.%0-9:@!-]{0,3}){1,5}(\\?[a-z/.?=&]{0,5})?"
    }

    fn path(target: &str) -> &str {
        target.split('?').next().unwrap_or_default()
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in any_value(), base in "[/*a?.]{0,8}") {
            let _ = resolved(&base, &value);
        }

        #[test]
        fn what_was_resolved_resolves_to_itself(base in any_target(), reference in "[a-c./?:]{0,12}") {
            let Some(target) = resolved(&base, &HeaderValue::try_from(&reference).unwrap()) else { return Ok(()) };
            let absolute = HeaderValue::try_from(format!("http://a{target}")).unwrap();
            let again = resolved("/elsewhere", &absolute);
            if !path(&target).split('/').any(|segment| matches!(segment, "." | "..")) {
                prop_assert_eq!(again, Some(target));
            }
        }

        #[test]
        fn dots_are_gone_unless_the_base_was_taken_as_it_is(base in any_target(), reference in "[a-c./]{1,12}") {
            prop_assume!(!reference.starts_with("//"));
            let target = resolved(&base, &HeaderValue::try_from(reference).unwrap()).unwrap();
            prop_assert!(target.starts_with('/'));
            prop_assert!(!target.split('/').any(|segment| matches!(segment, "." | "..")), "{}", target);
        }

        #[test]
        fn a_target_names_itself_in_every_form(target in any_target()) {
            prop_assume!(!path(&target).split('/').any(|segment| matches!(segment, "." | "..")));
            let forms = [format!("http://a{target}"), format!("//a:80{target}"), format!("HTTP://A:{target}")];
            for form in forms {
                prop_assert_eq!(resolved("/x", &HeaderValue::try_from(form).unwrap()), Some(target.clone()));
            }
        }
    }
}
