//! How many client connections the system's limit of descriptors leaves room for.
//!
//! A process without descriptors can neither accept nor reach its origin, so those who are connected already would be
//! answered with errors. A quarter of the limit is therefore kept for everything that is not a client's connection.

/// The share of the limit that is not for clients: one in so many.
const KEPT: u64 = 4;

/// `configured`, or what the limit leaves, with a word in the log.
pub(super) fn connections(configured: usize) -> usize {
    let limit = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(soft_limit);
    let within = within(configured, limit);
    if within < configured {
        tracing::warn!(
            configured,
            descriptors = limit,
            connections = within,
            "limits.connections is more than the system's limit of descriptors leaves room for"
        );
    }
    within
}

/// As many as are configured, and no more than fit; at least one.
fn within(configured: usize, limit: Option<u64>) -> usize {
    let room = limit.map_or(u64::MAX, |limit| limit - limit / KEPT);
    configured.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1)
}

/// The soft limit of open files in `/proc/self/limits`; `None` if there is none.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_found() {
        let page = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max processes             127189               127189               processes \n\
                 Max open files            {soft}                 524288               files     \n"
            )
        };
        assert_eq!(soft_limit(&page("1024")), Some(1024));
        assert_eq!(soft_limit(&page("unlimited")), None);
        assert_eq!(soft_limit(""), None);
    }

    #[test]
    fn a_quarter_is_kept() {
        for (configured, limit, expected) in [
            (10_000, Some(1024), 768),
            (500, Some(1024), 500),
            (10_000, Some(1_048_576), 10_000),
            (10_000, None, 10_000),
            (10_000, Some(0), 1),
        ] {
            assert_eq!(within(configured, limit), expected, "{limit:?}");
        }
    }
}
