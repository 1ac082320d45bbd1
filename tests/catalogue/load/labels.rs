//! What of a client's words becomes a label or a line of a log.

#[allow(unused_imports, reason = "rows come")]
use super::*;
