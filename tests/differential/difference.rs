//! `Difference`: why truehit and the oracle may say different things of a case, and how each is shown to be the only one.

use crate::{Case, Opinion, theirs};

/// Why the two may disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// RFC 9111 §3 allows to store what has neither a lifetime nor a validator, but it could never be used.
    NeverUsable,
    /// RFC 9111 §3: explicit freshness makes any final status storable; the oracle has a list.
    Status,
    /// RFC 9110 §9.3.2, RFC 9111 §2: the answer to a HEAD may be stored; truehit passes it, having no content.
    Head,
    /// RFC 9110 §9.3.3: the answer to a POST can only answer a later GET; the oracle would have it answer a POST.
    Post,
    /// RFC 9111 §4.1: `Vary: *` never matches, so truehit does not store it; the oracle stores it with no lifetime.
    VaryStar,
    /// RFC 9111 §5.2: directives are compared without case; the oracle compares with it.
    Case,
    /// RFC 9111 §5.2: an argument may be a quoted string, with commas in it; the oracle splits at each comma.
    Quoted,
    /// RFC 9111 §5.2.2.7: `private` with field names forbids those fields; the oracle takes it for all.
    PrivateFields,
    /// RFC 9111 §5.2.2.4: `no-cache` with field names forbids those fields; the oracle takes it for all.
    NoCacheFields,
    /// RFC 9111 §5.2.2.3: `must-understand`, which RFC 7234 did not have.
    MustUnderstand,
    /// RFC 9111 §5.4: `Pragma` in a response never had a meaning.
    ResponsePragma,
    /// RFC 9111 §5.4, RFC 7234 §5.4: `Pragma` in a request means nothing beside `Cache-Control`.
    RequestPragma,
    /// RFC 9111 §5.2.2.8: `proxy-revalidate` forbids reuse when stale; the oracle takes away the lifetime.
    ProxyRevalidate,
    /// RFC 9111 §7.3: `Set-Cookie` does not inhibit caching; the oracle has a policy of its own.
    SetCookie,
    /// RFC 9111 §4.2.3: the apparent age counts; the oracle looks at `Age` alone.
    ApparentAge,
    /// RFC 9111 §5.1: of a list in `Age`, the first member counts; the oracle takes none.
    AgeList,
    /// RFC 9111 §4.2.1: directives that contradict each other make the response stale; the oracle takes the first, and
    /// lets a client's `max-stale` no further.
    Contradiction,
    /// RFC 9111 §4.2.1: a directive that is given twice with one value has that value; the oracle compares the quotes too.
    Repeated,
    /// RFC 9111 §4.2.1: a lifetime without an argument is none, and makes the response stale; the oracle goes on to the
    /// next one.
    NoArgument,
    /// RFC 9111 §1.2.2: what does not fit is 2^31 seconds; the oracle takes it for zero, or for what it says.
    Overflow,
    /// RFC 9110 §5.6.7: dates in obsolete forms are dates; the oracle knows one form.
    ObsoleteDate,
    /// RFC 9111 §4.2: a zone other than GMT makes a date invalid; the oracle converts it.
    Zone,
    /// RFC 9111 §5.2.1.2: a client that takes stale responses need not get one, and no-cache and s-maxage forbid it; the
    /// oracle minds `must-revalidate` alone.
    MaxStale,
    /// RFC 5861 §3: `stale-while-revalidate`, which the oracle does not know.
    StaleWhileRevalidate,
    /// RFC 9111 §5.2.1.2: `max-stale` accepts what is stale "by no more than the specified number of seconds"; the oracle
    /// wants it to be by less.
    MaxStaleBoundary,
    /// RFC 9111 §5.2.1.1, §4.2.1: an argument that is no number makes the request strict; the oracle ignores it.
    RequestArgument,
    /// RFC 9111 §5.2.1.3: at exactly the margin that `min-fresh` asks for, truehit asks the origin.
    MinFreshBoundary,
}

use Difference as D;

/// Every name.
pub(crate) const ALL: &[Difference] = &[
    D::NeverUsable,
    D::Status,
    D::Head,
    D::Post,
    D::VaryStar,
    D::Case,
    D::Quoted,
    D::PrivateFields,
    D::NoCacheFields,
    D::MustUnderstand,
    D::ResponsePragma,
    D::RequestPragma,
    D::ProxyRevalidate,
    D::SetCookie,
    D::ApparentAge,
    D::AgeList,
    D::Contradiction,
    D::Repeated,
    D::NoArgument,
    D::Overflow,
    D::ObsoleteDate,
    D::Zone,
    D::MaxStale,
    D::StaleWhileRevalidate,
    D::MaxStaleBoundary,
    D::RequestArgument,
    D::MinFreshBoundary,
];

/// A lifetime, as RFC 9111 §1.2.2 and §4.2.1 have it: what is none is zero.
fn seconds(directive: &str) -> u64 {
    let argument = directive.split_once('=').map_or("", |(_, argument)| argument.trim_matches('"'));
    let digits = !argument.is_empty() && argument.bytes().all(|byte| byte.is_ascii_digit());
    if digits { argument.parse::<u64>().unwrap_or(u64::MAX).min(1 << 31) } else { 0 }
}

/// A difference, whether a case has it, and what the oracle is told instead.
type Rewriting = (Difference, fn(&Case) -> bool, fn(&mut Case));

const REWRITINGS: &[Rewriting] = &[
    (D::Case, |case| case.says("Max-Age=60"), |case| case.instead("Max-Age=60", Some("max-age=60"))),
    (D::Quoted, |case| case.says(QUOTED), |case| case.instead(QUOTED, Some("foo"))),
    (
        D::MustUnderstand,
        |case| case.says("must-understand") && (case.status == 599 || case.says("no-store")),
        |case| {
            case.instead("no-store", None);
            if case.status == 599 {
                case.directives.push("no-store");
            }
        },
    ),
    (D::PrivateFields, |case| case.says("private=\"x-a\""), |case| case.instead("private=\"x-a\"", None)),
    (D::NoCacheFields, |case| case.says("no-cache=\"x-a\""), |case| case.instead("no-cache=\"x-a\"", None)),
    (D::ProxyRevalidate, |case| case.says("proxy-revalidate"), |case| case.instead("proxy-revalidate", None)),
    (D::Status, |case| [500, 503, 599].contains(&case.status), |case| case.status = 200),
    (
        D::NoArgument,
        |case| case.says("max-age") || case.says("s-maxage"),
        |case| {
            case.instead("max-age", Some("max-age=0"));
            case.instead("s-maxage", Some("s-maxage=0"));
        },
    ),
    (
        D::Overflow,
        |case| case.directives.iter().any(|said| seconds(said) == 1 << 31),
        |case| {
            case.instead("max-age=4294967296", Some("max-age=2147483648"));
            case.instead("max-age=99999999999999999999999", Some("max-age=2147483648"));
        },
    ),
    (
        D::Repeated,
        |case| lifetimes(case, "max-age").len() > 1 && !contradicts(case, "max-age"),
        |case| {
            let last = case.directives.iter().rposition(|said| said.starts_with("max-age"));
            last.into_iter().for_each(|last| {
                case.directives.remove(last);
            });
        },
    ),
    (
        D::Contradiction,
        |case| ["max-age", "s-maxage"].iter().any(|name| contradicts(case, name)),
        |case| {
            for name in ["max-age", "s-maxage"].into_iter().filter(|name| contradicts(case, name)).collect::<Vec<_>>() {
                lifetimes(case, name).into_iter().for_each(|said| case.instead(said, None));
                case.directives.push(if name == "max-age" { "max-age=0" } else { "s-maxage=0" });
            }
        },
    ),
    (D::ResponsePragma, |case| case.has("pragma", ""), |case| case.fields.retain(|(name, _)| *name != "pragma")),
    (D::SetCookie, |case| case.has("set-cookie", ""), |case| case.fields.clear()),
    (D::ApparentAge, |case| case.has("date", "Dec"), |case| case.fields.push(("age", "30"))),
    (D::AgeList, |case| case.has("age", "30, 90"), |case| case.fields = vec![("age", "30")]),
    (
        D::ObsoleteDate,
        |case| case.has("expires", "Thursday"),
        |case| case.fields = vec![("expires", "Thu, 01 Jan 2026 00:01:00 GMT")],
    ),
    (D::Zone, |case| case.has("expires", "+0100"), |case| case.fields = vec![("expires", "0")]),
    (D::RequestPragma, |case| case.second.len() == 2, |case| case.second.retain(|(name, _)| *name != "pragma")),
    (
        D::MaxStaleBoundary,
        |case| case.asks("max-stale=60"),
        |case| case.second = vec![("cache-control", "max-stale=61")],
    ),
    (
        D::RequestArgument,
        |case| case.asks("=x"),
        |case| {
            let strict = |said| match said {
                ("cache-control", "max-age=x") => Some(("cache-control", "max-age=0")),
                ("cache-control", "min-fresh=x") => Some(("cache-control", "min-fresh=9999999999")),
                _ => None,
            };
            case.second = case.second.iter().filter_map(|said| strict(*said)).collect();
        },
    ),
];

const QUOTED: &str = "foo=\"bar, no-store, baz\"";

fn lifetimes(case: &Case, name: &str) -> Vec<&'static str> {
    let named = |said: &&str| said.split('=').next() == Some(name);
    case.directives.iter().copied().filter(named).collect()
}

/// Whether one lifetime is given twice, differently.
fn contradicts(case: &Case, name: &str) -> bool {
    lifetimes(case, name).windows(2).any(|pair| seconds(pair[0]) != seconds(pair[1]))
}

/// The differences that explain what was said, if they do; `without` one of them.
pub(crate) fn explain(case: &Case, ours: Opinion, without: Option<Difference>) -> Option<Vec<Difference>> {
    let (mut told, mut names) = (case.clone(), Vec::new());
    let known = |name: &Difference| Some(*name) != without;
    for (name, applies, change) in REWRITINGS.iter().filter(|(name, ..)| known(name)) {
        if applies(&told) {
            change(&mut told);
            names.push(*name);
        }
    }
    let theirs = theirs(&told);
    if ours == theirs {
        return Some(names);
    }
    // What no rewriting can say, because the oracle has no such outcome.
    let stores_less = theirs.storable && !ours.storable;
    let reuses_less = Opinion { reused: false, ..theirs } == ours;
    let reuses_more = Opinion { reused: true, ..theirs } == ours;
    let outcomes = [
        (stores_less && told.method == "HEAD", D::Head),
        (stores_less && told.method == "POST", D::Post),
        (stores_less && told.has("vary", "*") && !theirs.reused, D::VaryStar),
        (stores_less && theirs.lifetime == 0 && (!theirs.reused || told.asks("max-stale")), D::NeverUsable),
        (reuses_more && revalidated_meanwhile(&told, ours.lifetime), D::StaleWhileRevalidate),
        (reuses_less && told.asks("max-stale"), D::MaxStale),
        (reuses_less && told.asks("min-fresh=30") && age_of(&told) + 30 == theirs.lifetime, D::MinFreshBoundary),
    ];
    let (_, outcome) = outcomes.into_iter().find(|(applies, name)| *applies && known(name))?;
    names.push(outcome);
    Some(names)
}

/// Whether `stale-while-revalidate` lets a response of this lifetime be reused.
fn revalidated_meanwhile(case: &Case, lifetime: u64) -> bool {
    let forbidding = ["must-revalidate", "no-cache", "s-maxage=0", "s-maxage=120"];
    case.says("stale-while-revalidate=60")
        && !forbidding.iter().any(|directive| case.says(directive))
        && !["no-cache", "max-age", "min-fresh"].iter().any(|asked| case.asks(asked))
        && age_of(case) <= lifetime + 60
}

/// How old the response is at the later request.
fn age_of(case: &Case) -> u64 {
    case.later + if case.has("age", "30") && !case.has("age", "-") { 30 } else { 0 }
}
