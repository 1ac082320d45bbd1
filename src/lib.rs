//! truehit: a read-through caching reverse proxy that never serves a stored body unasked.

pub mod clock;
pub mod config;
pub mod faults;
pub mod flight;
pub mod origin;
pub mod rules;
