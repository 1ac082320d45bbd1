//! From findings to advice: which check to use, why, and what would make it cheaper. Pure, so it is a table of tests.

use super::{Coding, Conditional, Findings, Head, ReprDigest, Tag};
use crate::rules::policy::Strategy;
use serde::Serialize;

/// What to do with a route whose origin answers so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The check to use; `None` where the response is not stored and the route should pass.
    #[serde(serialize_with = "strategy_word")]
    pub check: Option<Strategy>,
    /// Why, in sentences.
    pub reasons: Vec<String>,
    /// What could be wrong with it, in sentences.
    pub warnings: Vec<String>,
    /// What would make it cheaper or possible, in sentences.
    pub remedies: Vec<String>,
    /// The route in TOML.
    pub route: String,
}

/// A check that takes this share of a fetch's time or more saves the origin little.
const DEAR_SHARE: f64 = 0.8;

/// Below this, in milliseconds, one measurement says nothing.
const DEAR_FLOOR_MS: f64 = 5.0;

/// The advice for responses like this at `path`.
#[must_use]
pub fn advise(path: &str, findings: &Findings) -> Advice {
    let mut reasons = Vec::new();
    let check = if findings.not_stored.is_empty() {
        let (strategy, reason) = cheapest(findings);
        reasons.push(reason);
        Some(strategy)
    } else {
        reasons.push(format!("The response is not stored by default: {}.", findings.not_stored.join(", ")));
        None
    };
    Advice {
        check,
        reasons,
        warnings: warnings(findings, check),
        remedies: remedies(findings, check),
        route: route(path, check),
    }
}

/// The cheapest check whose answer proves something, and why no cheaper one does.
fn cheapest(findings: &Findings) -> (Strategy, String) {
    let confirms = matches!(findings.conditional, Conditional::NotModified | Conditional::NotModifiedWithoutTag);
    if confirms && !findings.confirms_any_tag && findings.tag.proves() {
        let tag = match findings.tag {
            Tag::Recognised(recipe) => format!("a tag that is a digest of the bytes ({recipe})"),
            Tag::Clock => String::from("a tag made of time and length"),
            _ => String::from("a strong tag"),
        };
        return (Strategy::Conditional, format!("The origin sends {tag} and answers 304 to it, and only to it."));
    }
    if findings.repr_digest == ReprDigest::OnHead {
        return (Strategy::Head, String::from("HEAD carries a Repr-Digest that is right."));
    }
    if findings.head == Head::Agrees && findings.tag.proves() && !findings.confirms_any_tag {
        let why = "HEAD carries the tag of GET, and conditional requests are not answered 304.";
        return (Strategy::Head, String::from(why));
    }
    (Strategy::Body, format!("Nothing cheaper proves anything: {}.", wanting(findings).join("; ")))
}

/// What keeps the cheaper checks from proving anything.
fn wanting(findings: &Findings) -> Vec<String> {
    let mut wanting = Vec::new();
    match findings.tag {
        Tag::Absent if findings.last_modified => {
            wanting.push(String::from("there is no entity tag, and a date is too coarse to prove sameness"));
        }
        Tag::Absent => wanting.push(String::from("there is no entity tag")),
        Tag::Weak => wanting.push(String::from("the tag is weak and no digest that is known")),
        Tag::Unstable => wanting.push(String::from("the tag changes while the bytes stay")),
        Tag::Untrue => wanting.push(String::from("the tag stays while the bytes change")),
        Tag::Strong | Tag::Recognised(_) | Tag::Clock => {}
    }
    if findings.confirms_any_tag {
        wanting.push(String::from("a tag that was made up is answered 304 as well"));
    }
    match findings.conditional {
        Conditional::Ignored => wanting.push(String::from("If-None-Match and If-Modified-Since are ignored")),
        Conditional::Failed => wanting.push(String::from("a conditional GET is not answered")),
        Conditional::Changed => wanting.push(String::from("the content changed between two GETs")),
        Conditional::NotAsked | Conditional::NotModified | Conditional::NotModifiedWithoutTag => {}
    }
    match &findings.head {
        Head::Status(status) => wanting.push(format!("HEAD is answered {status}")),
        Head::Differs(fields) => wanting.push(format!("HEAD differs from GET in {}", fields.join(", "))),
        Head::Failed => wanting.push(String::from("HEAD is not answered")),
        Head::Agrees => {}
    }
    if findings.repr_digest == ReprDigest::Wrong {
        wanting.push(String::from("Repr-Digest is not the SHA-256 of the bytes"));
    }
    wanting
}

fn warnings(findings: &Findings, check: Option<Strategy>) -> Vec<String> {
    let mut warnings = Vec::new();
    if findings.age {
        warnings.push(
            "The answer carries Age: another cache stands before the origin, and its word proves nothing. Probe and \
             configure the origin itself.",
        );
    }
    if findings.confirms_any_tag {
        warnings.push("The origin answers 304 to a tag that it never gave: it does not look at If-None-Match.");
    }
    if findings.tag == Tag::Untrue {
        warnings.push("The entity tag stayed the same while the bytes changed: a browser would see stale content.");
    }
    if check == Some(Strategy::Conditional) {
        if findings.conditional == Conditional::NotModifiedWithoutTag {
            warnings.push(
                "The 304 does not repeat the tag, so it proves less; truehit holds such routes against a full GET now \
                 and then.",
            );
        }
        if findings.tag == Tag::Clock {
            warnings.push(
                "A copy that was fetched within a second of its modification cannot be checked by such a tag, and is \
                 fetched again.",
            );
        }
        if findings.conditional_ms.is_some_and(|ms| ms >= DEAR_FLOOR_MS && ms >= DEAR_SHARE * findings.get_ms) {
            warnings.push(
                "The check took about as long as the fetch: the origin seems to make the whole body to answer it. \
                 truehit then saves bytes and concurrency, not the origin's work.",
            );
        }
    }
    if matches!(findings.coding, Coding::Undeclared(_)) {
        warnings.push(
            "The content depends on Accept-Encoding and Vary does not say so: other caches mix the variants up. \
             truehit keeps them apart.",
        );
    }
    if findings.keep_alive_s.is_some_and(|seconds| seconds <= 4) {
        warnings
            .push("The origin closes idle connections early: set origin.idle_timeout below its Keep-Alive timeout.");
    }
    if !findings.repeatable && findings.not_stored.is_empty() {
        warnings
            .push("Two GETs in a row gave different bytes: if that is the rule, nothing stored will ever be served.");
    }
    warnings.into_iter().map(String::from).collect()
}

fn remedies(findings: &Findings, check: Option<Strategy>) -> Vec<String> {
    let mut remedies = Vec::new();
    if check == Some(Strategy::Body) {
        remedies.push(
            "An endpoint that answers the SHA-256 of the current representation, as hexadecimal, makes checks cheap: \
             set digest_endpoint = \"/digest{path}{query}\".",
        );
        remedies.push(
            "Or a few lines of middleware that send a strong ETag (a version or a hash of the body) and answer \
             If-None-Match with 304 and that ETag.",
        );
        let confirmed = findings.conditional == Conditional::NotModified && !findings.confirms_any_tag;
        if findings.tag == Tag::Weak && confirmed {
            remedies.push(
                "If you know that the weak tag changes whenever the bytes do, say trust = [\"weak-etag\"]; wrong, it \
                 makes stale answers.",
            );
        }
        if findings.tag == Tag::Absent && findings.last_modified && !findings.confirms_any_tag {
            remedies.push(
                "If the content never changes twice within a second, say trust = [\"last-modified\"]; wrong, it makes \
                 stale answers.",
            );
        }
    }
    if findings.not_stored == ["set-cookie"] {
        remedies.push("If its cookie is the same for everybody, say set_cookie = \"store\".");
    }
    if findings.not_stored == ["private"] || findings.not_stored == ["no-store"] {
        remedies.push("If that came by habit, let the origin send Cache-Control: no-cache: truehit asks on every hit.");
    }
    remedies.into_iter().map(String::from).collect()
}

/// The route in TOML. Its path is the probed one; widen it by hand, as only the operator knows what it stands for.
fn route(path: &str, check: Option<Strategy>) -> String {
    let name: String = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .take(4)
        .collect::<Vec<_>>()
        .join("-");
    let name = if name.is_empty() { String::from("root") } else { name };
    let rule = match check {
        Some(strategy) => format!("check = \"{}\"", strategy.as_str()),
        None => String::from("verify = \"off\""),
    };
    format!("[[route]]\nname = {}\npaths = [{}]\n{rule}\n", quoted(&name), quoted(&globset::escape(path)))
}

/// A basic string of TOML; what JSON escapes, TOML reads alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[expect(clippy::ref_option, reason = "serde hands the field over by reference")]
fn strategy_word<S: serde::Serializer>(check: &Option<Strategy>, serializer: S) -> Result<S::Ok, S::Error> {
    check.map(Strategy::as_str).serialize(serializer)
}
