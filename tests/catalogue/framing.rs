//! Section A: how a request is delimited, and what tries to be two requests.

use super::*;

pub const ROWS: &[Row] = &[];
