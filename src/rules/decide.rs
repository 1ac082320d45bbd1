//! What to do with a request before anything is sent to the origin.

use std::sync::Arc;
use std::time::Duration;

use super::ask::Ask;
use super::lookup::Lookup;
use super::moment::Now;
use super::outcome::{Excuse, FetchReason, PassReason, Refusal};
use super::policy::{Credentials, OnCheckError, Policy, Verify};
use super::promise::Excused;
use super::stored::StoredResponse;

/// What to do with a request.
#[derive(Debug)]
pub enum Decision {
    /// Forward unchanged and store nothing.
    Pass(PassReason),
    /// Nothing usable is stored: ask for the whole representation.
    Fetch(FetchReason),
    /// Something is stored: ask the origin whether it is still true.
    Check,
    /// Serve without asking, under a named excuse.
    Serve(Excused),
    /// Answer here.
    Refuse(Refusal),
}

/// Decides. `epoch` is the present invalidation epoch of the request's target.
#[must_use]
pub fn decide(ask: &Ask, lookup: &Lookup, policy: &Policy, epoch: u64, now: Now) -> Decision {
    if let Some(stored) = lookup.found()
        && let Some(excused) = excused_now(ask, stored, policy, epoch, now)
    {
        return Decision::Serve(excused);
    }
    // RFC 9111 §5.2.1.7: nothing usable without forwarding, so 504.
    if ask.directives.only_if_cached {
        return Decision::Refuse(Refusal::OnlyIfCached);
    }
    match lookup {
        // A HEAD's answer has no content to store.
        Lookup::Absent if ask.head_only => Decision::Pass(PassReason::Head),
        Lookup::Absent => Decision::Fetch(FetchReason::Absent),
        Lookup::VaryMismatch(_) | Lookup::Found(..) => Decision::Check,
    }
}

/// The excuse under which `stored` may be served at once, if the route has one.
fn excused_now(ask: &Ask, stored: &Arc<StoredResponse>, policy: &Policy, epoch: u64, now: Now) -> Option<Excused> {
    let standing = stored.standing();
    // Invalidated since (RFC 9111 §4.4), or the client wants it validated (§5.2.1.4).
    if standing.epoch != epoch || ask.demands_validation() {
        return None;
    }
    let age = stored.head().age(now.at);
    if ask.directives.max_age.is_some_and(|max| age > max) {
        return None;
    }
    match policy.verify {
        Verify::Lease(lease) => {
            (ask.arrived.since(standing.confirmed) <= lease).then(|| Excused::new(Arc::clone(stored), Excuse::Lease))
        }
        Verify::WhenStale => is_fresh(ask, stored, age).then(|| Excused::new(Arc::clone(stored), Excuse::Fresh)),
        Verify::EveryHit | Verify::Off => None,
    }
}

/// RFC 9111 §4.2: fresh while the lifetime exceeds the age; `no-cache` (§5.2.2.4) always asks for validation.
fn is_fresh(ask: &Ask, stored: &StoredResponse, age: Duration) -> bool {
    let head = stored.head();
    let margin = ask.directives.min_fresh.unwrap_or_default();
    !head.directives.no_cache && head.lifetime() > age.saturating_add(margin)
}

/// The excuse under which `stored` may be served because the origin could not be asked, if the route has one.
///
/// `must-revalidate`, `proxy-revalidate`, `no-cache` and `s-maxage` forbid it (RFC 9111 §5.2.2), and so does a route on
/// which the origin decides by check who may see the body: nobody asked it about this reader.
#[must_use]
pub fn excused_on_error(ask: &Ask, stored: &Arc<StoredResponse>, policy: &Policy, now: Now) -> Option<Excused> {
    let OnCheckError::ServeStale(max) = policy.on_check_error else { return None };
    let head = stored.head();
    let forbidden = head.directives.must_revalidate
        || head.directives.proxy_revalidate
        || head.directives.no_cache
        || head.directives.s_maxage.is_some()
        || ask.demands_validation()
        || shared_by_check(policy)
        || !stored.selected_by(&ask.fields);
    let since = now.at.since(stored.standing().confirmed);
    (!forbidden && since <= max).then(|| Excused::new(Arc::clone(stored), Excuse::StaleIfError))
}

/// Whether the route shares bodies among users because the origin confirms each read with the reader's credentials.
#[must_use]
pub fn shared_by_check(policy: &Policy) -> bool {
    policy.authorization == Credentials::Checked || policy.cookies == Credentials::Checked
}
