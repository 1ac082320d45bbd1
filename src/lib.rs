//! truehit: a read-through caching reverse proxy that never serves a stored body unasked.

pub mod clock;
pub mod config;
pub mod origin;
pub mod rules;
pub mod server;
