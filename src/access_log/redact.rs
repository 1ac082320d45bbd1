//! What of a client's words reaches the log: names but no values, and only so much.

/// `text`, or its first `max` bytes (at a character's boundary) and an ellipsis.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut cut = text[..text.floor_char_boundary(max)].to_owned();
    cut.push('…');
    cut
}

/// The query with `*` for each value. A part without `=` may be a value itself (`?token`), so it is replaced whole.
///
/// It stops soon after `enough` bytes: the query of a hostile request is as long as the head limit allows.
pub(super) fn names_only(query: &str, enough: usize) -> String {
    let mut names = String::with_capacity(query.len().min(enough));
    for (index, pair) in query.split('&').enumerate() {
        if names.len() > enough {
            break;
        }
        if index > 0 {
            names.push('&');
        }
        match pair.split_once('=') {
            Some((name, _)) => {
                names.push_str(name);
                names.push_str("=*");
            }
            None if pair.is_empty() => {}
            None => names.push('*'),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_never_reach_the_log() {
        for (query, logged) in [
            ("a=1&b=2", "a=*&b=*"),
            ("token", "*"),
            ("a=b=c", "a=*"),
            ("", ""),
            ("&&", "&&"),
            ("=secret", "=*"),
            ("a=x;b=y", "a=*"),
        ] {
            assert_eq!(names_only(query, 512), logged, "{query}");
        }
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "abc…");
        assert_eq!(cut("aé", 2), "a…");
    }

    #[test]
    fn a_query_of_many_parts_is_not_read_to_its_end() {
        let query = "a=1&".repeat(100_000);
        assert!(names_only(&query, 512).len() < 600);
    }
}
