//! Section F: more of everything than there is room for.

mod labels;
mod memory;
mod shared;
mod slow;

use super::*;

pub const ROWS: &[Row] = &[
    held(
        1,
        "Slowloris: a head that does not end, nothing sent at all, half an HTTP/2 preface",
        "The connection is closed after `limits.head_timeout`, version detection and the TLS handshake included; a byte \
         now and then does not prolong it.",
    ),
    held(
        2,
        "Content that comes slowly; a reader that takes nothing of a 10 MB hit",
        "A silence in content of `limits.content_timeout` is 408 and aborts the request at the origin; a client that takes \
         not one byte for `limits.write_timeout` is closed. Until then it holds less than 1 MB, on HTTP/1.1 and HTTP/2.",
    ),
    held(3, "1,000,000 different URLs", "Memory stays within its bound, and what is asked for often stays stored."),
    held(
        4,
        "Bodies above the largest that is stored; many parallel large misses",
        "They stream through: what is held of them is bounded by `cache.fill_memory` and a window for each reader.",
    ),
    held(
        5,
        "10,000 values of a field that `Vary` names, on one URL",
        "At most `cache.variants_max` of them are stored; the oldest goes.",
    ),
    held(6, "1,000 clients ask for the same cold key", "The origin gets one GET."),
    held(
        7,
        "The same, and the response may not be stored",
        "That is remembered for `cache.uncacheable_for`, and the requests go to the origin side by side, not one after the \
         other.",
    ),
    held(
        8,
        "The leader of a shared exchange leaves, panics or times out",
        "Those who wait with it are answered all the same, or told why not; nobody waits for ever.",
    ),
    held(
        9,
        "Everything is invalidated under load",
        "The origin is asked no more at a time than `origin.connections_max` allows.",
    ),
    held(
        10,
        "HTTP/2 floods: rapid reset, resets that the client provokes (MadeYouReset), CONTINUATION, SETTINGS, PING, empty \
         DATA frames, a field section too large",
        "The connection ends (ENHANCE_YOUR_CALM where it is a flood) with little memory held; other connections do not \
         notice.",
    ),
    held(
        11,
        "Very many idle connections, no descriptors left",
        "Accepting waits, without spinning, and goes on when there is room; those who are connected are served as ever.",
    ),
    held(
        12,
        "A scan over all endpoints for one that makes much of little",
        "None: what a request makes the origin send is bounded by what its client is sent.",
    ),
    held(
        13,
        "Random methods, paths, hosts and statuses",
        "The number of metric series stays the same: no label is made of what a client sends.",
    ),
    held(
        14,
        "CR, LF, ESC and 64 KB targets, for the logs",
        "Escaped and cut: a line of the access log is one JSON object of bounded size, and nothing of a client reaches the \
         text log unescaped.",
    ),
];
