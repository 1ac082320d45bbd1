//! Section G: time, files and the process.

use super::*;

pub const ROWS: &[Row] = &[];
