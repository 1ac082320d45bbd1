//! Exchanges that many wait for.

#[allow(unused_imports, reason = "rows come")]
use super::*;
