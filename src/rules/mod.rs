//! The rules of caching as pure functions: no I/O, no clock, no locks.
//!
//! Heads, a [`policy::Policy`] and a [`moment::Now`] come in; values go out. Everything that can be wrong about a
//! cache's decisions is in this folder, and can be enumerated in tables.

pub mod collapse;
pub mod moment;
pub mod outcome;
pub mod policy;
