//! The configuration, from what is written to what it means: layers and provenance, errors, documents, routes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod documents;
mod errors;
mod key_rules;
mod layers;
mod memory;
mod routes;
mod support;
mod values;
