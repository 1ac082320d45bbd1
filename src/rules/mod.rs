//! The rules of caching as pure functions: no I/O, no clock, no locks.
//!
//! Heads, a [`policy::Policy`] and a [`moment::Now`] come in; values go out. Everything that can be wrong about a
//! cache's decisions is in this folder, and can be enumerated in tables.

pub mod moment;
pub mod policy;

pub mod list;

pub mod directives;
pub mod freshness;

pub mod validator;
// How tags are listed and believed; both are used through `validator`.
pub mod clock_tag;
pub mod tag_list;

pub mod digest;
pub mod recognise;

pub mod fields;
pub mod forwarding;
pub mod stored_fields;

pub mod preconditions;

pub mod key;
pub mod vary;

pub mod outcome;

#[cfg(test)]
mod testing;
