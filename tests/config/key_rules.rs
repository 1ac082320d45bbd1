//! What the keys `key_*` of a route come to.

use http::HeaderMap;
use http::uri::PathAndQuery;

use crate::support::minimal;

#[test]
fn what_of_a_target_is_in_its_key() {
    let check = |sentence: &str, written: &str, target: &'static str, expected: &str| {
        let config = minimal().toml(&format!("[defaults]\n{written}\n")).load().unwrap().config;
        let key = &config.routes[0].policy.key;
        assert_eq!(key.target(&PathAndQuery::from_static(target)), expected, "{sentence}");
    };
    check("all of it, if nothing is said", "", "/a?b=1&utm_source=2&a=3", "/a?b=1&utm_source=2&a=3");
    check("sorted", "key_query = \"sorted\"", "/a?b=1&a=3", "/a?a=3&b=1");
    check("what is allowed", "key_query_allow = [\"a\", \"p*\"]", "/a?b=1&a=3&page=4", "/a?a=3&page=4");
    check("nothing, if nothing is allowed", "key_query_allow = []", "/a?b=1", "/a");
    check("all but what is dropped", "key_query_drop = [\"b\"]", "/a?b=1&a=3", "/a?a=3");
    check("a preset", "key_query_drop = [\"@tracking\", \"b\"]", "/a?utm_x=1&a=3&b&fbclid=4", "/a?a=3");
}

#[test]
fn the_reference_lists_what_a_preset_stands_for() {
    let reference = truehit::config::reference();
    for glob in truehit::rules::key_rule::TRACKING {
        assert!(reference.contains(&format!("`{glob}`")), "{glob}");
    }
}

#[test]
fn a_route_can_undo_what_the_defaults_say_of_its_key() {
    let text = "[defaults]\nkey_query_drop = [\"b\"]\nkey_headers = [\"X-Tenant\"]\n\
                [[route]]\nname = \"a\"\npaths = [\"/a\"]\nkey_query_drop = []\nkey_query_allow = [\"c\"]\nkey_headers = []\n";
    let config = minimal().toml(text).load().unwrap().config;
    let [route, last] = &config.routes[..] else { panic!("two routes") };
    let target = PathAndQuery::from_static("/a?b=1&c=2");
    assert_eq!((&*route.policy.key.target(&target), &*last.policy.key.target(&target)), ("/a?c=2", "/a?c=2"));
    let parts = |key: &truehit::rules::key_rule::KeyRule| key.parts("/a", &HeaderMap::new()).len();
    assert_eq!((parts(&route.policy.key), parts(&last.policy.key)), (0, 1));
}

#[test]
fn key_rules_that_could_not_do_what_they_say_are_refused() {
    for (name, text, expected) in [
        (
            "two ways to leave parameters out",
            "key_query_allow = [\"a\"]\nkey_query_drop = [\"b\"]\n",
            "t.toml:3: defaults.key_query_drop: found [\"b\"]; allowed: only with key_query_allow = [\"*\"], because what is not allowed is dropped already",
        ),
        (
            "a preset to be kept",
            "key_query_allow = [\"@tracking\"]\n",
            "t.toml:2: defaults.key_query_allow: found [\"@tracking\"]; allowed: \"@tracking\" only in key_query_drop",
        ),
        (
            "a credential as any other field",
            "key_headers = [\"Authorization\"]\n",
            "t.toml:2: defaults.key_headers: found [\"Authorization\"]; allowed: other fields; for this one there is authorization = \"key\"",
        ),
        (
            "a field that the origin does not get as it was sent",
            "key_headers = [\"X-Forwarded-For\"]\n",
            "t.toml:2: defaults.key_headers: found [\"X-Forwarded-For\"]; allowed: only fields that the origin gets as they were sent; not those of one connection, conditions, or those that say who forwarded the request",
        ),
        (
            "a cookie where all are in the key",
            "key_cookies = [\"session\"]\n",
            "t.toml:2: defaults.key_cookies: found [\"session\"]; allowed: only with cookies = \"rfc\" or \"checked\"; under \"key\" all cookies are in the key, and under \"pass\" a request with cookies has none",
        ),
        (
            "a pattern without a name",
            "key_path = \"/users/*\"\n",
            "t.toml:2: defaults.key_path: found \"/users/*\"; allowed: segments with at least one {name}, each its own, with \"*\" for any and \"**\" as the last, as \"/users/{id}/**\"",
        ),
        (
            "a glob in the middle",
            "key_query_drop = [\"a*b\"]\n",
            "t.toml:2: defaults.key_query_drop[0]: found \"a*b\"; allowed: a parameter's name as it is sent, its beginning with a \"*\", as \"utm_*\", or \"@tracking\"",
        ),
    ] {
        assert_eq!(minimal().toml(&format!("[defaults]\n{text}")).error(), expected, "{name}");
    }
}
