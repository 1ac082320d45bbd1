//! What the store holds for a target, as seen by one request.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderValue, header};

use super::key::CacheKey;
use super::no_vary_search::Variance;
use super::outcome::FetchReason;
use super::partial::PartialResponse;
use super::request_fields::RequestFields;
use super::stored::{Standing, StoredResponse};
use super::vary::Vary;
use super::{list, preference};

/// The stored responses of one cache key, newest last.
///
/// Variants differ in the request fields that `Vary` names; on a route that shares bodies among users by check they may
/// also differ without one, and then only their tags tell them apart.
#[derive(Clone, Debug, Default)]
pub struct Resource {
    variants: Vec<Arc<StoredResponse>>,
    /// Under the key of a path without a query: targets of this path whose responses may answer for others, newest
    /// last. What is stored under them may be gone or have changed since.
    alike: Vec<Alike>,
    /// Responses of which only a part is stored: at most one for the same selecting fields, and none where a complete
    /// one is stored for them.
    parts: Vec<Arc<PartialResponse>>,
}

/// A target whose response, when it was stored, said by `No-Vary-Search` for which others it may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike {
    /// Under which key the response was stored.
    pub key: CacheKey,
    /// What it said.
    pub variance: Arc<Variance>,
}

/// The most targets of one path that are remembered for what they said by `No-Vary-Search`.
pub const ALIKE_MAX: usize = 16;

/// What a lookup found for a request.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// Nothing is stored for the key.
    Absent,
    /// Only responses to other selecting fields are stored (RFC 9111 §4.1).
    VaryMismatch(Arc<Resource>),
    /// This response is stored for the request.
    Found(Arc<StoredResponse>, Arc<Resource>),
}

impl Lookup {
    /// Looks for the response to `request`: of several, the most recent (RFC 9111 §4.1), which is the one whose exchange
    /// began last. A slow body is stored after a later answer.
    ///
    /// "Some resources mistakenly omit the Vary header field from their default response", so that it would match every
    /// request: "the cache SHOULD choose the most recent [..] stored response with a valid Vary field value", if one
    /// matches.
    #[must_use]
    pub fn select(resource: Option<Arc<Resource>>, request: &RequestFields) -> Self {
        let Some(resource) = resource.filter(|resource| !resource.variants.is_empty()) else { return Self::Absent };
        // Variants of a resource mostly vary by the same fields, whose canonical form is the dear part.
        let mut selecting: Option<(&Vary, Cow<'_, [u8]>)> = None;
        let read = |vary: &Vary| {
            let mut alike = resource.variants.iter().filter(|variant| variant.head().vary == *vary);
            match alike.find(|variant| variant.is_asked_for_again(request)) {
                Some(variant) => Cow::Borrowed(variant.selection().1),
                None => Cow::Owned(vary.selecting(request).into()),
            }
        };
        let selected = resource.variants.iter().filter(|variant| {
            let vary = &variant.head().vary;
            if vary.names().is_some_and(<[_]>::is_empty) {
                return true;
            }
            if selecting.as_ref().is_none_or(|(known, _)| *known != vary) {
                selecting = Some((vary, read(vary)));
            }
            selecting.as_ref().is_some_and(|(_, selecting)| variant.selected_as(selecting))
        });
        match selected.max_by_key(|variant| (variant.head().vary.names_any(), variant.standing().confirmed)) {
            Some(found) => Self::Found(Arc::clone(found), resource),
            None => Self::VaryMismatch(resource),
        }
    }

    /// The response that the request's fields select, if one is stored.
    #[must_use]
    pub const fn found(&self) -> Option<&Arc<StoredResponse>> {
        match self {
            Self::Found(found, _) => Some(found),
            Self::Absent | Self::VaryMismatch(_) => None,
        }
    }

    /// The stored response in the one language that the request prefers to all others, where nothing but
    /// `Accept-Language` speaks against it: the newest whose `Content-Language` is exactly that language.
    ///
    /// RFC 9111 §4.1 lets "a known mechanism for ranking preference (e.g., qvalues [..])" choose among responses that
    /// match. This goes further: it takes the origin to choose by that mechanism too. That a response in the language is
    /// stored shows that the origin has one, and then it is what a ranking of languages gives this request, whatever
    /// else there is. It is false where the origin looks at anything else in the field: at order, at other languages in
    /// it, at the length of the list. So it is for routes that say so, and a response that was found by it is served
    /// while it is fresh, and otherwise one of several that the origin may pick by their tags.
    ///
    /// A range is not held against a longer or shorter tag (RFC 4647 §3): the origin may have what it names exactly.
    #[must_use]
    pub fn by_language(&self, request: &RequestFields) -> Option<&Arc<StoredResponse>> {
        let Self::VaryMismatch(resource) = self else { return None };
        let named = request.named(std::iter::once(&header::ACCEPT_LANGUAGE));
        let lines = named.get_all(header::ACCEPT_LANGUAGE).iter().map(HeaderValue::as_bytes);
        let best = preference::best_language(lines)?;
        let speaks = |variant: &&Arc<StoredResponse>| {
            let mut languages = variant.head().fields.get_all(header::CONTENT_LANGUAGE);
            // More than one language is for readers of each (RFC 9110 §8.5), or a value with a comma.
            languages.next().is_some_and(|language| list::trim(language).eq_ignore_ascii_case(&best))
                && languages.next().is_none()
                && variant.selected_by_all_but(&header::ACCEPT_LANGUAGE, request)
        };
        resource.variants.iter().filter(speaks).max_by_key(|variant| variant.standing().confirmed)
    }

    /// Why what was looked for must be fetched, where nothing was found.
    #[must_use]
    pub const fn why_missing(&self) -> FetchReason {
        match self {
            Self::Absent => FetchReason::Absent,
            Self::VaryMismatch(_) | Self::Found(..) => FetchReason::VaryMismatch,
        }
    }

    /// Every stored response of the key, newest first.
    pub fn variants(&self) -> impl Iterator<Item = &Arc<StoredResponse>> {
        match self {
            Self::Absent => [].iter().rev(),
            Self::VaryMismatch(resource) | Self::Found(_, resource) => resource.variants.iter().rev(),
        }
    }

    /// What the `Vary` fields of the stored responses name.
    #[must_use]
    pub fn vary(&self) -> Vec<Vary> {
        let mut all: Vec<Vary> = Vec::new();
        for variant in self.variants() {
            if !all.contains(&variant.head().vary) {
                all.push(variant.head().vary.clone());
            }
        }
        all
    }
}

impl Resource {
    /// The resource with `response` added. It takes the place of the response for the same selecting fields, unless
    /// `by_tag` says that tags tell variants apart, and theirs differ. The oldest goes when there are more than `max`.
    ///
    /// Nothing changes if the response whose place it would take was confirmed by a later exchange, or if one has brought a
    /// part under another tag.
    #[must_use]
    pub fn with(&self, response: Arc<StoredResponse>, by_tag: bool, max: usize) -> Self {
        let replaces = |old: &Arc<StoredResponse>| {
            old.same_selection(&response) && (!by_tag || old.head().tag == response.head().tag)
        };
        let mut all = self.clone();
        let later = |standing: Standing| standing.confirmed > response.standing().confirmed;
        let outdated = |part: &Arc<PartialResponse>| {
            let other = part.head().tag != response.head().tag;
            !by_tag && other && part.selection() == response.selection() && later(part.standing())
        };
        if all.variants.iter().any(|old| replaces(old) && later(old.standing())) || all.parts.iter().any(outdated) {
            return all;
        }
        all.parts.retain(|part| part.selection() != response.selection());
        all.variants.retain(|old| !replaces(old));
        // Most resources have one, and a list that grows by itself makes room for four.
        all.variants.reserve_exact(1);
        all.variants.push(response);
        if all.variants.len() > max {
            all.variants.drain(..all.variants.len() - max);
        }
        all
    }

    /// The stored part that `request` selects, if there is one; the latest of several.
    #[must_use]
    pub fn part(&self, request: &RequestFields) -> Option<&Arc<PartialResponse>> {
        let selected = self.parts.iter().filter(|part| part.selected_by(request));
        selected.max_by_key(|part| part.standing().confirmed)
    }

    /// The resource with a part added, in the place of that for the same selecting fields. The oldest goes when there
    /// are more than `max`.
    ///
    /// Nothing changes where a complete response is stored for these fields, or a part that was confirmed later.
    #[must_use]
    pub fn with_part(&self, part: Arc<PartialResponse>, max: usize) -> Self {
        let mut all = self.clone();
        let whole = all.variants.iter().any(|one| one.selection() == part.selection());
        let later = |old: &Arc<PartialResponse>| {
            old.selection() == part.selection() && old.standing().confirmed > part.standing().confirmed
        };
        if whole || all.parts.iter().any(later) {
            return all;
        }
        all.parts.retain(|old| old.selection() != part.selection());
        all.parts.push(part);
        if all.parts.len() > max {
            all.parts.drain(..all.parts.len() - max);
        }
        all
    }

    /// The resource without this very part.
    #[must_use]
    pub fn without_part(&self, part: &Arc<PartialResponse>) -> Self {
        let mut all = self.clone();
        all.parts.retain(|old| !Arc::ptr_eq(old, part));
        all
    }

    /// The resource without `response` (and whatever took its place by freshening the same content is kept).
    #[must_use]
    pub fn without(&self, response: &Arc<StoredResponse>) -> Self {
        let mut all = self.clone();
        all.variants.retain(|old| !Arc::ptr_eq(old, response));
        all
    }

    /// The targets of this path whose responses may answer for others, newest first.
    pub fn alike(&self) -> impl Iterator<Item = &Alike> {
        self.alike.iter().rev()
    }

    /// The resource with another such target, in place of what the same said before. The oldest goes when there are more
    /// than [`ALIKE_MAX`].
    #[must_use]
    pub fn with_alike(&self, new: Alike) -> Self {
        let mut all = self.clone();
        all.alike.retain(|old| old.key != new.key);
        all.alike.push(new);
        if all.alike.len() > ALIKE_MAX {
            all.alike.drain(..all.alike.len() - ALIKE_MAX);
        }
        all
    }

    /// How many variants there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.variants.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.variants.is_empty() && self.parts.is_empty() && self.alike.is_empty()
    }

    /// What it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let variants = self.variants.iter().map(|variant| variant.weight());
        let parts = self.parts.iter().map(|part| part.weight());
        let alike = |alike: &Alike| size_of::<Alike>() + alike.key.as_bytes().len() + alike.variance.weight();
        variants.chain(parts).sum::<usize>() + self.alike.iter().map(alike).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
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
            let lookup = Lookup::VaryMismatch(Arc::new(all));
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
        assert!(Lookup::select(Some(Arc::new(all)), &ask.fields).found().is_none());
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
        assert!(matches!(Lookup::select(Some(Arc::new(all.clone())), &ask.fields), Lookup::Absent));
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
        let select = |resource: &Resource| Lookup::select(Some(Arc::new(resource.clone())), &request);
        assert!(matches!(select(&parts), Lookup::Absent), "a part is not taken for a response");
        let both = parts.with(Arc::clone(&whole), true, 2);
        assert!(
            both.part(&request).is_none() && select(&both).found().is_some(),
            "the whole has all that the part had"
        );
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
            |resource: &Resource| -> Vec<Vary> { resource.parts.iter().map(|part| part.head().vary.clone()).collect() };
        let vary = |name: &str| Vary::of(&head(&[("vary", name)]));
        assert_eq!(names(&five), ["a", "b", "c", "d", "e"].map(vary));
        let new = part("a");
        let fewer = five.with_part(Arc::clone(&new), 2);
        assert_eq!(names(&fewer), ["e", "a"].map(vary), "the oldest go");
        assert!(Arc::ptr_eq(&fewer.parts[1], &new), "the new one has the place of the old");
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
}
