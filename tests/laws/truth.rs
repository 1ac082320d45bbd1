//! Under `every-hit` no client ever receives what the origin would not have answered while the client waited.
//!
//! Histories are generated: several resources with servers of all habits, several users and languages, reads alone and
//! in herds, HEADs and conditional requests, writes around the proxy and through it and behind an answer's back, and
//! pauses from milliseconds to hours.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use proptest::prelude::*;
use truehit::rules::policy::{Credentials, Policy, Verify};

use crate::house::{House, Reply};
use crate::world::{Habit, Ranges, Reader, Server, State, World, any_server};

const RESOURCES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Read(usize, Reader),
    /// As many at once, of any readers.
    Herd(usize, Vec<Reader>),
    Head(usize, Reader),
    /// A read that names the tag that this reader has seen last.
    Conditional(usize, Reader),
    /// A read of the bytes from one position to another.
    Part(usize, Reader, usize, usize),
    /// A read of what follows the first bytes of what this reader has seen last, if that is still the same.
    Resume(usize, Reader, usize),
    WriteAround(usize),
    WriteThrough(usize),
    Delete(usize),
    ChangeBehindNextAnswer(usize, bool),
    Pause(Duration),
}

fn any_reader() -> impl Strategy<Value = Reader> {
    (0..3u8, 0..2u8).prop_map(|(user, language)| Reader { user, language })
}

fn any_step() -> impl Strategy<Value = Step> {
    let resource = 0..RESOURCES;
    let pauses = [0, 1, 3, 400, 999, 1000, 1001, 2500, 60_000, 4_000_000].map(Duration::from_millis).to_vec();
    prop_oneof![
        6 => (resource.clone(), any_reader()).prop_map(|(resource, reader)| Step::Read(resource, reader)),
        3 => (resource.clone(), proptest::collection::vec(any_reader(), 2..6))
            .prop_map(|(resource, readers)| Step::Herd(resource, readers)),
        1 => (resource.clone(), any_reader()).prop_map(|(resource, reader)| Step::Head(resource, reader)),
        2 => (resource.clone(), any_reader()).prop_map(|(resource, reader)| Step::Conditional(resource, reader)),
        4 => (resource.clone(), any_reader(), 0usize..40, 0usize..40)
            .prop_map(|(resource, reader, first, more)| Step::Part(resource, reader, first, first + more)),
        2 => (resource.clone(), any_reader(), 0usize..40)
            .prop_map(|(resource, reader, first)| Step::Resume(resource, reader, first)),
        3 => resource.clone().prop_map(Step::WriteAround),
        1 => resource.clone().prop_map(Step::WriteThrough),
        1 => resource.clone().prop_map(Step::Delete),
        2 => (resource, proptest::bool::weighted(0.9)).prop_map(|(resource, exists)| Step::ChangeBehindNextAnswer(resource, exists)),
        4 => proptest::sample::select(pauses).prop_map(Step::Pause),
    ]
}

/// What one reader holds of each resource: the tag and the body it came with.
type Held = HashMap<(usize, Reader), (String, String)>;

struct Clients {
    world: World,
    house: House<World>,
    held: Held,
}

impl Clients {
    async fn ask(&self, method: &str, resource: usize, reader: Reader, tag: Option<&str>) -> Reply {
        let (user, language) = (reader.user.to_string(), reader.language.to_string());
        let mut fields = vec![("authorization", &*user), ("accept-language", &*language)];
        fields.extend(tag.map(|tag| ("if-none-match", tag)));
        self.house.send(method, &format!("/{resource}"), &fields).await
    }

    async fn ask_part(&self, resource: usize, reader: Reader, range: &str, tag: Option<&str>) -> Reply {
        let (user, language) = (reader.user.to_string(), reader.language.to_string());
        let mut fields = vec![("authorization", &*user), ("accept-language", &*language), ("range", range)];
        fields.extend(tag.map(|tag| ("if-range", tag)));
        self.house.send("GET", &format!("/{resource}"), &fields).await
    }

    /// The reply is a part, or the whole, of what the origin was while the client waited; a part that was asked for by
    /// `held`, tag and body, is one of that body.
    fn explain_part(
        &mut self,
        resource: usize,
        reader: Reader,
        reply: &Reply,
        states: &[State],
        held: Option<&(String, String)>,
    ) -> Result<(), TestCaseError> {
        let server = self.world.server(resource);
        let explained = states.iter().filter(|state| state.exists).any(|state| {
            let body = server.body(*state, reader);
            match reply.status {
                StatusCode::PARTIAL_CONTENT => {
                    let part = reply.field("content-range").strip_prefix("bytes ").and_then(|said| {
                        let (positions, complete) = said.split_once('/')?;
                        let (first, last) = positions.split_once('-')?;
                        let span = first.parse::<usize>().ok()?..=last.parse().ok()?;
                        (complete.parse() == Ok(body.len())).then(|| body.get(span)).flatten()
                    });
                    // A server that does not look at If-Range sends parts of anything; a tag that two bodies share is
                    // one that the client believes as well.
                    let same = held.is_none_or(|(tag, seen)| {
                        *seen == body
                            || server.ranges == Ranges::Unconditional
                            || server.tag(*state, reader).as_ref() == Some(tag)
                    });
                    part == Some(reply.text()) && same
                }
                StatusCode::RANGE_NOT_SATISFIABLE => reply.text().is_empty(),
                _ => false,
            }
        });
        if matches!(reply.status, StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) {
            prop_assert!(explained, "{reader:?} of {resource} ({server:?}) got {reply:?}\nholding {held:?}");
            return Ok(());
        }
        self.explain(resource, reader, reply, states, None)
    }

    /// One of `states`, which the origin was in while the client waited, explains the reply.
    fn explain(
        &mut self,
        resource: usize,
        reader: Reader,
        reply: &Reply,
        states: &[State],
        tag: Option<&str>,
    ) -> Result<(), TestCaseError> {
        let server = self.world.server(resource);
        let explained = states.iter().any(|state| match reply.status {
            StatusCode::OK => state.exists && reply.text() == server.body(*state, reader),
            StatusCode::NOT_FOUND => !state.exists && reply.text() == "gone",
            StatusCode::NOT_MODIFIED => {
                let held = self.held.get(&(resource, reader)).filter(|(held, _)| Some(&**held) == tag);
                state.exists
                    && (held.is_some_and(|(_, body)| *body == server.body(*state, reader))
                        || server.tag(*state, reader).as_deref() == tag)
            }
            _ => false,
        });
        prop_assert!(
            explained,
            "{reader:?} of {resource} ({server:?}) got {reply:?}\nbut the origin was {:?}",
            states.iter().map(|state| (state.exists, server.body(*state, reader))).collect::<Vec<_>>()
        );
        if reply.status == StatusCode::OK && !reply.field("etag").is_empty() {
            let pair = (reply.field("etag").to_owned(), reply.text().to_owned());
            self.held.insert((resource, reader), pair);
        }
        Ok(())
    }

    async fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Read(resource, reader) => {
                let from = self.world.age(resource);
                let reply = self.ask("GET", resource, reader, None).await;
                self.explain(resource, reader, &reply, &self.world.since(resource, from), None)?;
            }
            Step::Herd(resource, readers) => {
                let from = self.world.age(resource);
                let replies = join_all(readers.iter().enumerate().map(|(index, reader)| {
                    let this = &*self;
                    async move {
                        tokio::time::sleep(Duration::from_millis(index as u64)).await;
                        this.ask("GET", resource, *reader, None).await
                    }
                }));
                let replies = replies.await;
                let states = self.world.since(resource, from);
                for (reader, reply) in readers.into_iter().zip(&replies) {
                    self.explain(resource, reader, reply, &states, None)?;
                }
            }
            Step::Head(resource, reader) => {
                let from = self.world.age(resource);
                let reply = self.ask("HEAD", resource, reader, None).await;
                let server = self.world.server(resource);
                let length: Option<usize> = reply.field("content-length").parse().ok();
                let explained = self.world.since(resource, from).into_iter().any(|state| match reply.status {
                    StatusCode::OK => {
                        let tag = server.tag(state, reader).is_none_or(|tag| tag == reply.field("etag"));
                        state.exists && tag && length.is_none_or(|length| length == server.body(state, reader).len())
                    }
                    StatusCode::NOT_FOUND => !state.exists,
                    StatusCode::METHOD_NOT_ALLOWED => true,
                    _ => false,
                });
                prop_assert!(explained && reply.text().is_empty(), "HEAD of {resource} ({server:?}): {reply:?}");
            }
            Step::Conditional(resource, reader) => {
                let tag = self.held.get(&(resource, reader)).map(|(tag, _)| tag.clone());
                let from = self.world.age(resource);
                let reply = self.ask("GET", resource, reader, tag.as_deref()).await;
                self.explain(resource, reader, &reply, &self.world.since(resource, from), tag.as_deref())?;
            }
            Step::Part(resource, reader, first, last) => {
                let from = self.world.age(resource);
                let reply = self.ask_part(resource, reader, &format!("bytes={first}-{last}"), None).await;
                self.explain_part(resource, reader, &reply, &self.world.since(resource, from), None)?;
            }
            Step::Resume(resource, reader, first) => {
                let held = self.held.get(&(resource, reader)).cloned();
                let from = self.world.age(resource);
                let tag = held.as_ref().map(|(tag, _)| &**tag);
                let reply = self.ask_part(resource, reader, &format!("bytes={first}-"), tag).await;
                self.explain_part(resource, reader, &reply, &self.world.since(resource, from), held.as_ref())?;
            }
            Step::WriteAround(resource) => self.world.change(resource, true),
            Step::WriteThrough(resource) => {
                let reply = self.ask("PUT", resource, Reader { user: 0, language: 0 }, None).await;
                prop_assert_eq!(reply.status, StatusCode::NO_CONTENT);
            }
            Step::Delete(resource) => self.world.change(resource, false),
            Step::ChangeBehindNextAnswer(resource, exists) => self.world.change_behind_next_answer(resource, exists),
            Step::Pause(pause) => tokio::time::advance(pause).await,
        }
        Ok(())
    }
}

fn holds(servers: &[Server], steps: Vec<Step>, adjust: impl Fn(&mut Policy)) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(servers);
        let house = House::with(world.clone(), adjust);
        let mut clients = Clients { world, house, held: Held::new() };
        for step in steps {
            clients.take(step).await?;
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_hit_tells_what_the_origin_would_have_told(
        servers in proptest::collection::vec(any_server(), RESOURCES),
        steps in proptest::collection::vec(any_step(), 1..60),
    ) {
        holds(&servers, steps, |_| {})?;
    }

    #[test]
    fn and_so_it_does_where_users_share_bodies_by_check(
        servers in proptest::collection::vec(any_server(), RESOURCES),
        steps in proptest::collection::vec(any_step(), 1..60),
    ) {
        holds(&servers, steps, |policy| policy.authorization = Credentials::Checked)?;
    }
}

#[test]
fn the_law_can_fail() {
    let server = |habit| [Server { habit, personal: false, localised: false, ranges: Ranges::Served }; RESOURCES];
    let reader = Reader { user: 0, language: 0 };
    let steps = || vec![Step::Read(0, reader), Step::WriteAround(0), Step::Read(0, reader)];
    let trusting = |policy: &mut Policy| policy.trust.weak_etag = true;
    holds(&server(Habit::WeakOpaque), steps(), trusting).expect_err("two versions share a weak tag");
    let lease = |policy: &mut Policy| policy.verify = Verify::Lease(Duration::from_secs(1));
    holds(&server(Habit::Strong), steps(), lease).expect_err("a lease is bounded staleness");
    let parts = || vec![Step::Part(0, reader, 0, 20), Step::WriteAround(0), Step::Part(0, reader, 8, 13)];
    holds(&server(Habit::Strong), parts(), lease).expect_err("of parts too");
    holds(&server(Habit::Strong), parts(), |_| {}).unwrap();
    holds(&server(Habit::Strong), steps(), |_| {}).unwrap();
}
