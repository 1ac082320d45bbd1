//! What a request finds, and what takes the place of what.

use super::*;
use crate::rules::testing::{Req, Stored, get, head, lookup, policy, sent, stored, stored_part};

/// The body that a request with `Accept-Language: language` finds, or what it finds instead.
fn found(variants: &[Stored], language: &str) -> String {
    let found = lookup(variants, &get("/a").with("accept-language", language).ask(&policy()));
    match found {
        Lookup::Absent => "absent".to_owned(),
        Lookup::VaryMismatch(all) => format!("mismatch of {}", all.len()),
        Lookup::Found(one, _) => one.head().tag.as_ref().unwrap().to_header_value().to_str().unwrap().to_owned(),
    }
}

#[test]
fn what_a_request_finds() {
    let check = |sentence: &str, variants: &[Stored], expected: &str| {
        assert_eq!(found(variants, "de"), expected, "{sentence}");
    };
    let (de, en) = (stored().etag("\"de\"").varying("accept-language", "de"), stored().etag("\"en\""));
    let en = en.varying("accept-language", "en");
    check("nothing", &[], "absent");
    check("what it selects (RFC 9111 §4.1)", &[de, en.clone()], "\"de\"");
    check("nothing for its selecting fields", std::slice::from_ref(&en), "mismatch of 1");
    check("nothing selects an asterisk", &[stored().etag("\"1\"").with("vary", "*")], "mismatch of 1");
    check("without Vary, anything", &[stored().etag("\"1\"")], "\"1\"");
    let default = stored().etag("\"1\"");
    let german = stored().etag("\"de\"").aged(9).varying("accept-language", "de");
    check("one without Vary after one that varies (RFC 9111 §4.1)", &[german, default.clone()], "\"de\"");
    check("and for whatever that does not match", &[en, default], "\"1\"");
    check("of several the newest", &[stored().etag("\"1\"").aged(9), stored().etag("\"2\"")], "\"2\"");
}

#[test]
fn what_is_in_the_language_that_a_request_prefers() {
    let check = |sentence: &str, variant: Stored, request: Req, expected: bool| {
        let ask = request.ask(&policy());
        let lookup = lookup(&[stored().varying("accept-language", "x"), variant], &ask);
        assert_eq!(lookup.by_language(&ask.fields).is_some(), expected, "{sentence}");
    };
    let prefers = |value: &str| get("/a").with("accept-language", value);
    let de = || stored().varying("accept-language", "en, de").with("content-language", "de");
    check("the best by weight (RFC 9110 §12.4.2)", de(), prefers("fr;q=0.5, de;q=1.0"), true);
    check("without case", de(), prefers("DE, *;q=0.5"), true);
    check("not one of two that are equal", de(), prefers("fr, de"), false);
    check("not the second best", de(), prefers("fr, de;q=0.5"), false);
    check("not for a longer range, which the origin may have", de(), prefers("de-CH"), false);
    let swiss = stored().varying("accept-language", "x-y").with("content-language", "de-CH");
    check("nor for a shorter", swiss, prefers("de"), false);
    check("not for no preference", de(), get("/a"), false);
    check("not what is in two languages", de().with("content-language", "fr"), prefers("de"), false);
    let listed = stored().varying("accept-language", "en, de").with("content-language", "de, fr");
    check("not even in one line", listed, prefers("de"), false);
    let other = de().with("vary", "x-a");
    check("not what another field speaks against", other, prefers("de").with("x-a", "1"), false);
    let unsaid = stored().with("vary", "x-a").with("content-language", "de");
    check("not what never varied by language", unsaid, prefers("de").with("x-a", "1"), false);
}

#[test]
fn a_response_that_was_long_on_its_way_in_is_not_the_newest() {
    let slow = stored().etag("\"slow\"").aged(9).varying("accept-language", "de");
    let found = found(&[stored().etag("\"1\"").varying("accept-language", "de"), slow], "de");
    assert_eq!(found, "\"1\"", "what counts is when its exchange began (RFC 9111 §4.1)");
}

#[test]
fn what_a_response_takes_the_place_of() {
    let check = |sentence: &str, first: Stored, then: Stored, by_tag: bool, expected: &[&str]| {
        let all = Resource::default().with(first.build(), by_tag, 2).with(then.build(), by_tag, 2);
        let lookup = Lookup::VaryMismatch(all);
        let tags: Vec<_> = lookup
            .variants()
            .map(|one| {
                one.head().tag.as_ref().map_or_else(|| "none".into(), |tag| String::from_utf8_lossy(tag.opaque()))
            })
            .map(Cow::into_owned)
            .collect();
        assert_eq!(tags, expected, "{sentence}");
    };
    let one = || stored().etag("\"1\"").aged(9);
    check("that for the same fields", one(), stored().etag("\"2\""), false, &["2"]);
    check("not that for others", one(), stored().etag("\"2\"").varying("accept", "x"), false, &["2", "1"]);
    check("nothing, where tags tell variants apart", one(), stored().etag("\"2\""), true, &["2", "1"]);
    check("but that of its own tag", one(), stored().etag("\"1\""), true, &["1"]);
    check("also one of the same moment", stored().etag("\"1\""), stored().etag("\"2\""), false, &["2"]);
    check("without tags there is one", one().body("x"), stored(), false, &["none"]);
    check("never one that was confirmed later", stored().etag("\"2\""), one(), false, &["2"]);
}

#[test]
fn the_oldest_goes_when_there_are_too_many() {
    let variant = |language: &str| stored().etag("\"1\"").varying("accept-language", language).build();
    let all = ["a", "b", "c"].iter().fold(Resource::default(), |all, one| all.with(variant(one), false, 2));
    assert_eq!(all.len(), 2);
    assert_eq!(all.with(variant("d"), false, 1).len(), 1, "also where fewer are allowed than before");
    let many = ["a", "b", "c", "d", "e"].iter().fold(all.clone(), |all, one| all.with(variant(one), false, 5));
    assert_eq!((many.len(), many.with(variant("f"), false, 2).len()), (5, 2));
    let ask = get("/a").with("accept-language", "a").ask(&policy());
    assert!(Lookup::select(Some(all), &ask.fields).found().is_none());
}

#[test]
fn the_targets_of_a_path_that_answer_for_others_are_bounded_and_outlive_its_variants() {
    let alike = |n: usize| Alike {
        key: CacheKey::new("http", b"a", &format!("/a?{n}"), &[]),
        variance: Variance::of(&head(&[("no-vary-search", "params")])).unwrap().into(),
    };
    let mut all = Resource::default();
    assert!(all.is_empty());
    for n in 0..=ALIKE_MAX {
        all = all.with_alike(alike(n));
    }
    all = all.with_alike(alike(1));
    let keys: Vec<_> = all.alike().map(|alike| alike.key.target().1).collect();
    assert_eq!(keys[..2], ["/a?1", "/a?16"], "newest first, each once");
    assert_eq!(keys.len(), ALIKE_MAX);
    let ask = get("/a").ask(&policy());
    assert!(matches!(Lookup::select(Some(all.clone()), &ask.fields), Lookup::Absent));
    let one = stored().build();
    let with = all.with(Arc::clone(&one), false, 2);
    assert_eq!(with.weight(), one.weight() + all.weight());
    let (one_target, of) = (Resource::default().with_alike(alike(1)), alike(1));
    let expected = size_of::<Alike>() + of.key.as_bytes().len() + of.variance.weight();
    assert_eq!(one_target.weight(), expected, "in bytes");
    assert_eq!(with.without(&one).alike().count(), ALIKE_MAX);
}

#[test]
fn a_part_never_stands_beside_a_complete_response_for_the_same_fields() {
    let (whole, part) = (stored().etag("\"1\"").build(), || stored_part(0, "ab", 3, &[("etag", "\"2\"")]));
    let request = sent(&[]);
    let parts = Resource::default().with_part(part(), 2);
    assert!(parts.part(&request).is_some() && !parts.is_empty());
    let select = |resource: &Resource| Lookup::select(Some(resource.clone()), &request);
    assert!(matches!(select(&parts), Lookup::Absent), "a part is not taken for a response");
    let both = parts.with(Arc::clone(&whole), true, 2);
    assert!(both.part(&request).is_none() && select(&both).found().is_some(), "the whole has all that the part had");
    assert!(both.with_part(part(), 2).part(&request).is_none());
    let slow = stored().etag("\"1\"").aged(9).build();
    let outdated = parts.with(slow, false, 2);
    assert!(
        outdated.part(&request).is_some() && select(&outdated).found().is_none(),
        "a later exchange has shown another tag"
    );
    let same = parts.with(stored().etag("\"2\"").aged(9).build(), false, 2);
    assert!(same.part(&request).is_none() && select(&same).found().is_some(), "or that the whole is still current");
    let other = Resource::default().with(stored().varying("accept", "x").build(), false, 2).with_part(part(), 2);
    assert!(other.part(&request).is_some(), "that of other fields is no obstacle");
    let one = part();
    assert!(Resource::default().with_part(Arc::clone(&one), 2).without_part(&one).is_empty());
    assert!(parts.weight() > one.weight() / 2, "and it weighs something");
}

#[test]
fn parts_are_bounded_and_of_one_representation_per_selecting_fields() {
    let part = |vary: &str| stored_part(0, "ab", 3, &[("etag", "\"1\""), ("vary", vary)]);
    let five = ["a", "b", "c", "d", "e"].iter().fold(Resource::default(), |all, one| all.with_part(part(one), 5));
    let names =
        |resource: &Resource| -> Vec<Vary> { resource.parts().iter().map(|part| part.head().vary.clone()).collect() };
    let vary = |name: &str| Vary::of(&head(&[("vary", name)]));
    assert_eq!(names(&five), ["a", "b", "c", "d", "e"].map(vary));
    let new = part("a");
    let fewer = five.with_part(Arc::clone(&new), 2);
    assert_eq!(names(&fewer), ["e", "a"].map(vary), "the oldest go");
    assert!(Arc::ptr_eq(&fewer.parts()[1], &new), "the new one has the place of the old");
    assert_eq!(names(&fewer.without_part(&new)), ["e"].map(vary), "only the very part is removed");
}

#[test]
fn what_the_stored_responses_were_selected_by() {
    let varying = |name: &str, value: &str| stored().varying(name, value);
    let all = [varying("accept", "x"), varying("accept", "y"), varying("x-a", "1")];
    let found = lookup(&all, &get("/a").ask(&policy())).vary();
    assert_eq!(found, ["x-a", "accept"].map(|name| Vary::of(&head(&[("vary", name)]))), "newest first, each once");
}

#[test]
fn only_the_very_response_is_removed() {
    let (one, same) = (stored().etag("\"1\"").build(), stored().etag("\"1\"").build());
    let all = Resource::default().with(Arc::clone(&one), false, 2);
    assert_eq!(all.without(&same).len(), 1, "what took its place stays");
    assert!(all.without(&one).is_empty());
}
