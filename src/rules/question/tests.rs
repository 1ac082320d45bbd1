//! Which check is made of what is stored, row by row.

use super::*;
use crate::rules::learn::Shown;
use crate::rules::policy::{Credentials, DigestEndpoint};
use crate::rules::testing::{Req, Stored, ago, get, lookup, method, policy, policy_with, secs, stored, verify};

/// The `etag` package's form of "abc": a weak tag that is a digest of the stored bytes.
const EXPRESS: &str = "W/\"3-qZk+NkcGgWq6PiVxeFDCbJzQ2J0\"";

fn chosen(request: &Req, variants: &[Stored], policy: &Policy, shown: &[Shown]) -> String {
    let mut learned = Learned::default();
    shown.iter().for_each(|shown| learned.learn(*shown, ago(0).at, secs(20_000)));
    let ask = request.ask(policy);
    match choose(&ask, &lookup(variants, &ask), policy, &learned) {
        Question::Whole(why) => format!("whole: {}", why.as_str()),
        Question::Check(check) => {
            assert!(!check.candidates.is_empty(), "a check is of something");
            let mut sent = HeaderMap::new();
            set_condition(&check, policy, &mut sent);
            let sent =
                [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE].into_iter().filter_map(|name| sent.remove(name));
            let sent = sent.filter(|_| check.strategy == Strategy::Conditional);
            let condition: String = sent.map(|value| format!(" {}", value.to_str().unwrap())).collect();
            format!("{}: {}{condition}", check.strategy.as_str(), check.why.as_str())
        }
    }
}

fn endpoint(policy: &mut Policy) {
    policy.digest_endpoint = Some(DigestEndpoint::OnOrigin("/_sha256{path}".into()));
}

#[test]
fn auto_picks_the_cheapest_that_can_prove_something() {
    let check = |sentence: &str, variant: Stored, shown: &[Shown], expected: &str| {
        assert_eq!(chosen(&get("/a"), &[variant], &policy(), shown), expected, "{sentence}");
    };
    let strong = || stored().etag("\"1\"");
    let ignored = [Shown::ConditionIgnored; 3];
    check("a strong tag (RFC 9110 §8.8.3.2)", strong(), &[], "conditional: strong-tag \"1\"");
    check("a recognised weak tag", stored().etag(EXPRESS), &[], &format!("conditional: recognised-tag {EXPRESS}"));
    check("conditions are ignored: HEAD", strong(), &ignored, "head: condition-ignored");
    let both = [&ignored[..], &[Shown::HeadUseless]].concat();
    check("and HEAD is useless: bytes", strong(), &both, "body: condition-ignored");
    let digest = || stored().with("repr-digest", "sha-256=:AAAA:");
    check("a digest in the response (RFC 9530)", digest(), &[], "head: repr-digest");
    check("unless HEAD is useless", digest(), &[Shown::HeadUseless], "body: no-validator");
    check("without a validator HEAD is tried once", stored(), &[], "head: probe");
    check("not where it is known to be of use elsewhere", stored(), &[Shown::HeadComparable], "body: no-validator");
    check("nor where it is useless", stored(), &[Shown::HeadUseless], "body: no-validator");
    let weak = || stored().etag("W/\"7\"");
    check("a weak tag proves nothing (RFC 9110 §8.8.1)", weak(), &[Shown::HeadUseless], "body: weak-tag");
    let modified = "Thu, 01 Jan 2026 00:00:00 GMT";
    let nginx = |date: &str| stored().etag("\"6955b900-3\"").with("last-modified", modified).with("date", date);
    let young = nginx("Thu, 01 Jan 2026 00:00:01 GMT");
    check("a clock tag is too young within its second", young, &[Shown::HeadUseless], "body: young-tag");
    let old = nginx("Thu, 01 Jan 2026 00:00:02 GMT");
    check("and vouches after it", old, &[], "conditional: strong-tag \"6955b900-3\"");
    let dated = || stored().with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
    check("a date proves nothing", dated(), &[Shown::HeadUseless], "body: no-validator");
    check("a false 304: nothing but bytes", strong(), &[Shown::FalseConfirmation], "body: distrusted");
}

#[test]
fn a_route_that_confirmed_what_was_not_so_is_believed_in_nothing_but_bytes() {
    let check = |sentence: &str, variant: Stored, policy: Policy, expected: &str| {
        assert_eq!(chosen(&get("/a"), &[variant], &policy, &[Shown::FalseConfirmation]), expected, "{sentence}");
    };
    let strong = || stored().etag("\"1\"");
    let conditional = policy_with(|policy| policy.check = CheckHow::Only(Strategy::Conditional));
    check("by auto", strong(), policy(), "body: distrusted");
    check("nor where conditional is configured", strong(), conditional, "body: distrusted");
    check("nor about another variant", strong().varying("x", "1"), policy(), "whole: vary-miss");
}

#[test]
fn what_the_route_says() {
    let check = |sentence: &str, variant: Stored, adjust: fn(&mut Policy), expected: &str| {
        assert_eq!(chosen(&get("/a"), &[variant], &policy_with(adjust), &[]), expected, "{sentence}");
    };
    let strong = || stored().etag("\"1\"");
    let dated = || stored().with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
    let weak = || stored().etag("W/\"7\"");
    check("a digest endpoint is cheapest", strong(), endpoint, "digest-endpoint: configured");
    check(
        "but knows nothing of who may see a shared body",
        strong(),
        |policy| {
            endpoint(policy);
            policy.authorization = Credentials::Checked;
        },
        "conditional: strong-tag \"1\"",
    );
    for (strategy, expected) in [
        (Strategy::Head, "head: configured"),
        (Strategy::Body, "body: configured"),
        (Strategy::DigestEndpoint, "digest-endpoint: configured"),
        (Strategy::Conditional, "conditional: configured \"1\""),
    ] {
        let policy = policy_with(|policy| policy.check = CheckHow::Only(strategy));
        assert_eq!(chosen(&get("/a"), &[strong()], &policy, &[]), expected);
    }
    let conditional: fn(&mut Policy) = |policy| policy.check = CheckHow::Only(Strategy::Conditional);
    check("conditional with nothing to ask about", weak(), conditional, "body: unusable");
    let trusting: fn(&mut Policy) = |policy| (policy.trust.weak_etag, policy.trust.last_modified) = (true, true);
    check("a trusted weak tag", weak(), trusting, "conditional: trusted W/\"7\"");
    check("a trusted date", dated(), trusting, "conditional: trusted Thu, 01 Jan 2026 00:00:00 GMT");
    let trusting_checked: fn(&mut Policy) = |policy| {
        (policy.trust.weak_etag, policy.trust.last_modified) = (true, true);
        policy.cookies = Credentials::Checked;
    };
    check("no trust where users share bodies by check", weak(), trusting_checked, "head: probe");
    check("nor in a date", dated(), trusting_checked, "head: probe");
}

#[test]
fn under_when_stale_any_validator_will_do() {
    let check = |sentence: &str, variant: Stored, expected: &str| {
        assert_eq!(chosen(&get("/a"), &[variant], &verify(Verify::WhenStale), &[]), expected, "{sentence}");
    };
    check("a weak tag (RFC 9111 §4.3.1)", stored().etag("W/\"7\""), "conditional: validator W/\"7\"");
    let date = "Thu, 01 Jan 2026 00:00:00 GMT";
    let dated = stored().with("last-modified", date);
    check("a date", dated.clone(), &format!("conditional: validator {date}"));
    let both = format!("conditional: validator \"1\" {date}");
    check("the tag, and the date for who does not know it (RFC 9110 §13.1.3)", dated.etag("\"1\""), &both);
    check("without one there is nothing to ask", stored(), "whole: uncheckable");
}

#[test]
fn a_twin_is_asked_about_alone_and_its_tag_must_come_back() {
    let check = |sentence: &str, twin: bool, policy: &Policy, expected: (usize, bool)| {
        let mut ask = get("/a").ask(policy);
        ask.twin = twin.then(|| get("/b").ask(policy).key);
        let both = [stored().etag("\"2\"").varying("x", "1"), stored().etag("\"1\"")];
        let Question::Check(made) = choose(&ask, &lookup(&both, &ask), policy, &Learned::default()) else {
            panic!("{sentence}: no check")
        };
        let made = made.for_twin(&ask, policy);
        assert_eq!((made.candidates.len(), made.selected), expected, "{sentence}");
    };
    check("what is stored for the own target", false, &policy(), (2, true));
    check("what is stored for a twin", true, &policy(), (1, false));
    check("where RFC 9111 is the rule", true, &verify(Verify::WhenStale), (2, true));
}

#[test]
fn several_variants_are_asked_about_at_once() {
    let check = |sentence: &str, request: Req, variants: &[Stored], expected: &str| {
        assert_eq!(chosen(&request, variants, &policy(), &[]), expected, "{sentence}");
    };
    let (de, en) = (stored().etag("\"de\"").varying("accept-language", "de"), stored().etag("\"en\""));
    let en = en.varying("accept-language", "en");
    let both = [de.clone(), en];
    let asking = |language: &str| get("/a").with("accept-language", language);
    check("nothing stored", get("/a"), &[], "whole: uri-miss");
    check("the selected one first (RFC 9111 §4.3.1)", asking("de"), &both, "conditional: strong-tag \"de\", \"en\"");
    check("none selected: the newest first", asking("fr"), &both, "conditional: strong-tag \"en\", \"de\"");
    let weak = stored().etag("W/\"7\"").varying("accept-language", "de");
    check("none selected, and no tag that proves", asking("fr"), &[weak], "whole: vary-miss");
    let bare = stored().varying("accept-language", "de");
    check("none selected, and no tag", asking("fr"), &[bare], "whole: vary-miss");
    let twin = stored().etag("\"de\"").varying("accept-language", "at");
    check("one tag is named once", asking("de"), &[twin, de], "conditional: strong-tag \"de\"");
    let zipped = stored().etag("\"z\"").with("content-encoding", "gzip").varying("accept-encoding", "gzip");
    let plain = stored().etag("\"p\"").varying("accept-encoding", "identity");
    let codings = [zipped, plain];
    let offering = |codings: &str| get("/a").with("accept-encoding", codings);
    check("a coding that the request accepts", offering("br, gzip"), &codings, "conditional: strong-tag \"p\", \"z\"");
    check("little as it likes it", offering("gzip;q=0.5"), &codings, "conditional: strong-tag \"p\", \"z\"");
    check("not one that it does not", offering("br"), &codings, "conditional: strong-tag \"p\"");
    check(
        "nor one that it refuses (RFC 9110 §12.4.2)",
        offering("gzip;q=0, br"),
        &codings,
        "conditional: strong-tag \"p\"",
    );
    check("nor one nobody spoke of", get("/a"), &codings, "conditional: strong-tag \"p\"");
    let many: Vec<_> = (0..TAGS_MAX + 2).map(|n| stored().etag(&format!("\"{n}\""))).collect();
    let named = chosen(&get("/a"), &many, &policy(), &[]).matches('"').count() / 2;
    assert_eq!(named, TAGS_MAX, "the list is bounded");
}

#[test]
fn a_query_is_checked_by_what_sends_its_content_along() {
    let query = || method("QUERY", "/a").with("content-type", "text/plain").with_query("x");
    let graphql = || method("POST", "/a").with("content-type", "application/json").with_query(r#"{"query":"{a}"}"#);
    let check = |sentence: &str, request: Req, variant: Stored, policy: &Policy, shown: &[Shown], expected: &str| {
        assert_eq!(chosen(&request, &[variant], policy, shown), expected, "{sentence}");
    };
    let strong = || stored().etag("\"1\"");
    let only = |how| policy_with(|policy| policy.check = CheckHow::Only(how));
    let stale = verify(Verify::WhenStale);
    check("a strong tag (RFC 10008 §2)", query(), strong(), &policy(), &[], "conditional: strong-tag \"1\"");
    check(
        "what GETs showed says nothing",
        query(),
        strong(),
        &policy(),
        &[Shown::ConditionIgnored; 3],
        "conditional: strong-tag \"1\"",
    );
    check("but a false 304 does", query(), strong(), &policy(), &[Shown::FalseConfirmation], "body: distrusted");
    check("no validator", query(), stored(), &policy(), &[], "body: no-validator");
    check("a weak one", query(), stored().etag("W/\"7\""), &policy(), &[], "body: weak-tag");
    check("HEAD has no content", query(), stored(), &only(Strategy::Head), &[], "body: no-validator");
    check("nor has a digest endpoint", query(), strong(), &policy_with(endpoint), &[], "conditional: strong-tag \"1\"");
    check("where bytes are wanted", query(), strong(), &only(Strategy::Body), &[], "body: configured");
    check(
        "any validator under when-stale",
        query(),
        stored().etag("W/\"7\""),
        &stale,
        &[],
        "conditional: validator W/\"7\"",
    );
    check("no condition on a POST (RFC 9110 §13.1.2)", graphql(), strong(), &policy(), &[], "body: post");
    check("whatever is configured", graphql(), strong(), &only(Strategy::Conditional), &[], "body: post");
    check("and so none when it is stale", graphql(), strong(), &stale, &[], "whole: uncheckable");
    let other = || strong().varying("x", "1");
    check("another variant by its tag", query(), other(), &policy(), &[], "conditional: strong-tag \"1\"");
    check("not for a POST", graphql(), other(), &policy(), &[], "whole: vary-miss");
}
