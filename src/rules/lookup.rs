//! What the store holds for a target, as seen by one request.

use std::sync::Arc;

use http::HeaderMap;

use super::outcome::FetchReason;
use super::partial::PartialResponse;
use super::stored::{Standing, StoredResponse};
use super::vary::Vary;

/// The stored responses of one cache key, newest last.
///
/// Variants differ in the request fields that `Vary` names; on a route that shares bodies among users by check they may
/// also differ without one, and then only their tags tell them apart.
#[derive(Clone, Debug, Default)]
pub struct Resource {
    variants: Vec<Arc<StoredResponse>>,
    /// Responses of which only a part is stored: at most one for the same selecting fields, and none where a complete
    /// one is stored for them.
    parts: Vec<Arc<PartialResponse>>,
}

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
    #[must_use]
    pub fn select(resource: Option<Arc<Resource>>, request: &HeaderMap) -> Self {
        let Some(resource) = resource.filter(|resource| !resource.variants.is_empty()) else { return Self::Absent };
        let selected = resource.variants.iter().filter(|variant| variant.selected_by(request));
        match selected.max_by_key(|variant| variant.standing().confirmed) {
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
        all.variants.push(response);
        if all.variants.len() > max {
            all.variants.drain(..all.variants.len() - max);
        }
        all
    }

    /// The stored part that `request` selects, if there is one; the latest of several.
    #[must_use]
    pub fn part(&self, request: &HeaderMap) -> Option<&Arc<PartialResponse>> {
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

    /// How many variants there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.variants.len()
    }

    /// Whether there is none, and no part either.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.variants.is_empty() && self.parts.is_empty()
    }

    /// What it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let variants = self.variants.iter().map(|variant| variant.weight());
        variants.chain(self.parts.iter().map(|part| part.weight())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{Stored, get, lookup, policy, stored, stored_part};

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
        check("of several the newest", &[stored().etag("\"1\"").aged(9), stored().etag("\"2\"")], "\"2\"");
    }

    #[test]
    fn a_response_that_was_long_on_its_way_in_is_not_the_newest() {
        let slow = stored().etag("\"slow\"").aged(9).varying("accept-language", "de");
        let found = found(&[stored().etag("\"1\""), slow], "de");
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
                .map(std::borrow::Cow::into_owned)
                .collect();
            assert_eq!(tags, expected, "{sentence}");
        };
        let one = || stored().etag("\"1\"").aged(9);
        check("that for the same fields", one(), stored().etag("\"2\""), false, &["2"]);
        check("not that for others", one(), stored().etag("\"2\"").varying("accept", "x"), false, &["2", "1"]);
        check("nothing, where tags tell variants apart", one(), stored().etag("\"2\""), true, &["2", "1"]);
        check("but that of its own tag", one(), stored().etag("\"1\""), true, &["1"]);
        check("without tags there is one", one().body("x"), stored(), false, &["none"]);
        check("never one that was confirmed later", stored().etag("\"2\""), one(), false, &["2"]);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let variant = |language: &str| stored().etag("\"1\"").varying("accept-language", language).build();
        let all = ["a", "b", "c"].iter().fold(Resource::default(), |all, one| all.with(variant(one), false, 2));
        assert_eq!(all.len(), 2);
        let ask = get("/a").with("accept-language", "a").ask(&policy());
        assert!(Lookup::select(Some(Arc::new(all)), &ask.fields).found().is_none());
    }

    #[test]
    fn a_part_never_stands_beside_a_complete_response_for_the_same_fields() {
        let (whole, part) = (stored().etag("\"1\"").build(), || stored_part(0, "ab", 3, &[("etag", "\"2\"")]));
        let request = HeaderMap::new();
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
    fn only_the_very_response_is_removed() {
        let (one, same) = (stored().etag("\"1\"").build(), stored().etag("\"1\"").build());
        let all = Resource::default().with(Arc::clone(&one), false, 2);
        assert_eq!(all.without(&same).len(), 1, "what took its place stays");
        assert!(all.without(&one).is_empty());
    }
}
