//! `QueryRule`: which parameters of a query are in the key, and in which order.
//!
//! Nothing is decoded, so what is taken for a parameter here must be what the origin takes for one. Where that is in
//! doubt the parameter stays: a piece with `;`, which some origins read as a separator, and under an allowlist a name
//! that some origin could read as an allowed one (`%69d`, `ID`, or `user.id` for `user_id`). Otherwise a stranger could
//! have a response stored under a key that does not say what it depends on.

use std::borrow::Cow;

/// The most parameters of a query that a rule is held against; a query with more is taken exactly.
pub const PARAMETERS_MAX: usize = 256;

/// Parameters that mark where a visitor came from, and that no origin is known to make a response by (`@tracking`).
pub const TRACKING: &[&str] = &[
    "utm_*",
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "gad_source",
    "gad_campaignid",
    "srsltid",
    "_ga",
    "_gl",
    "fbclid",
    "igsh",
    "igshid",
    "msclkid",
    "yclid",
    "ysclid",
    "_openstat",
    "ttclid",
    "twclid",
    "li_fat_id",
    "epik",
    "rdt_cid",
    "ScCid",
    "s_kwcid",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "_hsenc",
    "_hsmi",
    "__hssc",
    "__hstc",
    "__hsfp",
    "hsCtaTracking",
    "_kx",
    "vero_id",
    "oly_anon_id",
    "oly_enc_id",
    "wickedid",
];

/// What of a query is in the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRule {
    /// Which parameters.
    pub keep: Keep,
    /// Whether those of different names are in the order of their names (`key_query = "sorted"`).
    pub sorted: bool,
}

/// Which parameters of a query are in the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// These and whatever an origin could take for one of them (`key_query_allow`).
    Only(Box<[Glob]>),
    /// All but these (`key_query_drop`).
    Without(Box<[Glob]>),
}

/// A name, or with a trailing `*` the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: Box<str>,
    prefix: bool,
}

impl Glob {
    /// Reads a glob; `None` where it could never be a parameter's name, or has a `*` before its end.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix('*').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"&=#;*@".contains(&byte);
        (!text.is_empty() && stem.bytes().all(plain)).then(|| Self { text: stem.into(), prefix: stem != text })
    }

    /// Whether this is `*`.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.prefix && self.text.is_empty()
    }

    fn takes(&self, name: &str) -> bool {
        if self.prefix { name.starts_with(&*self.text) } else { *name == *self.text }
    }

    /// The same, letters of either case being equal.
    fn could_take(&self, name: &str) -> bool {
        let (name, text) = (name.as_bytes(), self.text.as_bytes());
        match name.get(..text.len()) {
            Some(beginning) => (self.prefix || name.len() == text.len()) && beginning.eq_ignore_ascii_case(text),
            None => false,
        }
    }
}

impl QueryRule {
    /// A target as it is in the key. A query of which nothing is kept is gone with its `?`; an empty one stays.
    #[must_use]
    pub fn apply<'a>(&self, target: &'a str) -> Cow<'a, str> {
        if self.keep == Keep::All && !self.sorted {
            return Cow::Borrowed(target);
        }
        let Some((path, query)) = target.split_once('?').filter(|(_, query)| !query.is_empty()) else {
            return Cow::Borrowed(target);
        };
        if query.split('&').nth(PARAMETERS_MAX).is_some() {
            return Cow::Borrowed(target);
        }
        let mut kept: Vec<&str> = query.split('&').filter(|parameter| self.keeps(parameter)).collect();
        if self.sorted && kept.iter().all(|parameter| is_sortable(parameter)) {
            kept.sort_by(|one, two| stem(one).cmp(stem(two)));
        }
        if kept.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(format!("{path}?{}", kept.join("&"))) }
    }

    fn keeps(&self, parameter: &str) -> bool {
        let name = name(parameter);
        match &self.keep {
            Keep::All => true,
            Keep::Without(globs) => parameter.contains(';') || !globs.iter().any(|glob| glob.takes(name)),
            Keep::Only(globs) => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
                parameter.contains(';') || !name.bytes().all(plain) || globs.iter().any(|glob| glob.could_take(name))
            }
        }
    }
}

fn name(parameter: &str) -> &str {
    parameter.split('=').next().unwrap_or_default()
}

/// Whether it is certain which parameters have one name.
fn is_sortable(parameter: &str) -> bool {
    !parameter.contains(';') && !name(parameter).contains(['%', '+'])
}

/// What parameters are sorted by. Those that are equal in it keep their order: some origins make one list of `a[]` and
/// `a[1]`, and some take `A` for `a`.
fn stem(parameter: &str) -> impl Iterator<Item = u8> {
    name(parameter).bytes().take_while(|byte| *byte != b'[').map(|byte| byte.to_ascii_lowercase())
}
