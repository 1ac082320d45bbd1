//! Section D: origins that send what they should not.

use super::*;

pub const ROWS: &[Row] = &[];
