//! How much is held, and what goes when there is no room.

#[allow(unused_imports, reason = "rows come")]
use super::*;
