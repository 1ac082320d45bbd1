//! What of a request is in its key, row by row, and that nothing that is kept is lost.

use proptest::prelude::*;

use super::*;
use crate::rules::testing::{Lines, head};

fn globs(texts: &[&str]) -> Box<[Glob]> {
    texts.iter().map(|text| Glob::parse(text).unwrap()).collect()
}

fn without(texts: &[&str]) -> QueryRule {
    QueryRule { keep: Keep::Without(globs(texts)), sorted: false }
}

fn only(texts: &[&str]) -> QueryRule {
    QueryRule { keep: Keep::Only(globs(texts)), sorted: false }
}

#[test]
fn what_of_a_query_is_in_the_key() {
    let check = |sentence: &str, rule: &QueryRule, target: &str, expected: &str| {
        assert_eq!(rule.apply(target), expected, "{sentence}");
    };
    let exact = QueryRule::default();
    check("all of it, as it was sent", &exact, "/a?b=%61&&a;c", "/a?b=%61&&a;c");

    let tracking = without(TRACKING);
    check("not what marks the way", &tracking, "/a?utm_source=x&id=1&gclid=2", "/a?id=1");
    check("nothing left is no query", &tracking, "/a?utm_source=x", "/a");
    check("an empty query is not none", &tracking, "/a?", "/a?");
    check("a name without a value", &tracking, "/a?fbclid", "/a");
    check("only whole names", &tracking, "/a?xgclid=1&gclid2=1", "/a?xgclid=1&gclid2=1");
    check("in their case", &tracking, "/a?UTM_source=x", "/a?UTM_source=x");
    check("not what some read as two", &tracking, "/a?utm_source=x;id=1", "/a?utm_source=x;id=1");
    check("nor this", &tracking, "/a?utm_x;id=1", "/a?utm_x;id=1");

    let id = only(&["id", "page_*"]);
    check("what is allowed", &id, "/a?id=1&x=2&page_no=3&id=2", "/a?id=1&page_no=3&id=2");
    check("nothing of it is no query", &id, "/a?x=1&&y", "/a");
    check("a name that may be an allowed one, decoded", &id, "/a?%69d=1", "/a?%69d=1");
    check("or without its case", &id, "/a?ID=1", "/a?ID=1");
    check("or where a dot is an underscore", &id, "/a?page.no=1", "/a?page.no=1");
    check("or where ; separates", &id, "/a?x=1;id=2", "/a?x=1;id=2");
    check("none allowed", &only(&[]), "/a?x=1", "/a");
    check("the path is not the query's", &id, "/a=b&c?x=1", "/a=b&c");
    check("a second ? is the query's", &id, "/a?id=1?x=2", "/a?id=1?x=2");

    let sorted = QueryRule { keep: Keep::All, sorted: true };
    check("sorted by name", &sorted, "/a?b=1&a=2&c", "/a?a=2&b=1&c");
    check("equal names in their order", &sorted, "/a?b=2&a=2&b=1&a=1", "/a?a=2&a=1&b=2&b=1");
    check("what some take for one list in its order", &sorted, "/a?b[2]=x&a=1&b[]=y&B=z", "/a?a=1&b[2]=x&b[]=y&B=z");
    check("not where a name is encoded", &sorted, "/a?b=1&%61=2&a=3", "/a?b=1&%61=2&a=3");
    check("nor where ; may separate", &sorted, "/a?b=1;a=1&a=2", "/a?b=1;a=1&a=2");

    let both = QueryRule { sorted: true, ..without(&["x"]) };
    check("sorted without what is dropped", &both, "/a?b=1&x=2&a=3", "/a?a=3&b=1");

    let many = format!("/a?{}", vec!["x"; PARAMETERS_MAX + 1].join("&"));
    check("more parameters than are looked at", &only(&[]), &many, &many);
    check("as many as are", &only(&[]), &many[..many.len() - 2], "/a");
}

#[test]
fn which_globs_there_are() {
    for good in ["id", "utm_*", "*", "filter[a]"] {
        assert!(Glob::parse(good).is_some(), "{good}");
    }
    for bad in ["", "a*b", "**", "a=b", "a&b", "@tracking", "a b", "ä"] {
        assert!(Glob::parse(bad).is_none(), "{bad}");
    }
    assert!(TRACKING.iter().all(|glob| Glob::parse(glob).is_some()));
}

#[test]
fn which_segments_have_a_name() {
    type Captured = &'static [(&'static str, &'static str)];
    let rows: &[(&str, &str, Captured)] = &[
        ("/users/{id}", "/users/42", &[("id", "42")]),
        ("/users/{id}", "/users/42/", &[]),
        ("/users/{id}", "/users/", &[]),
        ("/users/{id}", "/Users/42", &[]),
        ("/users/{id}/**", "/users/42", &[("id", "42")]),
        ("/users/{id}/**", "/users/42/posts/1", &[("id", "42")]),
        ("/*/{kind}/{id}", "/v1/a/%2F", &[("kind", "a"), ("id", "%2F")]),
        ("/{id}", "*", &[]),
    ];
    for (pattern, path, expected) in rows {
        let captured: Vec<_> =
            PathPattern::parse(pattern).unwrap().captures(path).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(captured, expected, "{pattern} {path}");
    }
    for bad in ["users/{id}", "/users", "/{a}/{a}", "/**/{id}", "/{}", "/x{id}", "/{a b}", "/a*/{id}"] {
        assert!(PathPattern::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn what_is_in_the_key_beside_the_target() {
    let rule = KeyRule {
        headers: Box::new([HeaderName::from_static("x-tenant")]),
        cookies: Box::new(["session".into()]),
        path: PathPattern::parse("/{user}/**"),
        ..KeyRule::default()
    };
    let check = |sentence: &str, one: Lines, two: Lines, same: bool| {
        assert_eq!(rule.parts("/a", &head(one)) == rule.parts("/a", &head(two)), same, "{sentence}");
    };
    check("a field's value", &[("x-tenant", "1")], &[("x-tenant", "2")], false);
    check("each line of it", &[("x-tenant", "1"), ("x-tenant", "2")], &[("x-tenant", "1, 2")], false);
    check("absent is not empty", &[], &[("x-tenant", "")], false);
    check("no other field", &[("x-other", "1")], &[], true);
    check("a cookie's value", &[("cookie", "session=1")], &[("cookie", "session=2")], false);
    check("whatever stands around it", &[("cookie", "a=1; session=1;b")], &[("cookie", "session=1")], true);
    check(
        "in any line (RFC 9113 §8.2.3)",
        &[("cookie", "a=1"), ("cookie", "session=1")],
        &[("cookie", "session=1")],
        true,
    );
    check("every one of that name", &[("cookie", "session=1; session=2")], &[("cookie", "session=1")], false);
    check("no longer name", &[("cookie", "session2=1; xsession=1")], &[("cookie", "a=1")], true);
    check("names have a case (RFC 6265 §5.3)", &[("cookie", "Session=1")], &[], true);
    check("an empty value is not an absent cookie", &[("cookie", "session=")], &[("cookie", "a=1")], false);
    check("nor is a name alone an empty value", &[("cookie", "session=")], &[("cookie", "session")], false);
    assert_ne!(rule.parts("/a", &HeaderMap::new()), rule.parts("/b/c", &HeaderMap::new()), "a named segment");
    assert_eq!(KeyRule::default().parts("/a", &head(&[("cookie", "a")])), []);
}

fn any_glob() -> impl Strategy<Value = Glob> {
    proptest::sample::select(&["a", "b", "ab", "a*", "*"][..]).prop_map(|text| Glob::parse(text).unwrap())
}

fn any_rule() -> impl Strategy<Value = KeyRule> {
    let globs = || proptest::collection::vec(any_glob(), 0..3).prop_map(Box::from);
    let keep = prop_oneof![Just(Keep::All), globs().prop_map(Keep::Only), globs().prop_map(Keep::Without)];
    (keep, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(keep, sorted, headers, cookies)| KeyRule {
        query: QueryRule { keep, sorted },
        headers: if headers { Box::new([HeaderName::from_static("x-a")]) } else { Box::default() },
        cookies: if cookies { Box::new(["a".into()]) } else { Box::default() },
        path: PathPattern::parse("/{a}/**"),
    })
}

/// Targets and fields over few bytes, so that neighbours meet.
fn any_request() -> impl Strategy<Value = (String, HeaderMap)> {
    let parameter = "[ab]{0,2}(=[ab]?)?|a;b|%61=b|A=a|a\\[\\]=b|a\\.b=a";
    let query = proptest::option::of(proptest::collection::vec(parameter, 0..4).prop_map(|all| all.join("&")));
    let lines = proptest::collection::vec(("x-a|cookie", "(a=)?[ab]{0,2}(; ?a=b)?"), 0..3);
    ("/[ab/]{0,3}", query, lines).prop_map(|(path, query, lines)| {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (&**name, &**value)).collect();
        (query.map_or_else(|| path.clone(), |query| format!("{path}?{query}")), head(&lines))
    })
}

fn key(rule: &KeyRule, (target, fields): &(String, HeaderMap)) -> CacheKey {
    let parsed: PathAndQuery = target.parse().unwrap();
    let parts = rule.parts(parsed.path(), fields);
    let parts: Vec<_> = parts.iter().map(|(tag, part)| (*tag, &**part)).collect();
    CacheKey::new("http", b"a", &rule.target(&parsed), &parts)
}

/// What a rule keeps of a request, told in another way: the path, whether there is a query, the kept parameters by the
/// name that orders them, and the values of fields and cookies.
fn kept(rule: &KeyRule, (target, fields): &(String, HeaderMap)) -> (Vec<String>, Vec<Vec<String>>) {
    let (path, query) = target.split_once('?').map_or((&**target, None), |(path, query)| (path, Some(query)));
    let name = |one: &str| one.split('=').next().unwrap().to_owned();
    let taken = |globs: &[Glob], one: &str| {
        let takes = |glob: &Glob| {
            ["a", "b", "ab"].iter().any(|text| *glob == Glob::parse(text).unwrap() && name(one) == **text)
        };
        let begins =
            |glob: &Glob| glob.is_everything() || (*glob == Glob::parse("a*").unwrap() && name(one).starts_with('a'));
        globs.iter().any(|glob| takes(glob) || begins(glob))
    };
    let odd = |one: &str| one.contains([';', '%', '[', '.', 'A']);
    let stays = |one: &&str| match &rule.query.keep {
        Keep::All => true,
        Keep::Only(globs) => odd(one) && *one != "A=a" || taken(globs, &one.to_lowercase()),
        Keep::Without(globs) => one.contains(';') || !taken(globs, one),
    };
    let all: Vec<&str> = query.into_iter().flat_map(|query| query.split('&')).collect();
    let left: Vec<&str> = if query == Some("") { all } else { all.into_iter().filter(stays).collect() };
    let mut groups: Vec<Vec<String>> = vec![left.iter().map(|one| (*one).to_owned()).collect()];
    if rule.query.sorted && !left.iter().any(|one| one.contains([';', '%'])) {
        let group = |one: &str| name(one).split('[').next().unwrap().to_lowercase();
        let mut stems: Vec<_> = left.iter().map(|one| group(one)).collect();
        stems.sort();
        stems.dedup();
        groups = stems
            .iter()
            .map(|stem| left.iter().filter(|one| group(one) == *stem).map(|one| (*one).to_owned()).collect())
            .collect();
    }
    let fields_of =
        |name: &str| fields.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut rest = vec![path.to_owned(), format!("{}", !left.is_empty())];
    if !rule.headers.is_empty() {
        rest.push(format!("{:?}", fields_of("x-a")));
    }
    if !rule.cookies.is_empty() {
        let pairs: Vec<_> = fields_of("cookie")
            .iter()
            .flat_map(|line| line.split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>())
            .collect();
        rest.push(format!("{:?}", pairs.iter().filter(|pair| name(pair) == "a").collect::<Vec<_>>()));
    }
    (rest, groups)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn keys_are_equal_exactly_where_all_that_is_kept_is(rule in any_rule(), one in any_request(), two in any_request()) {
        prop_assert_eq!(key(&rule, &one) == key(&rule, &two), kept(&rule, &one) == kept(&rule, &two));
    }

    #[test]
    fn the_target_of_a_key_is_its_own_target(rule in any_rule(), (target, _) in any_request()) {
        let once = rule.query.apply(&target).into_owned();
        prop_assert_eq!(&rule.query.apply(&once), &once);
    }

    #[test]
    fn no_target_makes_it_panic(rule in any_rule(), target in "\\PC{0,200}") {
        let _ = rule.query.apply(&target);
        let _ = rule.path.iter().flat_map(|pattern| pattern.captures(&target)).count();
    }
}
