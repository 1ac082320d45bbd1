//! Section E: conditions, ranges and methods.

use super::*;

pub const ROWS: &[Row] = &[];
