//! `Outcome`: how a request ended, said once and rendered everywhere.
//!
//! The same words appear in `Cache-Status` (RFC 9211), in the access log and as metric label values. Every "no" is a
//! variant with a reason; a reason has one spelling, its `as_str`.

use http::{HeaderValue, StatusCode};

/// Declares an enum of reasons whose variants have one spelling each.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every variant, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for this variant in `Cache-Status`, logs and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

pub(crate) use words;

words! {
    /// Why a request stood aside: it was forwarded unchanged and nothing was stored or served.
    PassReason {
        /// The route is configured `verify = "off"`.
        VerifyOff = "verify-off",
        /// Neither GET nor HEAD nor a query.
        Method = "method",
        /// The request asks to change the protocol.
        Upgrade = "upgrade",
        /// A GET or HEAD with content: its meaning is not in the key.
        Content = "content",
        /// A query whose content is longer than `content_max`, or has trailers.
        ContentTooLong = "content-too-long",
        /// A query whose content was not there in time (`limits.head_timeout`).
        ContentLate = "content-late",
        /// A query for whose content there was no room among the bodies under way (`cache.fill_memory`).
        ContentMemory = "content-memory",
        /// A QUERY that does not say what its content is: it is for the origin to fail it (RFC 10008 §2).
        ContentType = "content-type",
        /// A `Range` in another unit than bytes: only the origin knows what it means.
        Range = "range",
        /// A precondition that only the origin can evaluate (`If-Match`, `If-Unmodified-Since`).
        Precondition = "precondition",
        /// The request says `Cache-Control: no-store`.
        NoStore = "no-store",
        /// The request carries `Authorization`, and the route passes those.
        Authorization = "authorization",
        /// The request carries cookies, and the route passes those.
        Cookie = "cookie",
        /// HEAD, and no stored GET response to answer it from.
        Head = "head",
        /// The target is no key: too long, or not in origin form.
        Target = "target",
    }
}

words! {
    /// Why a whole representation was asked for.
    FetchReason {
        /// Nothing is stored for the target URI.
        Absent = "uri-miss",
        /// Something is stored, for other selecting fields (RFC 9111 §4.1).
        VaryMismatch = "vary-miss",
        /// A part of the response is stored, and not the one that is asked for, or not a current one.
        Partial = "partial",
        /// The check found that the stored response is not current.
        Changed = "changed",
        /// The check proved nothing.
        Unproven = "unproven",
        /// Something is stored that no configured strategy can check.
        Uncheckable = "uncheckable",
    }
}

words! {
    /// Why a stored response may be served unchecked.
    Excuse {
        /// RFC 9111 says that it is fresh, and the route's `verify` is `when-stale`.
        Fresh = "fresh",
        /// It is stale by no more than the request accepts (`max-stale`, RFC 9111 §5.2.1.2).
        MaxStale = "max-stale",
        /// It is stale by no more than the response allows while it is being validated (RFC 5861 §3).
        StaleWhileRevalidate = "stale-while-revalidate",
        /// An exchange confirmed it within the route's lease.
        Lease = "lease",
        /// The origin could not be asked, and the route (`on_check_error = "serve-stale"`), the response or the request
        /// allows it (`stale-if-error`, RFC 5861 §4).
        StaleIfError = "stale-if-error",
    }
}

words! {
    /// What showed that a stored response is current.
    Proof {
        /// Equal SHA-256 from the digest endpoint.
        DigestEndpoint = "digest-endpoint",
        /// Equal SHA-256 in `Repr-Digest` (RFC 9530).
        ReprDigest = "repr-digest",
        /// Equal strong entity tag (RFC 9110 §8.8.3.2).
        StrongTag = "strong-tag",
        /// Equal tag that was recognised as a digest of the stored bytes.
        RecognisedTag = "recognised-tag",
        /// Equal weak tag, on a route that trusts them.
        TrustedTag = "trusted-tag",
        /// Equal `Last-Modified`, on a route that trusts it.
        TrustedDate = "trusted-date",
        /// Equal bytes.
        Bytes = "bytes",
        /// 304 under `when-stale`, where RFC 9111 §4.3.3 is the rule.
        NotModified = "not-modified",
    }
}

words! {
    /// Why a check is made the way it is.
    Why {
        /// The route's configuration names it.
        Configured = "configured",
        /// The stored tag is strong.
        StrongTag = "strong-tag",
        /// The stored tag was recognised as a digest of the stored bytes.
        RecognisedTag = "recognised-tag",
        /// The route trusts what the response carries.
        Trusted = "trusted",
        /// Any validator will do under `when-stale` (RFC 9111 §4.3.1).
        Validator = "validator",
        /// The response carries `Repr-Digest`.
        ReprDigest = "repr-digest",
        /// The origin ignores conditional requests.
        ConditionIgnored = "condition-ignored",
        /// Nothing is known of HEAD yet: it is tried once.
        Probe = "probe",
        /// The response carries no validator.
        NoValidator = "no-validator",
        /// Its tag is weak and not recognised.
        WeakTag = "weak-tag",
        /// Its tag is made of time and length and too young to vouch.
        YoungTag = "young-tag",
        /// The origin confirmed what was not so.
        Distrusted = "distrusted",
        /// The request is a POST: it can be repeated and its answers compared, and no other check of it is defined.
        Post = "post",
        /// The configured strategy has nothing to work with here.
        Unusable = "unusable",
    }
}

words! {
    /// Why a check's answer proved nothing.
    Unproven {
        /// The answer carries `Age`: it did not come from the origin for this request (RFC 9111 §5.1).
        Age = "age",
        /// 304 without a tag, where several were asked about or a tag must be repeated.
        TagNotRepeated = "tag-not-repeated",
        /// 304 with a tag that was not asked about.
        ForeignTag = "foreign-tag",
        /// The tags agree but are weak, not recognised as a digest, and not trusted.
        WeakTag = "weak-tag",
        /// The tag is made of time and length, and the stored copy was fetched within a second of its modification.
        YoungTag = "young-tag",
        /// HEAD was not answered with 200.
        HeadStatus = "head-status",
        /// HEAD's answer carries nothing that proves sameness.
        NothingComparable = "nothing-comparable",
        /// The digest endpoint did not answer with a SHA-256.
        NoDigest = "no-digest",
        /// A 304 that repeats no tag is held against a full GET now and then; this was such a time.
        Audit = "audit",
        /// The validators agree, but the answer's `Repr-Digest` is not that of the stored bytes.
        Contradicted = "contradicted",
        /// The stored response is still being received, and cannot be compared.
        Filling = "filling",
    }
}

words! {
    /// Why a response was not stored.
    SkipReason {
        /// A status that is not stored.
        Status = "status",
        /// `Cache-Control: no-store` (RFC 9111 §5.2.2.5).
        NoStore = "no-store",
        /// `Cache-Control: private` (RFC 9111 §5.2.2.7).
        Private = "private",
        /// `Vary: *` (RFC 9111 §4.1).
        VaryStar = "vary-star",
        /// `Set-Cookie`, on a route that does not store it.
        SetCookie = "set-cookie",
        /// The request carried `Authorization` and the response does not allow sharing (RFC 9111 §3.5).
        Authorization = "authorization",
        /// Larger than `object_max`.
        TooLarge = "too-large",
        /// It was still arriving after `origin.total_timeout`.
        TooSlow = "too-slow",
        /// No room among the bodies being filled (`cache.fill_memory`).
        FillMemory = "fill-memory",
        /// Delimited by closing the connection: truncation cannot be seen.
        CloseDelimited = "close-delimited",
        /// A stream of events: it has no end.
        EventStream = "event-stream",
        /// The body ended early.
        Incomplete = "incomplete",
        /// `Content-Length`, `Content-Digest` or `Repr-Digest` contradicts the bytes.
        Contradicted = "contradicted",
        /// Neither fresh for any time nor equipped with a validator: nothing would be gained (`when-stale`).
        NeverUsable = "never-usable",
        /// An error, while something is stored that may be served in its place (RFC 5861 §4).
        StaleIfError = "stale-if-error",
        /// The answer is partial or otherwise not the whole representation.
        Partial = "partial",
        /// Nobody waits for it any longer and it is not being recorded.
        Abandoned = "abandoned",
    }
}

words! {
    /// The kinds of outcome: the label of `truehit_requests_total`.
    Kind {
        /// Served from the store; the origin confirmed it.
        Checked = "checked",
        /// Served from the store, unchecked, under a named policy.
        Excused = "excused",
        /// Stored, checked, not current: the new representation was served.
        Changed = "changed",
        /// Nothing stored: the representation was fetched.
        Miss = "miss",
        /// Stored for other selecting fields: the representation was fetched.
        VaryMiss = "vary-miss",
        /// A part of it was stored, but not what was asked for: that was fetched, or what the part lacked.
        Partial = "partial",
        /// Stood aside.
        Pass = "pass",
        /// Answered here.
        Refused = "refused",
        /// The origin failed.
        Failed = "failed",
    }
}

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub kind: Kind,
    /// The reason's or proof's word, for `detail` and the log.
    pub reason: &'static str,
    /// The status that the origin answered, if it was asked.
    pub fwd_status: Option<StatusCode>,
    /// Whether the request rode on another request's exchange.
    pub collapsed: bool,
    /// Whether the response was being stored as its head was sent.
    pub stored: bool,
    /// What remains of the freshness lifetime in seconds, where freshness is what let it be served.
    pub ttl: Option<i64>,
}

impl Outcome {
    /// An outcome of `kind` for `reason`, with nothing else to say.
    #[must_use]
    pub const fn new(kind: Kind, reason: &'static str) -> Self {
        Self { kind, reason, fwd_status: None, collapsed: false, stored: false, ttl: None }
    }

    /// A hit: the body came from the store. `None` for what is neither hit nor miss (passed, refused, failed).
    #[must_use]
    pub const fn is_hit(&self) -> Option<bool> {
        match self.kind {
            Kind::Checked | Kind::Excused => Some(true),
            Kind::Changed | Kind::Miss | Kind::VaryMiss | Kind::Partial => Some(false),
            Kind::Pass | Kind::Refused | Kind::Failed => None,
        }
    }

    /// The `Cache-Status` member (RFC 9211 §2), or `None` where `Proxy-Status` speaks instead.
    ///
    /// `hit` is kept for responses that were not forwarded (RFC 9211 §2.1); a checked one was, as a validation.
    #[must_use]
    pub fn cache_status(&self) -> Option<HeaderValue> {
        let mut member = Member::new();
        member.say("truehit; ");
        member.say(match self.kind {
            Kind::Checked | Kind::Changed => "fwd=stale",
            Kind::Excused if self.reason == Excuse::StaleIfError.as_str() => "fwd=stale",
            Kind::Excused => "hit",
            Kind::Miss => "fwd=uri-miss",
            Kind::VaryMiss => "fwd=vary-miss",
            // RFC 9211 §2.2: "The cache was able to select a partial response for the request, but it did not contain all
            // of the requested ranges (or the request was for the complete response)."
            Kind::Partial => "fwd=partial",
            Kind::Pass => match self.reason {
                "method" => "fwd=method",
                "no-store" => "fwd=request",
                "range" => "fwd=partial",
                _ => "fwd=bypass",
            },
            Kind::Refused | Kind::Failed => return None,
        });
        if let Some(status) = self.fwd_status {
            member.say("; fwd-status=");
            member.say(status.as_str());
        }
        if let Some(ttl) = self.ttl {
            member.say("; ttl=");
            member.say(itoa::Buffer::new().format(ttl));
        }
        if self.stored {
            member.say("; stored");
        }
        if self.collapsed {
            member.say("; collapsed");
        }
        member.say("; detail=");
        member.say(match self.kind {
            Kind::Checked => "checked",
            _ => self.reason,
        });
        HeaderValue::from_bytes(member.bytes()).ok()
    }
}

/// A member of `Cache-Status` while it is written: it goes to every client, so it is put together without memory of its
/// own.
struct Member {
    bytes: [u8; MEMBER_MAX],
    length: usize,
}

/// The longest member, in bytes: every part that there is, with the longest words.
const MEMBER_MAX: usize = 160;

impl Member {
    const fn new() -> Self {
        Self { bytes: [0; MEMBER_MAX], length: 0 }
    }

    /// Appends a word; what is beyond the bound is left out.
    fn say(&mut self, word: &str) {
        let room = &mut self.bytes[self.length..];
        let fits = word.len().min(room.len());
        room[..fits].copy_from_slice(&word.as_bytes()[..fits]);
        self.length += fits;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::refusal::Refusal;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        fn check(words: Vec<&str>) {
            let token = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            assert!(words.iter().all(token), "{words:?}: each is an sf-token (RFC 9651 §3.3.4) and a label value");
            let mut unique = words.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), words.len(), "{words:?}");
        }
        check(PassReason::ALL.iter().map(|word| word.as_str()).collect());
        check(FetchReason::ALL.iter().map(|word| word.as_str()).collect());
        check(Excuse::ALL.iter().map(|word| word.as_str()).collect());
        check(Proof::ALL.iter().map(|word| word.as_str()).collect());
        check(Why::ALL.iter().map(|word| word.as_str()).collect());
        check(Unproven::ALL.iter().map(|word| word.as_str()).collect());
        check(SkipReason::ALL.iter().map(|word| word.as_str()).collect());
        check(Refusal::ALL.iter().map(|word| word.as_str()).collect());
        assert_eq!(Kind::ALL.len(), 9);
    }

    #[test]
    fn cache_status_is_that_of_rfc_9211() {
        let check = |kind: Kind, reason: &'static str, status: Option<u16>, expected: Option<&str>| {
            let fwd_status = status.map(|status| StatusCode::from_u16(status).unwrap());
            let outcome = Outcome { fwd_status, ..Outcome::new(kind, reason) };
            let said = outcome.cache_status();
            assert_eq!(said.as_ref().map(|said| said.to_str().unwrap()), expected, "{kind:?}: {reason}");
        };
        check(Kind::Checked, "strong-tag", Some(304), Some("truehit; fwd=stale; fwd-status=304; detail=checked"));
        check(Kind::Excused, "lease", None, Some("truehit; hit; detail=lease"));
        check(Kind::Excused, "fresh", None, Some("truehit; hit; detail=fresh"));
        check(Kind::Excused, "stale-if-error", None, Some("truehit; fwd=stale; detail=stale-if-error"));
        check(Kind::Changed, "changed", Some(200), Some("truehit; fwd=stale; fwd-status=200; detail=changed"));
        check(Kind::Partial, "partial", Some(206), Some("truehit; fwd=partial; fwd-status=206; detail=partial"));
        check(Kind::Miss, "uri-miss", Some(200), Some("truehit; fwd=uri-miss; fwd-status=200; detail=uri-miss"));
        check(Kind::VaryMiss, "vary-miss", Some(200), Some("truehit; fwd=vary-miss; fwd-status=200; detail=vary-miss"));
        for reason in PassReason::ALL {
            let fwd = match reason {
                PassReason::Method => "method",
                PassReason::NoStore => "request",
                PassReason::Range => "partial",
                _ => "bypass",
            };
            let expected = format!("truehit; fwd={fwd}; fwd-status=200; detail={}", reason.as_str());
            check(Kind::Pass, reason.as_str(), Some(200), Some(&expected));
        }
        check(Kind::Refused, "loop", None, None);
        check(Kind::Failed, "connection_refused", None, None);
        let all = Outcome { collapsed: true, stored: true, ttl: Some(-1), ..Outcome::new(Kind::Miss, "uri-miss") };
        let expected = "truehit; fwd=uri-miss; ttl=-1; stored; collapsed; detail=uri-miss";
        assert_eq!(all.cache_status().unwrap(), expected);
    }

    #[test]
    fn no_cache_status_is_cut_off() {
        let reasons =
            SkipReason::ALL.iter().map(|word| word.as_str()).chain(PassReason::ALL.iter().map(|word| word.as_str()));
        let longest = reasons.max_by_key(|word| word.len()).unwrap();
        let (fwd_status, ttl) = (Some(StatusCode::OK), Some(i64::MIN));
        let all = Outcome { collapsed: true, stored: true, ttl, fwd_status, ..Outcome::new(Kind::VaryMiss, longest) };
        assert!(all.cache_status().unwrap().to_str().unwrap().ends_with(&format!("; detail={longest}")));
    }

    #[test]
    fn what_counts_as_a_hit() {
        let hit = |kind| Outcome::new(kind, "").is_hit();
        assert_eq!([Kind::Checked, Kind::Excused].map(hit), [Some(true); 2]);
        assert_eq!([Kind::Changed, Kind::Miss, Kind::VaryMiss, Kind::Partial].map(hit), [Some(false); 4]);
        assert_eq!([Kind::Pass, Kind::Refused, Kind::Failed].map(hit), [None; 3]);
    }
}
