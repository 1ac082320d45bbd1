//! `Question`: which check to make of what is stored, and why that one.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use super::ask::Ask;
use super::decide::shared_by_check;
use super::fields::StoredFields;
use super::learn::{Learned, Support};
use super::lookup::Lookup;
use super::outcome::{FetchReason, Proof, Why};
use super::policy::{CheckHow, Policy, Strategy, Verify};
use super::query::Query;
use super::request_fields::RequestFields;
use super::stored::StoredResponse;
use super::validator::EntityTag;

/// How many stored tags one conditional request may name.
pub const TAGS_MAX: usize = 8;

/// What is asked of the origin.
#[derive(Clone, Debug)]
pub enum Question {
    /// The whole representation.
    Whole(FetchReason),
    /// Whether this is still current.
    Check(Check),
}

/// A check about to be made.
#[derive(Clone, Debug)]
pub struct Check {
    /// How.
    pub strategy: Strategy,
    /// Why this way.
    pub why: Why,
    /// The stored responses that the answer may confirm, the one that the request's fields select first. Never empty.
    pub candidates: Vec<Arc<StoredResponse>>,
    /// Whether the request's own fields select the first of them.
    pub selected: bool,
}

impl Check {
    /// The same for what is stored under a twin of the request's target. Where each hit is checked, no other variant of
    /// the twin is asked about, and only an answer that repeats the tag can confirm: it was made for the request's own
    /// target, and says by the tag that what is stored for the twin is its representation too.
    #[must_use]
    pub fn for_twin(mut self, ask: &Ask, policy: &Policy) -> Self {
        if ask.twin.is_some() && policy.verify != Verify::WhenStale {
            self.candidates.truncate(1);
            self.selected = false;
        }
        self
    }
}

/// Chooses what to ask about what `lookup` found.
#[must_use]
pub fn choose(ask: &Ask, lookup: &Lookup, policy: &Policy, learned: &Learned) -> Question {
    let candidates = candidates(ask, lookup);
    let Some(first) = candidates.first() else {
        return Question::Whole(lookup.why_missing());
    };
    // What was stored for other selecting fields can only be confirmed by a tag that the origin picks, and that it is
    // believed to pick by.
    let conditional = ask.is_conditional();
    let tag = candidates.iter().find_map(|stored| by_tag(stored, policy));
    let pickable = conditional && !learned.distrusted && tag.is_some();
    if lookup.found().is_none() && !pickable {
        return Question::Whole(FetchReason::VaryMismatch);
    }
    let (strategy, why) = if lookup.found().is_none() {
        (Strategy::Conditional, Why::StrongTag)
    } else if policy.verify == Verify::WhenStale {
        match rfc(first).filter(|_| conditional) {
            Some(chosen) => chosen,
            None => return Question::Whole(FetchReason::Uncheckable),
        }
    } else if let Some(query) = &ask.query {
        by_content(query, first, tag, policy, learned)
    } else {
        strict(first, tag, policy, learned)
    };
    Question::Check(Check { strategy, why, candidates, selected: lookup.found().is_some() })
}

/// The stored responses that an answer might confirm: what the request selects, then others whose tag the origin may
/// pick (RFC 9111 §4.3.1), if the request accepts their coding.
fn candidates(ask: &Ask, lookup: &Lookup) -> Vec<Arc<StoredResponse>> {
    let mut all: Vec<Arc<StoredResponse>> = lookup.found().into_iter().cloned().collect();
    for variant in lookup.variants() {
        let listed = all.iter().any(|other| other.head().tag == variant.head().tag);
        if variant.head().tag.is_some() && !listed && accepts_coding(&ask.fields, &variant.head().fields) {
            all.push(Arc::clone(variant));
        }
    }
    all.truncate(TAGS_MAX);
    all
}

fn accepts_coding(request: &RequestFields, stored: &StoredFields) -> bool {
    let Some(coding) = stored.get_all(header::CONTENT_ENCODING).next().and_then(|value| str::from_utf8(value).ok())
    else {
        return true;
    };
    request
        .named(std::iter::once(&header::ACCEPT_ENCODING))
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|offer| {
            let mut parts = offer.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding.trim()));
            named && !parts.any(is_weight_of_zero)
        })
}

/// RFC 9110 §12.4.2: "a value of 0 means "not acceptable"".
fn is_weight_of_zero(parameter: &str) -> bool {
    let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    weight.is_some_and(|weight| weight.trim_end_matches(['0', '.']).is_empty())
}

/// Under `when-stale`, RFC 9111 §4.3.1: a conditional request with whatever validator there is.
fn rfc(stored: &StoredResponse) -> Option<(Strategy, Why)> {
    stored.head().has_validator().then_some((Strategy::Conditional, Why::Validator))
}

/// Under `every-hit` and a lease: the configured strategy, or the cheapest that can give a proof.
fn strict(first: &StoredResponse, tag: Option<Why>, policy: &Policy, learned: &Learned) -> (Strategy, Why) {
    match policy.check {
        CheckHow::Only(Strategy::Body) => (Strategy::Body, Why::Configured),
        _ if learned.distrusted => (Strategy::Body, Why::Distrusted),
        CheckHow::Only(strategy @ (Strategy::DigestEndpoint | Strategy::Head)) => (strategy, Why::Configured),
        CheckHow::Only(Strategy::Conditional) if tag.is_some() => (Strategy::Conditional, Why::Configured),
        CheckHow::Only(Strategy::Conditional) => (Strategy::Body, Why::Unusable),
        CheckHow::Auto => auto(first, tag, policy, learned),
    }
}

/// For a query, the two that send its content along: HEAD has none, and a digest endpoint knows targets alone.
fn by_content(
    query: &Query,
    first: &StoredResponse,
    tag: Option<Why>,
    policy: &Policy,
    learned: &Learned,
) -> (Strategy, Why) {
    match (tag, policy.check) {
        _ if !query.is_conditional() => (Strategy::Body, Why::Post),
        (_, CheckHow::Only(Strategy::Body)) => (Strategy::Body, Why::Configured),
        _ if learned.distrusted => (Strategy::Body, Why::Distrusted),
        (Some(why), _) => (Strategy::Conditional, why),
        (None, _) => (Strategy::Body, why_bytes(first)),
    }
}

fn auto(first: &StoredResponse, tag: Option<Why>, policy: &Policy, learned: &Learned) -> (Strategy, Why) {
    let head = first.head();
    if policy.digest_endpoint.is_some() && learned.digest != Support::Fails && !shared_by_check(policy) {
        return (Strategy::DigestEndpoint, Why::Configured);
    }
    if let Some(why) = tag
        && learned.conditional != Support::Fails
    {
        return (Strategy::Conditional, why);
    }
    if learned.head != Support::Fails {
        if head.fields.contains_key("repr-digest") {
            return (Strategy::Head, Why::ReprDigest);
        }
        if head.tag_vouches {
            return (Strategy::Head, Why::ConditionIgnored);
        }
        if learned.head == Support::Unknown {
            return (Strategy::Head, Why::Probe);
        }
    }
    (Strategy::Body, why_bytes(first))
}

/// Why nothing but bytes can be compared.
fn why_bytes(stored: &StoredResponse) -> Why {
    match &stored.head().tag {
        None => Why::NoValidator,
        Some(tag) if tag.weak => Why::WeakTag,
        Some(_) if stored.head().tag_vouches => Why::ConditionIgnored,
        Some(_) => Why::YoungTag,
    }
}

/// Why the tag (or date) of a stored response can prove sameness in a conditional request, if it can.
fn by_tag(stored: &StoredResponse, policy: &Policy) -> Option<Why> {
    tag_proof(stored, policy).map(|proof| match proof {
        Proof::StrongTag => Why::StrongTag,
        Proof::RecognisedTag => Why::RecognisedTag,
        _ => Why::Trusted,
    })
}

/// What an answer that repeats the stored tag (or, for want of one, leaves the date standing) would prove.
#[must_use]
pub fn tag_proof(stored: &StoredResponse, policy: &Policy) -> Option<Proof> {
    let head = stored.head();
    if policy.verify == Verify::WhenStale {
        return Some(Proof::NotModified);
    }
    // Where the origin decides by check who may see what, trust in weaker validators has no place.
    let trusting = !shared_by_check(policy);
    match &head.tag {
        Some(_) if head.tag_vouches => Some(Proof::StrongTag),
        Some(_) if stored.recognised().is_some() => Some(Proof::RecognisedTag),
        Some(tag) if tag.weak && policy.trust.weak_etag && trusting => Some(Proof::TrustedTag),
        Some(_) => None,
        None if head.last_modified.is_some() && policy.trust.last_modified && trusting => Some(Proof::TrustedDate),
        None => None,
    }
}

/// Puts the condition into the request of a check: every candidate's tag, and the date where no tag is there to be
/// preferred (RFC 9110 §13.1.3).
///
/// Under `when-stale` the date goes out beside the tag of what the request selects: RFC 9110 §13.1.3 lets those recipients
/// use it that do not know the tag. Elsewhere a 304 by the date would be taken for one by the tag.
pub fn set_condition(check: &Check, policy: &Policy, request: &mut HeaderMap) {
    let mut list: Vec<u8> = Vec::new();
    for value in check.candidates.iter().filter_map(|stored| stored.head().tag.as_ref()).map(EntityTag::to_header_value)
    {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(value.as_bytes());
    }
    let tags = HeaderValue::from_bytes(&list).ok().filter(|list| !list.is_empty());
    let dated = tags.is_none() || policy.verify == Verify::WhenStale && check.selected && check.candidates.len() == 1;
    let date = check.candidates.first().and_then(|stored| stored.head().fields.get(header::LAST_MODIFIED));
    if let Some(date) = date.filter(|_| dated) {
        request.insert(header::IF_MODIFIED_SINCE, date);
    }
    if let Some(tags) = tags {
        request.insert(header::IF_NONE_MATCH, tags);
    }
}

#[cfg(test)]
mod tests;
