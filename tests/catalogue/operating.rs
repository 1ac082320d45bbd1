//! Section I: the admin listener, and what is beside it.

use super::*;

pub const ROWS: &[Row] = &[];
