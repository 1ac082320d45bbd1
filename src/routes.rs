//! `Routes`: which rules a request is under. The first route that takes the request's method, path and host decides.
//!
//! Matching allocates nothing and decodes nothing: it looks at the bytes that were sent and that the origin will see.

use std::sync::Arc;

use http::Method;

use crate::config::{Matcher, Route};
use crate::rules::policy::Policy;

/// The routes in order of matching.
#[derive(Clone, Debug)]
pub struct Routes {
    routes: Vec<(Matcher, Arc<Policy>)>,
    /// The last route takes what no other does, whatever its matcher says.
    last: Arc<Policy>,
}

impl Routes {
    /// The routes of [`Config::routes`](crate::config::Config::routes); `None` if there are none, which a loaded
    /// configuration never has.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Option<Self> {
        let mut routes: Vec<_> = routes.into_iter().map(|route| (route.matcher, Arc::new(route.policy))).collect();
        let (_, last) = routes.pop()?;
        Some(Self { routes, last })
    }

    /// The rules for a request with this method, this authority (as in `Host`, a port is not looked at) and this path
    /// (without the query).
    #[must_use]
    pub fn select(&self, method: &Method, authority: &[u8], path: &str) -> &Arc<Policy> {
        let taken = self.routes.iter().find(|(matcher, _)| takes(matcher, method, authority, path));
        taken.map_or(&self.last, |(_, policy)| policy)
    }

    /// The rules of every route, in order; the place of each is its [`Policy::index`].
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.routes.iter().map(|(_, policy)| policy).chain(std::iter::once(&self.last))
    }
}

/// Whether a route takes a request: all three must agree, and an empty list agrees with everything.
fn takes(matcher: &Matcher, method: &Method, authority: &[u8], path: &str) -> bool {
    let host = || std::str::from_utf8(authority).ok().map(bare);
    (matcher.methods.is_empty() || matcher.methods.contains(method))
        && (matcher.paths.is_empty() || matcher.paths.is_match(path))
        && (matcher.hosts.is_empty() || host().is_some_and(|host| matcher.hosts.iter().any(|name| agrees(name, host))))
}

/// The host without its port and without the dot that ends a full name: neither makes it another host.
fn bare(host: &str) -> &str {
    let after_address = host.rfind(']').map_or(0, |end| end + 1);
    let end = host[after_address..].rfind(':').map_or(host.len(), |colon| after_address + colon);
    host[..end].strip_suffix('.').unwrap_or(&host[..end])
}

/// Whether a host is the one that a route names, or is below its `*.`.
fn agrees(name: &str, host: &str) -> bool {
    match name.strip_prefix('*') {
        // Bytes, because a host that was sent may hold anything and a cut within a character would panic.
        Some(below) => {
            let (host, below) = (host.as_bytes(), below.as_bytes());
            host.len() > below.len() && host[host.len() - below.len()..].eq_ignore_ascii_case(below)
        }
        None => host.eq_ignore_ascii_case(name),
    }
}
