//! What the store holds for a target, as seen by one request.

use std::sync::Arc;

use http::HeaderMap;

use super::stored::StoredResponse;
use super::vary::Vary;

/// The stored responses of one cache key, newest last.
///
/// Variants differ in the request fields that `Vary` names; on a route that shares bodies among users by check they may
/// also differ without one, and then only their tags tell them apart.
#[derive(Clone, Debug, Default)]
pub struct Resource {
    variants: Vec<Arc<StoredResponse>>,
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
    /// Looks for the response to `request`: of several, the most recent (RFC 9111 §4.1).
    #[must_use]
    pub fn select(resource: Option<Arc<Resource>>, request: &HeaderMap) -> Self {
        let Some(resource) = resource else { return Self::Absent };
        match resource.variants.iter().rev().find(|variant| variant.selected_by(request)) {
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
    /// Nothing changes if the response whose place it would take was confirmed by a later exchange.
    #[must_use]
    pub fn with(&self, response: Arc<StoredResponse>, by_tag: bool, max: usize) -> Self {
        let replaces = |old: &Arc<StoredResponse>| {
            old.same_selection(&response) && (!by_tag || old.head().tag == response.head().tag)
        };
        let mut variants = self.variants.clone();
        if variants.iter().any(|old| replaces(old) && old.standing().confirmed > response.standing().confirmed) {
            return Self { variants };
        }
        variants.retain(|old| !replaces(old));
        variants.push(response);
        if variants.len() > max {
            variants.drain(..variants.len() - max);
        }
        Self { variants }
    }

    /// The resource without `response` (and whatever took its place by freshening the same content is kept).
    #[must_use]
    pub fn without(&self, response: &Arc<StoredResponse>) -> Self {
        Self { variants: self.variants.iter().filter(|old| !Arc::ptr_eq(old, response)).cloned().collect() }
    }

    /// How many variants there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.variants.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.variants.is_empty()
    }

    /// What it weighs, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.variants.iter().map(|variant| variant.weight()).sum()
    }
}
