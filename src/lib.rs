//! truehit: a read-through caching reverse proxy that never serves a stored body unasked.
//!
//! A request becomes a **key**, the key a **lookup**, the lookup a **decision**; the shell performs the decision and hands
//! what came back to a **verdict**; the verdict ends in exactly one **outcome**, which is what the client, the log and
//! the metrics see.
//!
//! Four verbs are ours: to *check* is to ask the origin whether a stored response is still true, to *judge* is to weigh
//! the answer, to *fetch* is to get the whole representation, to *pass* is to stand aside. All other words are those of
//! RFC 9110, 9111, 9211, 9530 and 5861.
//!
//! In reading order: [`proxy`] is the request's path, and [`rules`] is every decision on it. [`flight`] lets requests
//! share exchanges, [`fill`] lets them share a body on its way in, [`store`] keeps what is whole. [`origin`] is the hop
//! behind, [`server`] the hop in front, [`front`] holds the proxy in use. [`config`] and [`routes`] say which rules apply.
//! [`run`] assembles and [`lifecycle`] ends; [`admin`], [`metrics`], [`access_log`] and [`text_log`] tell; [`probe`] and
//! [`cli`] are the tools around it.
//!
//! **Architecture invariant:** `rules` imports nothing that does I/O, tells the time or locks, and only [`rules::promise`]
//! lets a stored body out.

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
mod socket;
pub mod store;
pub mod text_log;
mod window;
