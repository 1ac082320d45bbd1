//! From answers to findings, by the rules that the proxy itself uses.

use http::header::{
    AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, LAST_MODIFIED, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::ask::is_endless;
use super::{Answer, Answers, Coding, Conditional, Findings, Head, ReprDigest, Tag};
use crate::rules::clock_tag::is_clock_tag;
use crate::rules::digest::Digest;
use crate::rules::directives::ResponseDirectives;
use crate::rules::integrity;
use crate::rules::outcome::SkipReason;
use crate::rules::recognise::is_digest_of;
use crate::rules::validator::{EntityTag, content_length_of, date_of};
use crate::rules::vary::Vary;

/// What the answers show.
#[must_use]
pub fn judge(answers: &Answers) -> Findings {
    let Answers { get, again, head, conditional, made_up, digest, coded } = answers;
    Findings {
        status: get.status.as_u16(),
        bytes: get.body.len(),
        // The first also pays for the connection.
        get_ms: again.as_ref().map_or_else(|| millis(get), |again| millis(get).min(millis(again))),
        repeatable: again.as_ref().is_some_and(|again| again.body == get.body),
        tag: tag(get, again.as_ref()),
        tag_value: text(&get.fields, &ETAG),
        last_modified: get.fields.contains_key(LAST_MODIFIED),
        conditional: conditional_finding(again.as_ref().unwrap_or(get), conditional.as_ref()),
        conditional_ms: conditional.as_ref().map(millis),
        confirms_any_tag: made_up.as_ref().is_some_and(|answer| answer.status == StatusCode::NOT_MODIFIED),
        head: head_finding(again.as_ref().unwrap_or(get), head.as_ref()),
        repr_digest: repr_digest(digest.as_ref(), head.as_ref()),
        coding: coding(coded.as_ref()),
        keep_alive_s: keep_alive(&get.fields),
        not_stored: not_stored(get),
        age: get.fields.contains_key(AGE),
        vary: match Vary::of(&get.fields).names() {
            Some(names) => names.iter().map(ToString::to_string).collect(),
            None => vec![String::from("*")],
        },
    }
}

fn tag(get: &Answer, again: Option<&Answer>) -> Tag {
    let Some(tag) = EntityTag::of(&get.fields) else { return Tag::Absent };
    if let Some(again) = again {
        let equal = EntityTag::of(&again.fields).is_some_and(|other| other.weak_eq(&tag));
        match (equal, again.body == get.body) {
            (true, false) => return Tag::Untrue,
            (false, true) => return Tag::Unstable,
            (true, true) | (false, false) => {}
        }
    }
    if get.whole
        && let Some(recipe) = is_digest_of(&tag, &get.body)
    {
        return Tag::Recognised(recipe.as_str());
    }
    if tag.weak {
        return Tag::Weak;
    }
    let (modified, length) = (date_of(&get.fields, LAST_MODIFIED), content_length_of(&get.fields));
    if is_clock_tag(&tag, modified, length) { Tag::Clock } else { Tag::Strong }
}

fn conditional_finding(asked_with: &Answer, answer: Option<&Answer>) -> Conditional {
    let tag = EntityTag::of(&asked_with.fields);
    let validator = tag.is_some() || asked_with.fields.contains_key(LAST_MODIFIED);
    match answer {
        None if !validator => Conditional::NotAsked,
        None => Conditional::Failed,
        Some(answer) if answer.status == StatusCode::NOT_MODIFIED => {
            let repeated = EntityTag::of(&answer.fields).zip(tag).is_some_and(|(said, asked)| said.weak_eq(&asked));
            if repeated { Conditional::NotModified } else { Conditional::NotModifiedWithoutTag }
        }
        Some(answer) if answer.status == asked_with.status && answer.body == asked_with.body => Conditional::Ignored,
        Some(answer) if answer.status == asked_with.status => Conditional::Changed,
        Some(_) => Conditional::Failed,
    }
}

fn head_finding(get: &Answer, head: Option<&Answer>) -> Head {
    let Some(head) = head else { return Head::Failed };
    if head.status != get.status {
        return Head::Status(head.status.as_u16());
    }
    // RFC 9110 §9.3.2: HEAD should send the fields of GET, and may leave out what only making the content would tell.
    // What is left out cannot mislead; what is said otherwise can.
    let differs = |name: &HeaderName| head.fields.get(name).is_some_and(|said| Some(said) != get.fields.get(name));
    let fields = [ETAG, LAST_MODIFIED, CONTENT_LENGTH, CONTENT_ENCODING];
    let mut differing: Vec<_> = fields.iter().filter(|name| differs(name)).map(ToString::to_string).collect();
    if get.fields.contains_key(ETAG) && !head.fields.contains_key(ETAG) {
        differing.push(ETAG.to_string());
    }
    if differing.is_empty() { Head::Agrees } else { Head::Differs(differing) }
}

fn repr_digest(get: Option<&Answer>, head: Option<&Answer>) -> ReprDigest {
    let Some(get) = get else { return ReprDigest::Absent };
    match integrity::repr_digest(&get.fields) {
        None => ReprDigest::Absent,
        Some(said) if !get.whole || said != Digest::of(&get.body, said.algorithm()) => ReprDigest::Wrong,
        Some(said) => match head.and_then(|head| integrity::repr_digest(&head.fields)) {
            Some(on_head) if on_head == said => ReprDigest::OnHead,
            Some(_) => ReprDigest::Wrong,
            None => ReprDigest::OnGet,
        },
    }
}

fn coding(coded: Option<&Answer>) -> Coding {
    let Some((coded, coding)) = coded.and_then(|coded| Some((coded, text(&coded.fields, &CONTENT_ENCODING)?))) else {
        return Coding::None;
    };
    let declared = Vary::of(&coded.fields).names().is_none_or(|names| names.contains(&http::header::ACCEPT_ENCODING));
    if declared { Coding::Declared(coding) } else { Coding::Undeclared(coding) }
}

/// Why a response like this is not stored by default under `every-hit`.
fn not_stored(get: &Answer) -> Vec<&'static str> {
    let directives = ResponseDirectives::parse(&get.fields);
    let lengthless = !get.fields.contains_key(CONTENT_LENGTH) && !get.fields.contains_key(TRANSFER_ENCODING);
    let closes = get.version < Version::HTTP_11 || has_member(&get.fields, &CONNECTION, b"close");
    let reasons = [
        (get.status != StatusCode::OK, SkipReason::Status),
        (directives.no_store, SkipReason::NoStore),
        (directives.private.is_everything(), SkipReason::Private),
        (Vary::of(&get.fields).names().is_none(), SkipReason::VaryStar),
        (get.fields.contains_key(SET_COOKIE), SkipReason::SetCookie),
        (!get.whole, SkipReason::TooLarge),
        (is_endless(get), SkipReason::EventStream),
        (lengthless && closes && get.version <= Version::HTTP_11, SkipReason::CloseDelimited),
    ];
    reasons.into_iter().filter(|(applies, _)| *applies).map(|(_, reason)| reason.as_str()).collect()
}

fn has_member(fields: &HeaderMap, name: &HeaderName, member: &[u8]) -> bool {
    let lines = fields.get_all(name).iter();
    let mut members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.any(|one| one.trim_ascii().eq_ignore_ascii_case(member))
}

/// `Keep-Alive: timeout=5`: how long the origin says that it keeps an idle connection.
fn keep_alive(fields: &HeaderMap) -> Option<u64> {
    let value = text(fields, &HeaderName::from_static("keep-alive"))?;
    value.split(',').find_map(|member| member.trim().strip_prefix("timeout=")?.parse().ok())
}

fn text(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    fields.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn millis(answer: &Answer) -> f64 {
    (answer.elapsed.as_secs_f64() * 1e5).round() / 1e2
}
