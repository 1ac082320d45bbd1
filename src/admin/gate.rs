//! `Gate`: who may have the admin listener do something, and who may only look.
//!
//! Looking (probes and metrics) changes nothing and shows nothing of what passes through, so whoever reaches the listener
//! may look: a kubelet and a scraper come without credentials. Doing something needs more, each against something else:
//!
//! - not for a web page: a page can make its visitor's browser ask any address that it reaches;
//! - under a name that is ours: a page whose own name was made to resolve to our address (DNS rebinding) is the same
//!   origin to its browser, but cannot make that say another name;
//! - from this machine, or with the token: whoever else reaches the listener is some neighbour.
//!
//! A listener on loopback is for this machine alone, so there the names hold for looking, too.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::config::{Admin, Token};

/// How many wrong tokens one address may present within [`WINDOW`].
pub const WRONG_MAX: u32 = 10;

/// The time after which wrong tokens are forgotten.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are told apart. Those that fall together share their tries.
const ADDRESSES: usize = 256;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// It comes from a web page.
    Page,
    /// It is for a name that is not ours.
    Name,
    /// It comes from elsewhere, and no token is configured.
    Elsewhere,
    /// It comes from elsewhere without the token.
    Token,
    /// Too many wrong tokens came from there; worth another try after this time.
    Tries(Duration),
}

/// The listener's gate.
pub struct Gate {
    /// Whether the listener is on loopback.
    local: bool,
    allowed: ArcSwap<Allowed>,
    tries: Tries,
}

/// What a reload may change.
struct Allowed {
    hosts: Vec<String>,
    token: Option<Token>,
}

impl Gate {
    /// The gate of a listener that is bound to `bound`.
    #[must_use]
    pub fn new(admin: &Admin, bound: SocketAddr) -> Self {
        let allowed = ArcSwap::from_pointee(Allowed::by(admin));
        Self { local: is_here(bound.ip()), allowed, tries: Tries::default() }
    }

    /// Goes by a new configuration from here on.
    pub fn configure(&self, admin: &Admin) {
        self.allowed.store(Allowed::by(admin).into());
    }

    /// Whether the request may look.
    pub(super) fn may_look(&self, fields: &HeaderMap) -> Result<(), Denial> {
        if self.local && !self.allowed.load().is_ours(fields) { Err(Denial::Name) } else { Ok(()) }
    }

    /// Whether the request of `peer` may have something done.
    pub(super) fn may_do(&self, fields: &HeaderMap, peer: IpAddr) -> Result<(), Denial> {
        if comes_from_a_page(fields) {
            return Err(Denial::Page);
        }
        let allowed = self.allowed.load();
        if !allowed.is_ours(fields) {
            return Err(Denial::Name);
        }
        if is_here(peer) {
            return Ok(());
        }
        let Some(token) = &allowed.token else { return Err(Denial::Elsewhere) };
        let Some(presented) = bearer(fields) else { return Err(Denial::Token) };
        // Before the token is looked at, so that guessing learns nothing any more.
        self.tries.may_try(peer)?;
        if token.is(presented) {
            return Ok(());
        }
        self.tries.failed(peer);
        Err(Denial::Token)
    }
}

impl Allowed {
    fn by(admin: &Admin) -> Self {
        Self { hosts: admin.hosts.clone(), token: admin.token.as_ref().map(|(_, token)| token.clone()) }
    }

    /// Whether the request is for a name that is ours. An address is one, as no other site can have it for a name.
    fn is_ours(&self, fields: &HeaderMap) -> bool {
        let mut hosts = fields.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return false };
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        let is_known = |host: &String| match host.strip_prefix('*') {
            Some(domain) => name.ends_with(domain),
            None => *host == name,
        };
        name == "localhost" || address.parse::<IpAddr>().is_ok() || self.hosts.iter().any(is_known)
    }
}

/// RFC 6750 §2.1.
fn bearer(fields: &HeaderMap) -> Option<&[u8]> {
    let mut credentials = fields.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (credentials.next(), credentials.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Whether a browser sent this for a page.
fn comes_from_a_page(fields: &HeaderMap) -> bool {
    let site = fields.get("sec-fetch-site").map(HeaderValue::as_bytes);
    fields.contains_key(ORIGIN) || site.is_some_and(|site| site != b"none")
}

fn is_here(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Wrong tokens by address. As large as it will ever be, whoever tries.
struct Tries {
    hasher: RandomState,
    counts: Mutex<[Count; ADDRESSES]>,
}

/// Wrong tokens since the first of them.
#[derive(Clone, Copy, Default)]
struct Count {
    since: Option<Instant>,
    wrong: u32,
}

impl Default for Tries {
    fn default() -> Self {
        Self { hasher: RandomState::new(), counts: Mutex::new([Count::default(); ADDRESSES]) }
    }
}

impl Tries {
    fn may_try(&self, peer: IpAddr) -> Result<(), Denial> {
        let now = Instant::now();
        self.count(peer, |count| {
            let left = count.since.map_or(Duration::ZERO, |since| (since + WINDOW).saturating_duration_since(now));
            if left.is_zero() {
                *count = Count::default();
            }
            if count.wrong < WRONG_MAX { Ok(()) } else { Err(Denial::Tries(left)) }
        })
    }

    fn failed(&self, peer: IpAddr) {
        let now = Instant::now();
        self.count(peer, |count| {
            count.since.get_or_insert(now);
            count.wrong += 1;
        });
    }

    fn count<T>(&self, peer: IpAddr, look: impl FnOnce(&mut Count) -> T) -> T {
        // Whoever has one address of IPv6 has as many as there are in its network.
        let network = match peer.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
        };
        let place = usize::try_from(self.hasher.hash_one(network)).unwrap_or_default() % ADDRESSES;
        // Plain counts: a panic under the lock leaves nothing half done.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(place) {
            Some(count) => look(count),
            None => look(&mut Count::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a token of our own";
    const HERE: [u8; 4] = [127, 0, 0, 1];
    const THERE: [u8; 4] = [10, 0, 0, 1];

    fn gate(bound: [u8; 4], token: bool) -> Gate {
        let token = token.then(|| ("/token".into(), Token::of(&TOKEN.replace(' ', "-")).unwrap()));
        let admin = Admin {
            address: (bound, 9090).into(),
            hosts: vec!["truehit.example".to_owned(), "*.truehit.test".to_owned()],
            token,
        };
        Gate::new(&admin, admin.address)
    }

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn names() {
        for (host, ours) in [
            (&["localhost"][..], true),
            (&["LocalHost:9090"], true),
            (&["localhost."], true),
            (&["127.0.0.1:9090"], true),
            (&["10.1.2.3"], true),
            (&["[::1]:9090"], true),
            (&["truehit.example:9090"], true),
            (&["a.truehit.test"], true),
            (&["truehit.test"], false),
            (&["eviltruehit.test"], false),
            (&["evil.test"], false),
            (&["evil.test:9090"], false),
            (&["truehit.example.evil.test"], false),
            (&["localhost.evil.test"], false),
            (&["127.0.0.1.evil.test"], false),
            (&[""], false),
            (&["a b"], false),
            (&[], false),
            (&["localhost", "localhost"], false),
        ] {
            let fields: HeaderMap = host.iter().map(|host| (HOST, host.parse().unwrap())).collect();
            let (near, far) = (gate(HERE, false), gate([0; 4], false));
            assert_eq!(near.may_do(&fields, HERE.into()).is_ok(), ours, "{host:?}");
            assert_eq!(far.may_do(&fields, HERE.into()).is_ok(), ours, "{host:?}");
            assert_eq!(near.may_look(&fields).is_ok(), ours, "{host:?}: whoever looks at loopback is here too");
            assert!(far.may_look(&fields).is_ok(), "{host:?}: a scraper has its own name for us");
        }
    }

    #[test]
    fn whoever_is_not_here_needs_the_token() {
        let right: &str = &format!("Bearer {}", TOKEN.replace(' ', "-"));
        let lower: &str = &right.replace('B', "b");
        for (sentence, token, peer, lines, expected) in [
            ("here, no token is needed", true, HERE, &[][..], Ok(())),
            ("there is none to have", false, THERE, &[("authorization", right)], Err(Denial::Elsewhere)),
            ("there is one", true, THERE, &[("authorization", right)], Ok(())),
            ("the scheme's case is nothing", true, THERE, &[("authorization", lower)], Ok(())),
            ("without it", true, THERE, &[], Err(Denial::Token)),
            ("a wrong one", true, THERE, &[("authorization", "Bearer x")], Err(Denial::Token)),
            ("another scheme", true, THERE, &[("authorization", "Basic x")], Err(Denial::Token)),
            ("from a page", true, THERE, &[("authorization", right), ("origin", "null")], Err(Denial::Page)),
            ("from a page here", true, HERE, &[("sec-fetch-site", "same-origin")], Err(Denial::Page)),
            ("typed by somebody", true, HERE, &[("sec-fetch-site", "none")], Ok(())),
        ] {
            let mut fields = fields(lines);
            fields.insert(HOST, HeaderValue::from_static("10.0.0.2:9090"));
            assert_eq!(gate([0; 4], token).may_do(&fields, peer.into()), expected, "{sentence}");
        }
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert!(gate([0; 4], false).may_do(&fields(&[("host", "localhost")]), mapped).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_is_slow() {
        let gate = gate([0; 4], true);
        let right = format!("Bearer {}", TOKEN.replace(' ', "-"));
        let wrong = fields(&[("host", "10.0.0.2"), ("authorization", "Bearer guess")]);
        let right = fields(&[("host", "10.0.0.2"), ("authorization", &right)]);
        for _ in 0..WRONG_MAX {
            assert_eq!(gate.may_do(&wrong, THERE.into()), Err(Denial::Token));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let left = WINDOW - Duration::from_secs(u64::from(WRONG_MAX));
        assert_eq!(gate.may_do(&wrong, THERE.into()), Err(Denial::Tries(left)));
        assert_eq!(gate.may_do(&right, THERE.into()), Err(Denial::Tries(left)), "a right guess is not told");
        tokio::time::advance(left).await;
        assert_eq!(gate.may_do(&right, THERE.into()), Ok(()));
        for _ in 0..WRONG_MAX * 3 {
            assert_eq!(gate.may_do(&right, THERE.into()), Ok(()), "only wrong ones count");
        }
    }

    #[test]
    fn a_reload_changes_the_token_and_the_names() {
        let gate = gate([0; 4], false);
        let token = Token::of("another-token-of-ours").unwrap();
        let fields = fields(&[("host", "new.example"), ("authorization", "Bearer another-token-of-ours")]);
        assert_eq!(gate.may_do(&fields, THERE.into()), Err(Denial::Name));
        let hosts = vec!["new.example".to_owned()];
        gate.configure(&Admin { address: ([0; 4], 0).into(), hosts, token: Some(("/t".into(), token)) });
        assert_eq!(gate.may_do(&fields, THERE.into()), Ok(()));
    }
}
