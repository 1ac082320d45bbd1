//! Audits: some of the checks that found sameness are held against the whole representation, to find origins whose answers
//! to checks are not true.
//!
//! Only bytes can contradict a tag, a digest or a 304. Bytes that differ are no proof yet: a write may have come between the
//! check and the fetch. So the check is made once more, about what was stored. If it vouches for that again, after the
//! origin has shown other bytes, it does not tell the truth. (A write that is taken back in that moment looks the same.)

use std::sync::Arc;

use http::Method;
use http::uri::PathAndQuery;

use super::Proxy;
use super::exchange::{Errand, Found, failed};
use crate::metrics::{AuditResult, CheckResult};
use crate::origin::{Origin, OriginError, Purpose};
use crate::rules::judge::Verdict;
use crate::rules::learn::Shown;
use crate::rules::outcome::Unproven;
use crate::rules::policy::{Policy, Strategy, Verify};
use crate::rules::promise::Confirmation;
use crate::rules::question::Check;

/// Why a check is audited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The route's share of checks.
    Sampled,
    /// A 304 that repeats no tag proves less than one that does.
    Bare,
}

impl<O: Origin> Proxy<O> {
    /// What follows from a check that found sameness: what it confirmed is kept, or audited first. `bare` says that it was
    /// a 304 that does not repeat the tag that was asked about.
    pub(super) async fn upheld(
        self: &Arc<Self>,
        errand: Errand,
        check: Check,
        confirmation: Confirmation,
        bare: bool,
    ) -> (Found<O::Body>, CheckResult) {
        match self.cause(&errand.policy, bare) {
            None => (self.keep(&errand, confirmation), CheckResult::Same),
            Some(cause) => Box::pin(self.audit(errand, check, confirmation, cause)).await,
        }
    }

    /// Under `when-stale` a validator means what RFC 9111 says, equal bytes or not.
    fn cause(&self, policy: &Policy, bare: bool) -> Option<Cause> {
        if policy.verify == Verify::WhenStale {
            return None;
        }
        self.learned(policy, |learned| {
            if bare && learned.audits_bare_304() {
                return Some(Cause::Bare);
            }
            learned.audits(policy.audit.share).then_some(Cause::Sampled)
        })
    }

    /// Fetches the whole representation and holds it against what the check has confirmed. Whoever waits for the exchange
    /// gets what the origin has just sent, where that is another; where it cannot be had, what was confirmed, unless the
    /// confirmation was one that needs the audit.
    async fn audit(
        self: &Arc<Self>,
        errand: Errand,
        check: Check,
        confirmation: Confirmation,
        cause: Cause,
    ) -> (Found<O::Body>, CheckResult) {
        if cause == Cause::Bare {
            self.watch.metrics.unproven(Unproven::Audit);
        }
        let began = self.clock.moment();
        let policy = Arc::clone(&errand.policy);
        let stored = Arc::clone(confirmation.response());
        let check = Check { candidates: vec![Arc::clone(&stored)], ..check };
        let fetched = self.ask_origin(&errand, Purpose::Fetch, &mut || self.request(&errand, Method::GET)).await;
        let (found, result, showed) = match fetched {
            Err(error) => {
                let (found, result) = failed(errand.clone(), error);
                (found, result, AuditResult::Unsettled)
            }
            Ok((response, exchange)) => {
                // Another status is not the representation with other bytes: an origin that is overloaded tells no lie.
                let whole = response.status() == stored.head().status;
                if !whole && cause == Cause::Sampled {
                    self.audited(&policy, AuditResult::Unsettled);
                    return (self.keep(&errand, confirmation), CheckResult::Same);
                }
                let (found, result) = self.compare(errand.clone(), &check, response, exchange).await;
                let showed = match result {
                    CheckResult::Same => AuditResult::Upheld,
                    CheckResult::Changed if whole => match self.vouches_again(&errand, &check).await {
                        Ok(true) => AuditResult::Mismatch,
                        Ok(false) => AuditResult::Raced,
                        Err(_) => AuditResult::Unsettled,
                    },
                    CheckResult::Changed | CheckResult::Unproven | CheckResult::Error => AuditResult::Unsettled,
                };
                (found, result, showed)
            }
        };
        self.audited(&policy, showed);
        if showed == AuditResult::Mismatch {
            self.caught(&policy, &errand.ask.target, check.strategy);
        } else if showed == AuditResult::Upheld && cause == Cause::Bare {
            self.learn(&errand, Shown::NotModifiedUpheld);
        }
        match (cause, result) {
            (Cause::Sampled, CheckResult::Error) => (self.keep(&errand, confirmation), CheckResult::Same),
            (Cause::Sampled, _) => (found, result),
            // That the 304 proved nothing led to a second check, by the bytes, and that counts as one.
            (Cause::Bare, _) => {
                let took = self.clock.moment().since(began);
                self.watch.route(&policy, |route| route.check(Strategy::Body, result, took));
                (found, if result == CheckResult::Error { result } else { CheckResult::Unproven })
            }
        }
    }

    /// Makes a check once more, and says whether it vouches for its candidate.
    async fn vouches_again(&self, errand: &Errand, check: &Check) -> Result<bool, OriginError> {
        let verdict = match check.strategy {
            Strategy::Conditional => self.judge_conditional(errand, check).await?.verdict,
            Strategy::Head => self.judge_head(errand, check).await?,
            Strategy::DigestEndpoint => self.judge_digest(errand, check).await?,
            // Bytes need no audit.
            Strategy::Body => return Ok(false),
        };
        Ok(matches!(verdict, Verdict::Same(_)))
    }

    fn audited(&self, policy: &Policy, result: AuditResult) {
        self.watch.route(policy, |route| route.audit(result));
    }

    /// A check of `target` vouched for bytes that are not the origin's.
    pub(super) fn caught(&self, policy: &Policy, target: &PathAndQuery, strategy: Strategy) {
        let turns = policy.audit.turns_to_body;
        let then = if turns { "it is checked by body from now on" } else { "it goes on as it was (on_audit_mismatch)" };
        let (route, path, check) = (&*policy.name, target.path(), strategy.as_str());
        tracing::warn!(route, path, check, then, "a check vouched for content that the origin does not send");
        if turns {
            let (now, relearn_after) = (self.clock.moment(), self.config.cache.relearn_after);
            self.learned(policy, |learned| learned.learn(Shown::FalseConfirmation, now, relearn_after));
        }
    }
}
