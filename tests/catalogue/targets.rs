//! Section B: whom a request is for, and by which method.

use super::*;

pub const ROWS: &[Row] = &[];
