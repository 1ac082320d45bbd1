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
#[derive(Clone, Debug)]
pub struct Resource(Held);

#[derive(Clone, Debug)]
enum Held {
    /// One response and nothing else, as of most resources: it takes no memory to hold it.
    One(Arc<StoredResponse>),
    Many(Arc<Many>),
}

#[derive(Clone, Debug, Default)]
struct Many {
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
    VaryMismatch(Resource),
    /// This response is stored for the request.
    Found(Arc<StoredResponse>, Resource),
}

impl Lookup {
    /// Looks for the response to `request`: of several, the most recent (RFC 9111 §4.1), which is the one whose exchange
    /// began last. A slow body is stored after a later answer.
    ///
    /// "Some resources mistakenly omit the Vary header field from their default response", so that it would match every
    /// request: "the cache SHOULD choose the most recent [..] stored response with a valid Vary field value", if one
    /// matches.
    #[must_use]
    pub fn select(resource: Option<Resource>, request: &RequestFields) -> Self {
        let Some(resource) = resource.filter(|resource| !resource.variants().is_empty()) else { return Self::Absent };
        // Variants of a resource mostly vary by the same fields, whose canonical form is the dear part.
        let mut selecting: Option<(&Vary, Cow<'_, [u8]>)> = None;
        let read = |vary: &Vary| {
            let mut alike = resource.variants().iter().filter(|variant| variant.head().vary == *vary);
            match alike.find(|variant| variant.is_asked_for_again(request)) {
                Some(variant) => Cow::Borrowed(variant.selection().1),
                None => Cow::Owned(vary.selecting(request).into()),
            }
        };
        let selected = resource.variants().iter().filter(|variant| {
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
        resource.variants().iter().filter(speaks).max_by_key(|variant| variant.standing().confirmed)
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
            Self::VaryMismatch(resource) | Self::Found(_, resource) => resource.variants().iter().rev(),
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

impl Default for Resource {
    fn default() -> Self {
        Self(Held::Many(Arc::default()))
    }
}

impl From<Many> for Resource {
    fn from(many: Many) -> Self {
        Self(match &*many.variants {
            [only] if many.parts.is_empty() && many.alike.is_empty() => Held::One(Arc::clone(only)),
            _ => Held::Many(Arc::new(many)),
        })
    }
}

impl Resource {
    fn variants(&self) -> &[Arc<StoredResponse>] {
        match &self.0 {
            Held::One(variant) => std::slice::from_ref(variant),
            Held::Many(many) => &many.variants,
        }
    }

    fn parts(&self) -> &[Arc<PartialResponse>] {
        match &self.0 {
            Held::One(_) => &[],
            Held::Many(many) => &many.parts,
        }
    }

    fn all_alike(&self) -> &[Alike] {
        match &self.0 {
            Held::One(_) => &[],
            Held::Many(many) => &many.alike,
        }
    }

    fn to_many(&self) -> Many {
        match &self.0 {
            Held::One(variant) => Many { variants: vec![Arc::clone(variant)], ..Many::default() },
            Held::Many(many) => Many::clone(many),
        }
    }

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
        let mut all = self.to_many();
        let later = |standing: Standing| standing.confirmed > response.standing().confirmed;
        let outdated = |part: &Arc<PartialResponse>| {
            let other = part.head().tag != response.head().tag;
            !by_tag && other && part.selection() == response.selection() && later(part.standing())
        };
        if all.variants.iter().any(|old| replaces(old) && later(old.standing())) || all.parts.iter().any(outdated) {
            return self.clone();
        }
        all.parts.retain(|part| part.selection() != response.selection());
        all.variants.retain(|old| !replaces(old));
        all.variants.push(response);
        if all.variants.len() > max {
            all.variants.drain(..all.variants.len() - max);
        }
        all.into()
    }

    /// The stored part that `request` selects, if there is one; the latest of several.
    #[must_use]
    pub fn part(&self, request: &RequestFields) -> Option<&Arc<PartialResponse>> {
        let selected = self.parts().iter().filter(|part| part.selected_by(request));
        selected.max_by_key(|part| part.standing().confirmed)
    }

    /// The resource with a part added, in the place of that for the same selecting fields. The oldest goes when there
    /// are more than `max`.
    ///
    /// Nothing changes where a complete response is stored for these fields, or a part that was confirmed later.
    #[must_use]
    pub fn with_part(&self, part: Arc<PartialResponse>, max: usize) -> Self {
        let mut all = self.to_many();
        let whole = all.variants.iter().any(|one| one.selection() == part.selection());
        let later = |old: &Arc<PartialResponse>| {
            old.selection() == part.selection() && old.standing().confirmed > part.standing().confirmed
        };
        if whole || all.parts.iter().any(later) {
            return self.clone();
        }
        all.parts.retain(|old| old.selection() != part.selection());
        all.parts.push(part);
        if all.parts.len() > max {
            all.parts.drain(..all.parts.len() - max);
        }
        all.into()
    }

    /// The resource without this very part.
    #[must_use]
    pub fn without_part(&self, part: &Arc<PartialResponse>) -> Self {
        let mut all = self.to_many();
        all.parts.retain(|old| !Arc::ptr_eq(old, part));
        all.into()
    }

    /// The resource without `response` (and whatever took its place by freshening the same content is kept).
    #[must_use]
    pub fn without(&self, response: &Arc<StoredResponse>) -> Self {
        let mut all = self.to_many();
        all.variants.retain(|old| !Arc::ptr_eq(old, response));
        all.into()
    }

    /// The targets of this path whose responses may answer for others, newest first.
    pub fn alike(&self) -> impl Iterator<Item = &Alike> {
        self.all_alike().iter().rev()
    }

    /// The resource with another such target, in place of what the same said before. The oldest goes when there are more
    /// than [`ALIKE_MAX`].
    #[must_use]
    pub fn with_alike(&self, new: Alike) -> Self {
        let mut all = self.to_many();
        all.alike.retain(|old| old.key != new.key);
        all.alike.push(new);
        if all.alike.len() > ALIKE_MAX {
            all.alike.drain(..all.alike.len() - ALIKE_MAX);
        }
        all.into()
    }

    /// How many variants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.variants().len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.variants().is_empty() && self.parts().is_empty() && self.all_alike().is_empty()
    }

    /// What it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let variants = self.variants().iter().map(|variant| variant.weight());
        let parts = self.parts().iter().map(|part| part.weight());
        let alike = |alike: &Alike| size_of::<Alike>() + alike.key.as_bytes().len() + alike.variance.weight();
        variants.chain(parts).sum::<usize>() + self.all_alike().iter().map(alike).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
