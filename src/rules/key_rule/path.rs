//! `PathPattern`: names for segments of a path.
//!
//! The exact path is in the key whether a pattern matches or not. The names are labels, by which what is stored about
//! one user or one product can be found whatever the rest of its path is.

/// The most segments of a pattern.
const SEGMENTS_MAX: usize = 32;

/// A pattern of segments: `/users/{id}/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Box<[Segment]>,
    /// Whether more segments may follow (`**`).
    open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// These bytes.
    Literal(Box<str>),
    /// Any one segment (`*`).
    Any,
    /// Any one segment, under this name (`{name}`).
    Named(Box<str>),
}

impl PathPattern {
    /// Reads a pattern: segments after a `/` each, being text, `*`, or `{name}`, and `**` only as the last. Each name is
    /// there once, and there is at least one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('/')?;
        let (text, open) = match text.strip_suffix("/**") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let segments: Box<[Segment]> = text.split('/').map(Segment::parse).collect::<Option<_>>()?;
        let mut names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        let named = names.len();
        names.sort_unstable();
        names.dedup();
        let good = named > 0 && names.len() == named && segments.len() <= SEGMENTS_MAX;
        good.then_some(Self { segments, open })
    }

    /// The named segments of a path, as they were sent; none where the pattern does not match. After `**` there may be
    /// nothing.
    pub fn captures<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let matches = self.matches(path);
        let pairs = self.segments.iter().zip(path.split('/').skip(1));
        pairs.filter_map(move |(segment, sent)| segment.name().filter(|_| matches).map(|name| (name, sent)))
    }

    fn matches(&self, path: &str) -> bool {
        let mut sent = path.split('/');
        let rooted = sent.next() == Some("");
        let agree = self.segments.iter().all(|segment| sent.next().is_some_and(|sent| segment.takes(sent)));
        rooted && agree && (self.open || sent.next().is_none())
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            let good = (1..=64).contains(&name.len()) && name.bytes().all(plain);
            return good.then(|| Self::Named(name.into()));
        }
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"{}*?#".contains(&byte);
        text.bytes().all(plain).then(|| Self::Literal(text.into()))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Literal(_) | Self::Any => None,
        }
    }

    fn takes(&self, sent: &str) -> bool {
        match self {
            Self::Literal(text) => *sent == **text,
            // An empty segment names nobody.
            Self::Any | Self::Named(_) => !sent.is_empty(),
        }
    }
}
