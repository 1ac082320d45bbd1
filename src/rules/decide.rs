//! What to do with a request before anything is sent to the origin.

use std::sync::Arc;
use std::time::Duration;

use super::ask::Ask;
use super::collapse::usable;
use super::freshness::Lifetime;
use super::lookup::Lookup;
use super::moment::Moment;
use super::outcome::{Excuse, FetchReason, PassReason};
use super::partial::PartialResponse;
use super::policy::{Credentials, OnCheckError, Policy, Verify};
use super::promise::Excused;
use super::refusal::Refusal;
use super::stored::{Standing, StoredHead, StoredResponse};
use crate::faults::{Fault, seeded};

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

/// Decides. `invalidated` is the epoch that the latest invalidation of what is [`servable`] opened.
#[must_use]
pub fn decide(ask: &Ask, lookup: &Lookup, policy: &Policy, invalidated: u64, now: Moment) -> Decision {
    if let Some(stored) = servable(ask, lookup, policy)
        && let Some(excused) = excused(ask, stored, policy, invalidated, now)
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
        // A GET could not be conditional, so the HEAD itself is asked, and says something of what is stored (§4.3.5).
        Lookup::VaryMismatch(_) if ask.head_only => Decision::Pass(PassReason::Head),
        Lookup::Found(stored, _) if ask.head_only && !can_be_validated(stored.head(), policy) => {
            Decision::Pass(PassReason::Head)
        }
        Lookup::Absent => Decision::Fetch(FetchReason::Absent),
        Lookup::VaryMismatch(_) | Lookup::Found(..) => Decision::Check,
    }
}

/// The stored response that might be served unasked: what the request selects, or, where the route says so, what speaks
/// the language that it prefers.
#[must_use]
pub fn servable<'a>(ask: &Ask, lookup: &'a Lookup, policy: &Policy) -> Option<&'a Arc<StoredResponse>> {
    let preferred = || lookup.by_language(&ask.fields).filter(|_| policy.selects_by_language());
    lookup.found().or_else(preferred)
}

/// Under `when-stale`, only what has a validator can be asked about; elsewhere, bytes can always be compared.
fn can_be_validated(head: &StoredHead, policy: &Policy) -> bool {
    policy.verify != Verify::WhenStale || head.has_validator()
}

/// The excuse under which `stored` may be served without an exchange that began after the request arrived, if the route
/// has one. It is the same for what was found in the store and for what an exchange that was running has confirmed.
#[must_use]
pub fn excused(
    ask: &Ask,
    stored: &Arc<StoredResponse>,
    policy: &Policy,
    invalidated: u64,
    now: Moment,
) -> Option<Excused> {
    let excuse = excuse(ask, stored.head(), stored.standing(), policy, invalidated, now)?;
    Some(Excused::new(Arc::clone(stored), excuse))
}

/// [`excused`], for a stored part that has all of what the request asks for.
#[must_use]
pub fn excused_part(
    ask: &Ask,
    part: &Arc<PartialResponse>,
    policy: &Policy,
    epoch: u64,
    now: Moment,
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
    invalidated: u64,
    now: Moment,
) -> Option<Excuse> {
    // Invalidated since (RFC 9111 §4.4), or the client wants it validated (§5.2.1.4).
    if standing.is_invalidated(invalidated) || ask.demands_validation() {
        return None;
    }
    let age = head.age(now);
    if ask.directives.max_age.is_some_and(|max| age > max) {
        return None;
    }
    match policy.verify {
        // RFC 9111 §5.2.1.3: what must stay good for a while has a lease that is as much shorter.
        Verify::Lease(lease) => {
            let lease = lease.saturating_sub(ask.directives.min_fresh.unwrap_or_default());
            usable(standing.confirmed, ask.arrived, lease).then_some(Excuse::Lease)
        }
        Verify::WhenStale => by_freshness(ask, head, age),
        Verify::EveryHit | Verify::Off => None,
    }
}

/// The excuse that RFC 9111 knows for a response of this age: it is fresh, or may be served stale (§4.2.4).
fn by_freshness(ask: &Ask, head: &StoredHead, age: Duration) -> Option<Excuse> {
    // §5.2.2.4: without field names, no-cache "MUST NOT be used to satisfy any other request without forwarding it for
    // validation".
    if head.directives.no_cache.is_everything() {
        return None;
    }
    // §4.2: "response_is_fresh = (freshness_lifetime > current_age)"; §5.2.1.3: for so many seconds more.
    let margin = ask.directives.min_fresh.unwrap_or_default();
    if head.lifetime().duration() > age.saturating_add(margin) || seeded(Fault::FreshForEver) {
        return Some(Excuse::Fresh);
    }
    let staleness = staleness(head, age).filter(|_| !forbids_stale(head) && ask.directives.min_fresh.is_none())?;
    // §5.2.1.2: "the client will accept a response that has exceeded its freshness lifetime by no more than the
    // specified number of seconds"; without a number, by any.
    if ask.directives.max_stale.is_some_and(|most| most.is_none_or(|most| staleness <= most)) {
        return Some(Excuse::MaxStale);
    }
    // RFC 5861 §3: "caches MAY serve the response [..] after it becomes stale, up to the indicated number of seconds".
    let window = head.directives.stale_while_revalidate.filter(|_| !ask.declines_stale());
    window.is_some_and(|window| staleness <= window).then_some(Excuse::StaleWhileRevalidate)
}

/// By how much a response of this age has outlived its freshness; `None` while it is fresh, and where nobody has said
/// how long it would be.
fn staleness(head: &StoredHead, age: Duration) -> Option<Duration> {
    match head.lifetime() {
        Lifetime::Explicit(lifetime) | Lifetime::Heuristic(lifetime) => age.checked_sub(lifetime),
        Lifetime::Unstated => Some(age),
    }
}

/// What a response must not be served stale by, whatever else allows it: "must-revalidate" (RFC 9111 §5.2.2.2),
/// "proxy-revalidate" (§5.2.2.8), "s-maxage", which "also implies the semantics of proxy-revalidate" (§5.2.2.10), and
/// "no-cache" (§5.2.2.4).
fn forbids_stale(head: &StoredHead) -> bool {
    let directives = &head.directives;
    directives.must_revalidate
        || directives.proxy_revalidate
        || directives.s_maxage.is_some()
        || directives.no_cache.is_everything()
}

/// The excuse under which `stored` may be served because the origin could not be asked, or answered with an error, if
/// the route or, under `when-stale`, the response or the request has one (`stale-if-error`, RFC 5861 §4).
///
/// What forbids it: the response's directives (RFC 9111 §5.2.2), a write that succeeded since (§4.4: what it
/// invalidated is "in need of a mandatory validation"), and a route on which the origin decides by check who may see
/// the body: nobody asked it about this reader.
#[must_use]
pub fn excused_on_error(
    ask: &Ask,
    stored: &Arc<StoredResponse>,
    policy: &Policy,
    invalidated: u64,
    now: Moment,
) -> Option<Excused> {
    let head = stored.head();
    let allowed = match policy.on_check_error {
        OnCheckError::ServeStale(max) => now.since(stored.standing().confirmed) <= max,
        OnCheckError::Fail => false,
    };
    let allowed = allowed || seeded(Fault::ServeOnCheckError);
    let window = head.directives.stale_if_error.max(ask.directives.stale_if_error);
    let allowed = allowed
        || policy.verify == Verify::WhenStale
            && window.zip(staleness(head, head.age(now))).is_some_and(|(window, staleness)| staleness <= window);
    let forbidden = forbids_stale(head)
        || ask.demands_validation()
        || ask.declines_stale()
        || stored.standing().is_invalidated(invalidated)
        || shared_by_check(policy)
        || !stored.selected_by(&ask.fields);
    (allowed && !forbidden).then(|| Excused::new(Arc::clone(stored), Excuse::StaleIfError))
}

/// `stored` as if a policy allowed it, which none does: for [`Fault::ServeStored`].
#[cfg(feature = "seeded-faults")]
#[must_use]
pub fn unexcused(stored: &Arc<StoredResponse>) -> Excused {
    Excused::new(Arc::clone(stored), Excuse::Lease)
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

    /// The epoch that the latest invalidation opened: [`Stored`] is fetched in it.
    const EPOCH: u64 = 1;

    fn decided(request: &Req, variants: &[Stored], policy: &Policy) -> String {
        let ask = request.ask(policy);
        match decide(&ask, &lookup(variants, &ask), policy, EPOCH, ago(0).at) {
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
        let other = fresh.clone().varying("x", "1");
        check("and for what other fields select", method("HEAD", "/a"), &[other], "pass: head");
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
        check("min-fresh shortens it (RFC 9111 §5.2.1.3)", control("min-fresh=5"), stored().aged(5), "serve: lease");
        check("by as much", control("min-fresh=5"), stored().aged(6), "check");
        let revalidated = stored().with("cache-control", "max-age=1, stale-while-revalidate=60").aged(11);
        check("stale-while-revalidate lengthens nothing", get("/a"), revalidated, "check");
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
        let more = |value: &str| ten().with("cache-control", value);
        check("max-stale accepts any staleness (§5.2.1.2)", control("max-stale"), ten().aged(99), "serve: max-stale");
        check("or as much as it says", control("max-stale=5"), ten().aged(15), "serve: max-stale");
        check("not more", control("max-stale=5"), ten().aged(16), "check");
        check("of no lifetime, the age is all stale", control("max-stale=5"), stored().aged(5), "serve: max-stale");
        for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"] {
            check("not what forbids it (§4.2.4)", control("max-stale"), more(forbidding).aged(11), "check");
            let revalidated = format!("{forbidding}, stale-while-revalidate=60");
            check("nor then", get("/a"), more(&revalidated).aged(11), "check");
        }
        check("not with min-fresh", control("max-stale, min-fresh=1"), ten().aged(10), "check");
        let revalidated = || more("stale-while-revalidate=5");
        check(
            "while it is revalidated (RFC 5861 §3)",
            get("/a"),
            revalidated().aged(15),
            "serve: stale-while-revalidate",
        );
        check("not past the window", get("/a"), revalidated().aged(16), "check");
        check("not where the client wants it fresh (§5.2.1.1)", control("max-age=60"), revalidated().aged(11), "check");
        let head = || method("HEAD", "/a");
        check("HEAD of a fresh GET response (RFC 9110 §9.3.2)", head(), ten(), "serve: fresh");
        check("of a stale one that a GET can validate", head(), ten().aged(10).etag("W/\"1\""), "check");
        check("of one that only a HEAD can freshen (§4.3.5)", head(), ten().aged(10), "pass: head");
        check("no-cache about a field is about that field (§5.2.2.4)", get("/a"), more("no-cache=x"), "serve: fresh");
    }

    #[test]
    fn where_a_route_selects_by_language() {
        let check = |sentence: &str, select_language: bool, verify: Verify, variant: Stored, expected: &str| {
            let policy = policy_with(|policy| (policy.select_language, policy.verify) = (select_language, verify));
            let request = get("/a").with("accept-language", "fr;q=0.5, de");
            assert_eq!(decided(&request, &[variant], &policy), expected, "{sentence}");
        };
        let de = || stored().varying("accept-language", "en, de").with("content-language", "de");
        let fresh = || de().with("cache-control", "max-age=10");
        check("the language that is preferred is served", true, Verify::WhenStale, fresh(), "serve: fresh");
        check("not by default (RFC 9111 §4.1)", false, Verify::WhenStale, fresh(), "check");
        check("not where it is stale", true, Verify::WhenStale, fresh().aged(10), "check");
        check("not within a lease", true, Verify::Lease(secs(10)), fresh(), "check");
        check("never where each hit is checked", true, Verify::EveryHit, fresh(), "check");
    }

    #[test]
    fn when_the_origin_cannot_be_asked() {
        let serve_stale = || policy_with(|policy| policy.on_check_error = OnCheckError::ServeStale(secs(60)));
        let check = |sentence: &str, request: Req, variant: Stored, policy: &Policy, expected: bool| {
            let ask = request.ask(policy);
            let excused = excused_on_error(&ask, &variant.build(), policy, EPOCH, ago(0).at);
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
        let when_stale = verify(Verify::WhenStale);
        let allowing = || stored().with("cache-control", "max-age=10, stale-if-error=5");
        check("or the response (RFC 5861 §4)", get("/a"), allowing().aged(15), &when_stale, true);
        check("within its window", get("/a"), allowing().aged(16), &when_stale, false);
        check("which means nothing under every-hit", get("/a"), allowing().aged(11), &policy(), false);
        let asking = |control: &str| get("/a").with("cache-control", control);
        let ten = || stored().with("cache-control", "max-age=10");
        check("or the request", asking("stale-if-error=5"), ten().aged(15), &when_stale, true);
        check("within its window too", asking("stale-if-error=5"), ten().aged(16), &when_stale, false);
        check("but not one that wants it fresh", asking("max-age=60"), allowing().aged(11), &when_stale, false);
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
