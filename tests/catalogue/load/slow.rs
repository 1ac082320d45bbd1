//! Clients that are slow, silent or floods.

#[allow(unused_imports, reason = "rows come")]
use super::*;
