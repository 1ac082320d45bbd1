//! What to do with a request before anything is sent to the origin.

use std::sync::Arc;
use std::time::Duration;

use super::ask::Ask;
use super::collapse::usable;
use super::lookup::Lookup;
use super::moment::Now;
use super::outcome::{Excuse, FetchReason, PassReason, Refusal};
use super::partial::PartialResponse;
use super::policy::{Credentials, OnCheckError, Policy, Verify};
use super::promise::Excused;
use super::stored::{Standing, StoredHead, StoredResponse};

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
        && let Some(excused) = excused(ask, stored, policy, epoch, now)
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

/// The excuse under which `stored` may be served without an exchange that began after the request arrived, if the route
/// has one. It is the same for what was found in the store and for what an exchange that was running has confirmed.
#[must_use]
pub fn excused(ask: &Ask, stored: &Arc<StoredResponse>, policy: &Policy, epoch: u64, now: Now) -> Option<Excused> {
    let excuse = excuse(ask, stored.head(), stored.standing(), policy, epoch, now)?;
    Some(Excused::new(Arc::clone(stored), excuse))
}

/// [`excused`], for a stored part that has all of what the request asks for.
#[must_use]
pub fn excused_part(
    ask: &Ask,
    part: &Arc<PartialResponse>,
    policy: &Policy,
    epoch: u64,
    now: Now,
) -> Option<Excused<PartialResponse>> {
    part.answers(ask)?;
    let excuse = excuse(ask, part.head(), part.standing(), policy, epoch, now)?;
    Some(Excused::new(Arc::clone(part), excuse))
}

/// [`excused`], for a response of which only head and standing are known: one that is still on its way in.
#[must_use]
pub fn excuse(
    ask: &Ask,
    head: &StoredHead,
    standing: Standing,
    policy: &Policy,
    epoch: u64,
    now: Now,
) -> Option<Excuse> {
    // Invalidated since (RFC 9111 §4.4), or the client wants it validated (§5.2.1.4).
    if standing.epoch != epoch || ask.demands_validation() {
        return None;
    }
    let age = head.age(now.at);
    if ask.directives.max_age.is_some_and(|max| age > max) {
        return None;
    }
    match policy.verify {
        Verify::Lease(lease) => usable(standing.confirmed, ask.arrived, lease).then_some(Excuse::Lease),
        Verify::WhenStale => is_fresh(ask, head, age).then_some(Excuse::Fresh),
        Verify::EveryHit | Verify::Off => None,
    }
}

/// RFC 9111 §4.2: fresh while the lifetime exceeds the age; `no-cache` (§5.2.2.4) always asks for validation.
fn is_fresh(ask: &Ask, head: &StoredHead, age: Duration) -> bool {
    let margin = ask.directives.min_fresh.unwrap_or_default();
    !head.directives.no_cache.is_everything() && head.lifetime().duration() > age.saturating_add(margin)
}

/// The excuse under which `stored` may be served because the origin could not be asked, if the route has one.
///
/// `must-revalidate`, `proxy-revalidate`, `no-cache` and `s-maxage` forbid it (RFC 9111 §5.2.2), and so do a write that
/// succeeded since (§4.4: what it invalidated is "in need of a mandatory validation"), and a route on which the origin
/// decides by check who may see the body: nobody asked it about this reader.
#[must_use]
pub fn excused_on_error(
    ask: &Ask,
    stored: &Arc<StoredResponse>,
    policy: &Policy,
    epoch: u64,
    now: Now,
) -> Option<Excused> {
    let OnCheckError::ServeStale(max) = policy.on_check_error else { return None };
    let head = stored.head();
    let forbidden = head.directives.must_revalidate
        || head.directives.proxy_revalidate
        || head.directives.no_cache.is_everything()
        || head.directives.s_maxage.is_some()
        || ask.demands_validation()
        || stored.standing().epoch != epoch
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{Req, Stored, ago, get, lookup, method, policy, policy_with, secs, stored, verify};

    const EPOCH: u64 = 0;

    fn decided(request: &Req, variants: &[Stored], policy: &Policy) -> String {
        let ask = request.ask(policy);
        match decide(&ask, &lookup(variants, &ask), policy, EPOCH, ago(0)) {
            Decision::Pass(why) => format!("pass: {}", why.as_str()),
            Decision::Fetch(why) => format!("fetch: {}", why.as_str()),
            Decision::Check => "check".to_owned(),
            Decision::Serve(excused) => format!("serve: {}", excused.excuse().as_str()),
            Decision::Refuse(why) => format!("refuse: {}", why.as_str()),
        }
    }

    #[test]
    fn under_every_hit() {
        let check = |sentence: &str, request: Req, variants: &[Stored], expected: &str| {
            assert_eq!(decided(&request, variants, &policy()), expected, "{sentence}");
        };
        let fresh = stored().etag("\"1\"").with("cache-control", "max-age=60, immutable");
        let only = get("/a").with("cache-control", "only-if-cached");
        check("what is not stored is fetched", get("/a"), &[], "fetch: uri-miss");
        check("HEAD for what is not stored passes", method("HEAD", "/a"), &[], "pass: head");
        check("HEAD for what is stored is checked", method("HEAD", "/a"), std::slice::from_ref(&fresh), "check");
        check("the freshest response is checked", get("/a"), std::slice::from_ref(&fresh), "check");
        let stale_ok = get("/a").with("cache-control", "max-stale");
        check("max-stale excuses nothing (RFC 9111 §5.2.1.2)", stale_ok, std::slice::from_ref(&fresh), "check");
        check("other variants are asked about", get("/a"), &[fresh.clone().varying("x", "1")], "check");
        check("only-if-cached, and nothing (RFC 9111 §5.2.1.7)", only.clone(), &[], "refuse: only-if-cached");
        check("only-if-cached, and nothing unasked", only, &[fresh], "refuse: only-if-cached");
        let head = method("HEAD", "/a").with("cache-control", "only-if-cached");
        check("also of a HEAD", head, &[], "refuse: only-if-cached");
    }

    #[test]
    fn under_a_lease() {
        let check = |sentence: &str, request: Req, variant: Stored, expected: &str| {
            assert_eq!(decided(&request, &[variant], &verify(Verify::Lease(secs(10)))), expected, "{sentence}");
        };
        let control = |value: &str| get("/a").with("cache-control", value);
        check("within the lease", get("/a"), stored().aged(9), "serve: lease");
        check("at its very end", get("/a"), stored().aged(10), "serve: lease");
        check("after it", get("/a"), stored().aged(11), "check");
        check("a HEAD too", method("HEAD", "/a"), stored().aged(9), "serve: lease");
        check("not what a write invalidated (RFC 9111 §4.4)", get("/a"), stored().invalidated(), "check");
        check("not for no-cache (RFC 9111 §5.2.1.4)", control("no-cache"), stored(), "check");
        check("nor Pragma alone (RFC 9111 §5.4)", get("/a").with("pragma", "no-cache"), stored(), "check");
        check("within max-age (RFC 9111 §5.2.1.1)", control("max-age=5"), stored().aged(5), "serve: lease");
        check("not past max-age", control("max-age=5"), stored().aged(6), "check");
        check("max-stale lengthens nothing", control("max-stale=60"), stored().aged(11), "check");
        check("only-if-cached is content with it", control("only-if-cached"), stored(), "serve: lease");
        check("but not past it", control("only-if-cached"), stored().aged(11), "refuse: only-if-cached");
        check("not another variant", get("/a"), stored().varying("x", "1"), "check");
    }

    #[test]
    fn under_when_stale() {
        let check = |sentence: &str, request: Req, variant: Stored, expected: &str| {
            assert_eq!(decided(&request, &[variant], &verify(Verify::WhenStale)), expected, "{sentence}");
        };
        let control = |value: &str| get("/a").with("cache-control", value);
        let ten = || stored().with("cache-control", "max-age=10");
        check("fresh (RFC 9111 §4.2)", get("/a"), ten().aged(9), "serve: fresh");
        check("no longer at its lifetime", get("/a"), ten().aged(10), "check");
        check("not without a lifetime", get("/a"), stored(), "check");
        check("not no-cache (RFC 9111 §5.2.2.4)", get("/a"), ten().with("cache-control", "no-cache"), "check");
        check("an Age on arrival counts (§4.2.3)", get("/a"), ten().with("age", "8").aged(3), "check");
        check("s-maxage beats max-age (§5.2.2.10)", get("/a"), ten().with("cache-control", "s-maxage=0"), "check");
        check("not invalidated (§4.4)", get("/a"), ten().invalidated(), "check");
        check("not for no-cache (§5.2.1.4)", control("no-cache"), ten(), "check");
        check("within max-age (§5.2.1.1)", control("max-age=3"), ten().aged(3), "serve: fresh");
        check("not past it", control("max-age=3"), ten().aged(4), "check");
        check("fresh for min-fresh (§5.2.1.3)", control("min-fresh=5"), ten().aged(4), "serve: fresh");
        check("not for long enough", control("min-fresh=5"), ten().aged(6), "check");
        check("max-stale is not used (§5.2.1.2)", control("max-stale"), ten().aged(10), "check");
    }

    #[test]
    fn when_the_origin_cannot_be_asked() {
        let serve_stale = || policy_with(|policy| policy.on_check_error = OnCheckError::ServeStale(secs(60)));
        let check = |sentence: &str, request: Req, variant: Stored, policy: &Policy, expected: bool| {
            let ask = request.ask(policy);
            let excused = excused_on_error(&ask, &variant.build(), policy, EPOCH, ago(0));
            assert_eq!(excused.is_some(), expected, "{sentence}");
            assert!(excused.is_none_or(|excused| excused.excuse() == Excuse::StaleIfError), "{sentence}");
        };
        check("nothing is excused by default", get("/a"), stored(), &policy(), false);
        check("where the route says so (RFC 5861 §4)", get("/a"), stored(), &serve_stale(), true);
        check("up to its bound", get("/a"), stored().aged(60), &serve_stale(), true);
        check("not past it", get("/a"), stored().aged(61), &serve_stale(), false);
        for forbidding in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=5"] {
            let variant = stored().with("cache-control", forbidding);
            check("not where the response forbids (RFC 9111 §4.2.4)", get("/a"), variant, &serve_stale(), false);
        }
        let no_cache = get("/a").with("cache-control", "no-cache");
        check("not for a request that demands validation", no_cache, stored(), &serve_stale(), false);
        check("not another variant", get("/a"), stored().varying("x", "1"), &serve_stale(), false);
        let invalidated = stored().invalidated();
        check("not what a write invalidated (RFC 9111 §4.4)", get("/a"), invalidated, &serve_stale(), false);
        for (authorization, cookies) in
            [(Credentials::Checked, Credentials::Key), (Credentials::Key, Credentials::Checked)]
        {
            let policy = policy_with(|policy| {
                policy.on_check_error = OnCheckError::ServeStale(secs(60));
                (policy.authorization, policy.cookies) = (authorization, cookies);
            });
            check("not where the origin says who may see it", get("/a"), stored(), &policy, false);
        }
    }
}
