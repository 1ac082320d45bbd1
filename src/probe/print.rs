//! Findings and advice for people and for programs.

use std::fmt::Write as _;

use super::{Advice, Coding, Conditional, Findings, Head, ReprDigest, Tag};

/// The findings and the advice as one JSON object.
#[must_use]
pub fn json(findings: &Findings, advice: &Advice) -> String {
    format!("{:#}\n", serde_json::json!({"findings": findings, "advice": advice}))
}

/// The findings as a table, then the advice with the route to copy.
#[must_use]
pub fn table(findings: &Findings, advice: &Advice) -> String {
    let mut page = String::new();
    for (question, answer) in rows(findings) {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{question:<26} {answer}");
    }
    let verdict = match advice.check {
        Some(strategy) => format!("Check it by: {}", strategy.as_str()),
        None => String::from("Let it pass"),
    };
    let _ = writeln!(page, "\n{verdict}");
    for (mark, lines) in [("because", &advice.reasons), ("mind", &advice.warnings), ("cheaper", &advice.remedies)] {
        for line in lines {
            let _ = writeln!(page, "  {mark:<8} {line}");
        }
    }
    let _ = write!(page, "\n{}", advice.route);
    page
}

fn rows(findings: &Findings) -> Vec<(&'static str, String)> {
    let tag = findings.tag_value.as_deref().map(printable).unwrap_or_default();
    let yes_no = |yes: bool| String::from(if yes { "yes" } else { "no" });
    vec![
        ("GET", format!("{}, {} bytes, {} ms", findings.status, findings.bytes, findings.get_ms)),
        ("the same twice", yes_no(findings.repeatable)),
        (
            "entity tag",
            match findings.tag {
                Tag::Absent => String::from("none"),
                Tag::Strong => format!("{tag} strong"),
                Tag::Recognised(recipe) => format!("{tag} a digest of the bytes ({recipe})"),
                Tag::Clock => format!("{tag} made of time and length"),
                Tag::Weak => format!("{tag} weak"),
                Tag::Unstable => format!("{tag} changes while the bytes stay"),
                Tag::Untrue => format!("{tag} stays while the bytes change"),
            },
        ),
        ("last modified", yes_no(findings.last_modified)),
        (
            "conditional GET",
            match (findings.conditional, findings.conditional_ms) {
                (Conditional::NotAsked, _) => String::from("not asked: no validator"),
                (Conditional::NotModified, Some(ms)) => format!("304 with the tag, {ms} ms"),
                (Conditional::NotModified, None) => String::from("304 with the tag"),
                (Conditional::NotModifiedWithoutTag, _) => String::from("304 without the tag"),
                (Conditional::Ignored, _) => String::from("ignored: the whole body again"),
                (Conditional::Changed, _) => String::from("the content had changed"),
                (Conditional::Failed, _) => String::from("failed"),
            },
        ),
        ("304 to a made-up tag", yes_no(findings.confirms_any_tag)),
        (
            "HEAD",
            match &findings.head {
                Head::Agrees => String::from("agrees with GET"),
                Head::Differs(fields) => format!("differs from GET in {}", fields.join(", ")),
                Head::Status(status) => status.to_string(),
                Head::Failed => String::from("no answer"),
            },
        ),
        (
            "Repr-Digest",
            String::from(match findings.repr_digest {
                ReprDigest::Absent => "none",
                ReprDigest::OnGet => "on GET",
                ReprDigest::OnHead => "on GET and HEAD",
                ReprDigest::Wrong => "wrong",
            }),
        ),
        (
            "Accept-Encoding",
            match &findings.coding {
                Coding::None => String::from("no coding"),
                Coding::Declared(coding) => format!("{}, named by Vary", printable(coding)),
                Coding::Undeclared(coding) => format!("{}, not named by Vary", printable(coding)),
            },
        ),
        ("Vary", if findings.vary.is_empty() { String::from("none") } else { findings.vary.join(", ") }),
        ("Keep-Alive timeout", findings.keep_alive_s.map_or_else(|| String::from("not said"), |s| format!("{s} s"))),
        ("another cache (Age)", yes_no(findings.age)),
        (
            "stored",
            if findings.not_stored.is_empty() {
                String::from("yes")
            } else {
                format!("no: {}", findings.not_stored.join(", "))
            },
        ),
    ]
}

/// What a peer said, fit for a terminal: short, and without control characters.
fn printable(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect()
}
