//! Section F: more of everything than there is room for.

use super::*;

pub const ROWS: &[Row] = &[];
