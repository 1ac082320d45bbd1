//! What the origin's answer says about a stored response.
//!
//! The only place that makes a [`Confirmation`]. Under `every-hit` and a lease, what counts as "same" is an equal
//! SHA-256, an equal strong entity tag, an equal tag that was recognised as a digest of the stored bytes, or equal
//! bytes; under `when-stale` RFC 9111 §4.3.3 is the rule.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, response};

use super::ask::Ask;
use super::decide::shared_by_check;
use super::digest::{self, Digest, Sha256};
use super::integrity;
use super::moment::Now;
use super::outcome::{Proof, Unproven};
use super::policy::{Policy, Verify};
use super::promise::Confirmation;
use super::question::tag_proof;
use super::request_fields::RequestFields;
use super::stored::{Standing, StoredHead, StoredResponse};
use super::validator::{self, EntityTag};
use crate::faults::{Fault, seeded};

pub mod part;

/// What an answer says.
#[derive(Debug)]
pub enum Verdict {
    /// This stored response is current.
    Same(Confirmation),
    /// The stored response is not current, and the answer does not carry the new one.
    Changed,
    /// The answer is the origin's whole answer to the request: to be admitted like any other.
    Answered,
    /// Nothing comparable came back.
    Unproven(Unproven),
}

/// When an exchange was made: what a judgement needs to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The moment and the invalidation epoch in which it began.
    pub standing: Standing,
    /// The wall time as it began.
    pub asked: SystemTime,
    /// When the answer's head had been read.
    pub answered: Now,
}

/// Judges the answer to a conditional GET about `candidates`; `selected` says whether the request's own fields select the
/// first of them.
///
/// Where the answer [claims a digest](repr_claim), the content's own is needed: callers compute it before, off the
/// runtime's threads.
#[must_use]
pub fn conditional(
    candidates: &[Arc<StoredResponse>],
    selected: bool,
    answer: &response::Parts,
    ask: &Ask,
    policy: &Policy,
    exchange: Exchange,
) -> Verdict {
    if answer.status != StatusCode::NOT_MODIFIED {
        return Verdict::Answered;
    }
    // RFC 9111 §5.1: with `Age`, the answer was not made by the origin for this request.
    let aged = || answer.headers.contains_key(header::AGE) && !seeded(Fault::BelieveAge);
    if policy.verify != Verify::WhenStale && aged() {
        return Verdict::Unproven(Unproven::Age);
    }
    match picked(candidates, selected, &answer.headers, policy) {
        // RFC 9530 §3: in a 304 it is the digest of what the 200 would have carried. An origin that uses a validator
        // again for other bytes says so here.
        Ok((stored, _)) if says_other_bytes(stored, answer) => Verdict::Unproven(Unproven::Contradicted),
        Ok((stored, proof)) => {
            Verdict::Same(confirm(stored, &answer.headers, answer.status, proof, ask, policy, exchange))
        }
        Err(unproven) => Verdict::Unproven(unproven),
    }
}

/// Whether a 304 claims another digest than that of the stored bytes, and its validator is one that equal bytes share:
/// behind a weak tag or a date the bytes may differ. The digest of no bytes says nothing: it is that of the 304 itself,
/// by an origin that takes the one for the other.
fn says_other_bytes(stored: &StoredResponse, answer: &response::Parts) -> bool {
    let of_bytes = stored.recognised().is_some() || stored.head().tag.as_ref().is_some_and(|tag| !tag.weak);
    let claimed = repr_claim(answer).filter(|claimed| *claimed != Digest::of(b"", claimed.algorithm()));
    of_bytes && claimed.is_some_and(|claimed| stored.digest(claimed.algorithm()) != claimed)
}

/// Which candidate a 304 confirms (RFC 9111 §4.3.4), and by what.
fn picked<'a>(
    candidates: &'a [Arc<StoredResponse>],
    selected: bool,
    answer: &HeaderMap,
    policy: &Policy,
) -> Result<(&'a Arc<StoredResponse>, Proof), Unproven> {
    match EntityTag::of(answer) {
        Some(tag) => {
            let named = |same: fn(&EntityTag, &EntityTag) -> bool| {
                candidates.iter().find(|stored| stored.head().tag.as_ref().is_some_and(|own| same(own, &tag)))
            };
            let stored = named(EntityTag::eq).or_else(|| named(EntityTag::weak_eq)).ok_or(Unproven::ForeignTag)?;
            match tag_proof(stored, policy) {
                // Conditions are compared weakly (RFC 9110 §13.1.2), so an origin may answer 304 about a strong tag
                // for a representation whose tag is weak: one that may have other bytes.
                Some(Proof::StrongTag) if tag.weak => Err(Unproven::WeakTag),
                Some(proof) => Ok((stored, proof)),
                None => Err(why_not(stored)),
            }
        }
        // A 304 should repeat the tag (RFC 9110 §15.4.5). One that does not can only mean the one that was asked
        // about; that is not enough where the origin decides who may see what, or for another request's variant.
        None => match candidates {
            [only] if selected && (!shared_by_check(policy) || seeded(Fault::BelieveBare)) => {
                tag_proof(only, policy).map(|proof| (only, proof)).ok_or_else(|| why_not(only))
            }
            _ => Err(Unproven::TagNotRepeated),
        },
    }
}

fn why_not(stored: &StoredResponse) -> Unproven {
    match &stored.head().tag {
        Some(tag) if tag.weak => Unproven::WeakTag,
        Some(_) => Unproven::YoungTag,
        None => Unproven::NothingComparable,
    }
}

/// Judges the answer to a HEAD about `stored` (RFC 9111 §4.3.5, and stricter: what agrees must be a proof). `own_digest` is
/// the stored content's digest by the algorithm of [`repr_claim`].
#[must_use]
pub fn head(
    stored: &Arc<StoredResponse>,
    own_digest: Option<Digest>,
    answer: &response::Parts,
    ask: &Ask,
    policy: &Policy,
    exchange: Exchange,
) -> Verdict {
    if answer.status != StatusCode::OK {
        return Verdict::Unproven(Unproven::HeadStatus);
    }
    if answer.headers.contains_key(header::AGE) {
        return Verdict::Unproven(Unproven::Age);
    }
    let own = stored.head();
    if own.fields.get(header::CONTENT_ENCODING).as_ref() != answer.headers.get(header::CONTENT_ENCODING) {
        return Verdict::Unproven(Unproven::NothingComparable);
    }
    let same = |proof| Verdict::Same(confirm(stored, &answer.headers, answer.status, proof, ask, policy, exchange));
    if let (Some(claimed), Some(own_digest)) = (repr_claim(answer), own_digest) {
        return if claimed == own_digest { same(Proof::ReprDigest) } else { Verdict::Changed };
    }
    let Some((own_tag, tag)) = own.tag.as_ref().zip(EntityTag::of(&answer.headers)) else {
        return Verdict::Unproven(Unproven::NothingComparable);
    };
    let length = content_length(&answer.headers);
    let modified = validator::date_of(&answer.headers, header::LAST_MODIFIED);
    let differs = !own_tag.weak_eq(&tag)
        || length.is_some_and(|length| length != stored.len() as u64)
        || own.last_modified.zip(modified).is_some_and(|(own, theirs)| own != theirs);
    match (differs, own_tag.strong_eq(&tag) && own.tag_vouches, stored.recognised()) {
        (true, ..) => Verdict::Changed,
        (false, true, _) => same(Proof::StrongTag),
        (false, false, Some(_)) => same(Proof::RecognisedTag),
        (false, false, None) => Verdict::Unproven(why_not(stored)),
    }
}

/// The `Repr-Digest` that an answer without content carries: the stored content's own by the same algorithm is worth
/// computing.
#[must_use]
pub fn repr_claim(answer: &response::Parts) -> Option<Digest> {
    integrity::repr_digest(&answer.headers)
}

/// What the answer to a client's HEAD says about a stored GET response (RFC 9111 §4.3.5).
#[derive(Debug)]
pub enum HeadUpdate {
    /// It describes the same response: this is that response with the fields of the HEAD.
    ///
    /// It stands where it stood: that fields agree is no proof of sameness, so nothing was confirmed.
    Freshened(Arc<StoredResponse>),
    /// It describes another one.
    Differs,
    /// It says nothing that could be compared.
    Silent,
}

/// Compares the 200 to a client's HEAD with `stored`, which the request could have selected.
///
/// RFC 9111 §4.3.5: "if the stored response and HEAD response have matching values for any received validator fields
/// (ETag and Last-Modified) and, if the HEAD response has a Content-Length header field, the value of Content-Length
/// matches that of the stored response, the cache SHOULD update the stored response [..]; otherwise, the cache SHOULD
/// consider the stored response to be stale." A `Repr-Digest` counts beside them where the content's own is known. One
/// that carries none of these is [`HeadUpdate::Silent`] here: a new lifetime should have some ground.
#[must_use]
pub fn head_update(
    stored: &StoredResponse,
    answer: &response::Parts,
    ask: &Ask,
    policy: &Policy,
    asked: SystemTime,
    answered: Now,
) -> HeadUpdate {
    if answer.status != StatusCode::OK || stored.head().status != StatusCode::OK {
        return HeadUpdate::Silent;
    }
    let (own, theirs) = (stored.head(), &answer.headers);
    let compared = [
        EntityTag::of(theirs).map(|tag| own.tag == Some(tag)),
        validator::date_of(theirs, header::LAST_MODIFIED).map(|date| own.last_modified == Some(date)),
        content_length(theirs).map(|length| length == stored.len() as u64),
        repr_claim(answer)
            .filter(|claimed| stored.is_digested(claimed.algorithm()))
            .map(|claimed| stored.digest(claimed.algorithm()) == claimed),
    ];
    if compared.contains(&Some(false)) {
        return HeadUpdate::Differs;
    }
    if !compared.contains(&Some(true)) {
        return HeadUpdate::Silent;
    }
    HeadUpdate::Freshened(Arc::new(stored.freshened(theirs, &ask.fields, policy, asked, answered, stored.standing())))
}

fn content_length(head: &HeaderMap) -> Option<u64> {
    head.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Judges what the digest endpoint answered about `stored`, whose SHA-256 is `sha256`.
#[must_use]
pub fn digest_endpoint(
    stored: &Arc<StoredResponse>,
    sha256: Sha256,
    answer: &response::Parts,
    content: &[u8],
    ask: &Ask,
    policy: &Policy,
    exchange: Exchange,
) -> Verdict {
    if answer.headers.contains_key(header::AGE) {
        return Verdict::Unproven(Unproven::Age);
    }
    match digest::from_endpoint(content).filter(|_| answer.status == StatusCode::OK) {
        None => Verdict::Unproven(Unproven::NoDigest),
        Some(current) if current == sha256 => {
            // The endpoint's own fields say nothing about the representation's.
            let nothing = HeaderMap::new();
            Verdict::Same(confirm(stored, &nothing, answer.status, Proof::DigestEndpoint, ask, policy, exchange))
        }
        Some(_) => Verdict::Changed,
    }
}

fn confirm(
    stored: &Arc<StoredResponse>,
    update: &HeaderMap,
    status: StatusCode,
    proof: Proof,
    ask: &Ask,
    policy: &Policy,
    exchange: Exchange,
) -> Confirmation {
    let fresh = stored.freshened(update, &ask.fields, policy, exchange.asked, exchange.answered, exchange.standing);
    Confirmation::new(Arc::new(fresh), exchange.standing.confirmed, proof, status)
}

/// A full answer being held against stored content, as its bytes arrive.
#[derive(Debug)]
pub struct Comparison {
    stored: Arc<StoredResponse>,
    equal: usize,
}

impl Comparison {
    /// Begins to compare a 200's content with `stored`, unless its head already shows that it differs.
    #[must_use]
    pub fn begin(stored: &Arc<StoredResponse>, answer: &response::Parts, length: Option<u64>) -> Option<Self> {
        let own = stored.head();
        let differs = answer.status != StatusCode::OK
            || own.status != StatusCode::OK
            || length.is_some_and(|length| length != stored.len() as u64)
            || own.fields.get(header::CONTENT_ENCODING).as_ref() != answer.headers.get(header::CONTENT_ENCODING);
        (!differs).then(|| Self { stored: Arc::clone(stored), equal: 0 })
    }

    /// Takes in the next bytes; false as soon as they differ from the stored ones.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let equal = self.stored.continues_with(self.equal, bytes);
        if equal {
            self.equal += bytes.len();
        }
        equal
    }

    /// The bytes taken in so far, all of which the origin has just sent: the beginning of a body that turned out to be
    /// a new one.
    #[must_use]
    pub fn agreed(&self) -> Bytes {
        self.stored.agreed_prefix(self.equal)
    }

    /// At the end of the answer's content: the confirmation, if nothing was missing. `head` is the answer's own head
    /// and `request` the fields it answers: a full answer replaces the stored head.
    #[must_use]
    pub fn finish(&self, head: StoredHead, request: &RequestFields, exchange: Exchange) -> Option<Confirmation> {
        if self.equal != self.stored.len() {
            return None;
        }
        let status = head.status;
        let fresh = self.stored.reheaded(head, request, exchange.standing);
        Some(Confirmation::new(Arc::new(fresh), exchange.standing.confirmed, Proof::Bytes, status))
    }
}

#[cfg(test)]
mod tests;
