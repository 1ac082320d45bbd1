//! Routes: from what was written to matchers and policies, and what must agree between the keys of one route.

use std::collections::HashMap;

use super::resolve::Findings;
use super::route_settings::{self, Rules};
use super::settings::Settings;
use super::words::{AuditMismatch, Check, CheckError, Credential, Forward, Keep, Parts, Proof};
use super::{Matcher, Route, key_rules, size};
use crate::rules::policy::{Audit, CheckHow, Collapse, Credentials, OnCheckError, Policy, Strategy, Trust, Verify};

/// The name of the last route, which takes what no other does.
const LAST: &str = "default";

/// The routes in order, the last of them with the rules of `[defaults]`.
pub(super) fn resolve(settings: &Settings, memory: u64, findings: &mut Findings<'_>) -> Vec<Route> {
    // First, so that a problem of `[defaults]` is reported there and not at a route that has it from there.
    let last = Route {
        matcher: Matcher::default(),
        policy: policy(&settings.defaults, LAST, settings.route.len(), "defaults", memory, findings),
    };
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut all_taken_by = None;
    let mut routes = Vec::with_capacity(settings.route.len() + 1);
    for (index, written) in settings.route.iter().enumerate() {
        let at = format!("route[{index}]");
        let name = match &written.name {
            Some(name) => name.0.0.as_str(),
            None => {
                findings.refuse(&format!("{at}.name"), "not set; allowed: a name that no other route has");
                ""
            }
        };
        if let Some(first) = names.insert(name, index).filter(|_| !name.is_empty()) {
            findings.refuse(
                &format!("{at}.name"),
                &format!("allowed: a name that no other route has; route[{first}] has it"),
            );
        }
        if let Some(first) = all_taken_by {
            let why = format!(
                "never reached, because route[{first}] takes every request; allowed: a place before that route"
            );
            findings.refuse(&format!("{at}.name"), &why);
        }
        if written.methods.is_none() && written.paths.is_none() && written.hosts.is_none() {
            all_taken_by = all_taken_by.or(Some(index));
        }
        let matcher = matcher(written, &at, findings);
        let policy = policy(&written.rules, name, index, &at, memory, findings);
        routes.push(Route { matcher, policy });
    }
    routes.push(last);
    routes
}

/// Which requests a route takes. An empty list would take none, and that route would never match.
fn matcher(written: &route_settings::Route, at: &str, findings: &mut Findings<'_>) -> Matcher {
    let lengths = [
        ("methods", written.methods.as_ref().map(Vec::len)),
        ("paths", written.paths.as_ref().map(Vec::len)),
        ("hosts", written.hosts.as_ref().map(Vec::len)),
    ];
    for (name, _) in lengths.into_iter().filter(|(_, length)| *length == Some(0)) {
        let why = "the route would never match; allowed: at least one, or no such key, which agrees with everything";
        findings.refuse(&format!("{at}.{name}"), why);
    }
    let mut globs = globset::GlobSetBuilder::new();
    for path in written.paths.iter().flatten() {
        globs.add(path.0.0.clone());
    }
    let paths = globs.build().unwrap_or_else(|error| {
        findings.refuse(&format!("{at}.paths"), &format!("cannot be used together ({error}); allowed: simpler globs"));
        globset::GlobSet::empty()
    });
    Matcher {
        methods: written.methods.iter().flatten().map(|method| method.0.clone()).collect(),
        paths,
        hosts: written.hosts.iter().flatten().map(|host| host.0.0.clone()).collect(),
    }
}

/// The rules at `at`, which is `defaults` or a route.
fn policy(rules: &Rules, name: &str, index: usize, at: &str, memory: u64, findings: &mut Findings<'_>) -> Policy {
    let verify = rules.verify.0;
    let stale = verify == Verify::WhenStale;
    let authorization = rules.authorization.unwrap_or(if stale { Credential::Rfc } else { Credential::Key });
    let cookies = rules.cookies.unwrap_or(if stale { Credential::Pass } else { Credential::Key });
    for (key, credential) in [("authorization", authorization), ("cookies", cookies)] {
        if credential == Credential::Checked {
            may_be_checked(rules, &format!("{at}.{key}"), findings);
        }
    }
    if rules.check == Check::DigestEndpoint && rules.digest_endpoint.is_none() {
        findings.refuse(&format!("{at}.check"), "allowed: only together with digest_endpoint");
    }
    let object_max = rules.object_max.0.0;
    if object_max > memory {
        findings.refuse(
            &format!("{at}.object_max"),
            &format!("allowed: at most cache.memory, which is {}", size::render(memory)),
        );
    }
    Policy {
        name: name.into(),
        index,
        verify,
        check: match rules.check {
            Check::Auto => CheckHow::Auto,
            Check::DigestEndpoint => CheckHow::Only(Strategy::DigestEndpoint),
            Check::Conditional => CheckHow::Only(Strategy::Conditional),
            Check::Head => CheckHow::Only(Strategy::Head),
            Check::Body => CheckHow::Only(Strategy::Body),
        },
        on_check_error: match rules.on_check_error {
            CheckError::Fail => OnCheckError::Fail,
            CheckError::ServeStale => OnCheckError::ServeStale(rules.stale_max.0.0),
        },
        audit: Audit { share: rules.audit.0, turns_to_body: rules.on_audit_mismatch == AuditMismatch::Body },
        trust: Trust {
            weak_etag: rules.trust.contains(&Proof::WeakEtag),
            last_modified: rules.trust.contains(&Proof::LastModified),
        },
        key: key_rules::resolve(rules, cookies, at, findings).into(),
        no_vary_search: rules.no_vary_search,
        authorization: credentials(authorization),
        cookies: credentials(cookies),
        set_cookie: rules.set_cookie == Keep::Store,
        close_delimited: rules.close_delimited == Keep::Store,
        heuristic_max: rules.heuristic.then_some(rules.heuristic_max.0.0),
        select_language: rules.select_language,
        lenient_parts: rules.parts == Parts::Lenient,
        targeted: rules.targeted.iter().map(|name| name.0.0.clone()).collect(),
        targeted_forwarded: rules.targeted_fields == Forward::Pass,
        digest_endpoint: rules.digest_endpoint.as_ref().map(|endpoint| endpoint.0.clone()),
        object_max,
        content_max: rules.content_max.0.0,
        graphql: rules.graphql,
        collapse: Collapse {
            enabled: rules.collapse,
            overlap: rules.overlap.0,
            gather: rules.gather.0,
            gather_max: rules.gather_max.0,
        },
    }
}

/// Sharing a body among users is only true where the origin decides on every read, with the reader's own fields, and
/// its answer proves that this body is meant for this reader.
fn may_be_checked(rules: &Rules, key: &str, findings: &mut Findings<'_>) {
    if rules.verify.0 != Verify::EveryHit {
        findings.refuse(
            key,
            r#"allowed: "checked" only with verify = "every-hit", where the origin is asked for each reader"#,
        );
    }
    let digest = match rules.check {
        Check::DigestEndpoint => true,
        Check::Auto => rules.digest_endpoint.is_some(),
        Check::Conditional | Check::Head | Check::Body => false,
    };
    if digest {
        let why = r#"allowed: "checked" only with check = "conditional", "head" or "body", or "auto" without digest_endpoint, which does not say who may read"#;
        findings.refuse(key, why);
    }
    if !rules.trust.is_empty() {
        findings.refuse(key, r#"allowed: "checked" only with trust = [], because a weak proof may be another user's"#);
    }
    if rules.on_check_error == CheckError::ServeStale {
        findings.refuse(
            key,
            r#"allowed: "checked" only with on_check_error = "fail", because an unchecked body may be another user's"#,
        );
    }
}

/// What was written, as the rules have it.
const fn credentials(written: Credential) -> Credentials {
    match written {
        Credential::Key => Credentials::Key,
        Credential::Checked => Credentials::Checked,
        Credential::Rfc => Credentials::Rfc,
        Credential::Pass => Credentials::Pass,
    }
}

/// The word for what a route does with a credential, for `explain`.
pub(super) const fn word(credentials: Credentials) -> &'static str {
    match credentials {
        Credentials::Key => "key",
        Credentials::Checked => "checked",
        Credentials::Rfc => "rfc",
        Credentials::Pass => "pass",
    }
}
