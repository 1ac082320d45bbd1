//! Section C: what may be kept, and who may see it.

use super::*;

pub const ROWS: &[Row] = &[];
