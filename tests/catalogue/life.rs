//! Section G: time, files and the process.

mod crowd;
mod files;
mod panics;
mod time;

use super::*;

pub const ROWS: &[Row] = &[
    held(
        1,
        "The wall clock jumps by ten days, either way, at any time",
        "No verdict changes and no age is negative: ages are reckoned by a clock that nobody can set.",
    ),
    held(2, "A disk that is full or read-only", "No file is written, so nothing comes of it."),
    held(
        3,
        "Files of an earlier run that are broken",
        "No file of an earlier run is read: every start is an empty one.",
    ),
    held(
        4,
        "SIGTERM while requests run",
        "Not ready, then no longer accepting; every request that was accepted is answered, and the exit code is 0.",
    ),
    held(5, "SIGKILL, and a new start", "Nothing that was stored before is served."),
    held(
        6,
        "A reload, a bad one or a hundred good ones, under load",
        "A bad one leaves the old configuration in use, and the log, a counter and a gauge say so. No request is lost.",
    ),
    held(
        7,
        "A key that does not exist, a value of another type or out of range, a file that is not there",
        "The process does not start (78), and names file, line, key, what was found and what is allowed.",
    ),
    held(
        8,
        "A panic in a handler, or in an exchange that requests share",
        "It costs that request (500), or nobody's; the process lives and a counter counts.",
    ),
    held(
        9,
        "The origin's name does not resolve, or to another address than before",
        "It is looked up for each connection; where that fails, the last addresses are tried, and without any it is 502.",
    ),
];
