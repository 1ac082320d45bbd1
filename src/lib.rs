//! truehit: a read-through caching reverse proxy that never serves a stored body unasked.

pub mod access_log;
pub mod admin;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
pub mod faults;
pub mod fill;
pub mod flight;
pub mod front;
pub mod lifecycle;
pub mod metrics;
pub mod origin;
pub mod probe;
pub mod proxy;
pub mod readiness;
pub mod routes;
pub mod rules;
pub mod run;
pub mod server;
pub mod store;
pub mod text_log;
