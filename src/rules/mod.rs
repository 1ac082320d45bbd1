//! The rules of caching as pure functions: no I/O, no clock, no locks.
//!
//! Heads, a [`policy::Policy`] and a [`moment::Now`] come in; values go out. Everything that can be wrong about a
//! cache's decisions is in this folder, and can be enumerated in tables.
//!
//! In reading order: what a route says ([`policy`]) and what ends can be named ([`outcome`], [`refusal`]); a request is
//! looked at ([`wellformed`]), read ([`ask`], [`query`]) and named ([`key`], [`key_rule`], [`vary`]), what is stored for it
//! looked up ([`lookup`], [`stored`]), and something decided ([`decide`]). A question is chosen ([`question`], by what was
//! learned: [`learn`]), its answer judged ([`judge`]) and vouched for ([`promise`], [`collapse`]); a new response is
//! admitted ([`admit`], [`posted`]). The rest are leaves.

pub mod moment;
pub mod outcome;
pub mod policy;
pub mod refusal;

pub mod wellformed;

pub mod ask;
pub mod key;
pub mod key_rule;
pub mod query;
pub mod vary;

pub mod lookup;
pub mod stored;

pub mod decide;
pub mod learn;
pub mod question;

pub mod collapse;
pub mod judge;
pub mod promise;

pub mod admit;
pub mod posted;

pub mod breaker;
pub mod clock_tag;
pub mod completion;
pub mod digest;
pub mod directives;
pub mod field_names;
pub mod fields;
pub mod forwarding;
pub mod freshness;
pub mod graphql;
pub mod groups;
pub mod integrity;
pub mod interim;
pub mod list;
pub mod location;
pub mod multipart;
pub mod no_vary_search;
pub mod partial;
pub mod preconditions;
pub mod preference;
pub mod range;
pub mod recognise;
pub mod request_fields;
mod stored_fields;
pub mod stream;
mod tag_list;
pub mod targeted;
pub mod validator;

#[cfg(test)]
mod testing;
