//! A wall clock that somebody sets.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use http_body_util::combinators::MapErr;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use truehit::clock::Clock;
use truehit::origin::{self, OriginError, Outgoing, Purpose};
use truehit::rules::policy::Verify;

use super::*;
use crate::house::{House, NEW_YEAR, configured};

const DAY: i64 = 86_400;

thread_local! {
    /// By how many seconds this thread's wall clock is wrong.
    static WRONG: Cell<i64> = const { Cell::new(0) };
    /// When it was right.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The right time.
fn right() -> SystemTime {
    SystemTime::UNIX_EPOCH + NEW_YEAR + BEGAN.get().map_or(Duration::ZERO, |began| began.elapsed())
}

/// The time as the clock has it that somebody sets.
fn wall() -> SystemTime {
    let wrong = Duration::from_secs(WRONG.get().unsigned_abs());
    if WRONG.get() < 0 { right() - wrong } else { right() + wrong }
}

/// An origin whose own clock is right. Somebody sets ours while it answers.
struct Punctual {
    jump: i64,
}

impl origin::Origin for Punctual {
    type Body = MapErr<Full<Bytes>, fn(Infallible) -> OriginError>;

    async fn send(&self, _: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<Self::Body>, OriginError> {
        let request = outgoing();
        WRONG.set(WRONG.get() + self.jump);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let known = request.headers().contains_key("if-none-match");
        let response = Response::builder().status(if known { 304 } else { 200 }).header("etag", "\"1\"");
        let response = response.header("date", httpdate::fmt_http_date(right())).header("cache-control", "max-age=60");
        let never: fn(Infallible) -> OriginError = |never| match never {};
        Ok(response.body(Full::from(if known { "" } else { "body" }).map_err(never)).unwrap())
    }
}

/// What a client sees of a resource over ten minutes, if the clock is set by so much at every step.
async fn story(verify: Verify, jump: i64) -> Vec<String> {
    BEGAN.set(Some(Instant::now()));
    WRONG.set(0);
    let house = House::by(Clock::set_by(wall), Punctual { jump }, configured(|policy| policy.verify = verify));
    let mut seen = Vec::new();
    for pause in [0, 10, 40, 5, 1, 10, 60, 120, 1, 30, 300, 0] {
        tokio::time::advance(Duration::from_secs(pause)).await;
        WRONG.set(WRONG.get() + jump);
        let reply = house.get("/a").await;
        let age = reply.field("age");
        assert!(age.is_empty() || age.parse::<u32>().is_ok_and(|age| age <= 60), "{age}");
        seen.push(format!("{} {} age={age} {}", reply.status, reply.cache_status(), reply.text()));
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn g1_a_wall_clock_that_jumps_changes_no_verdict_and_no_age() {
    let modes = [Verify::EveryHit, Verify::Lease(Duration::from_secs(30)), Verify::WhenStale, Verify::Off];
    for verify in modes {
        let expected = story(verify, 0).await;
        for jump in [10 * DAY, -10 * DAY, 1, -1, 3600] {
            assert_eq!(story(verify, jump).await, expected, "{verify:?}, {jump} s at a time");
        }
    }
    let served = story(Verify::WhenStale, 10 * DAY).await;
    assert!(served.iter().any(|line| line.contains("; hit")), "{served:#?}");
    assert!(served.iter().any(|line| line.contains("fwd=stale")), "{served:#?}");
}
