//! The machine, one story at a time: what goes in on the left, what comes out on the right.

use super::*;
use Effect::{Arm, Dissolve, Idle, Start, Wait, Wake};
use Event::{Answered, Gathered, Left, Lost};

const fn ms(n: u64) -> Moment {
    Moment::from_nanos(n * 1_000_000)
}

const fn x(n: u64) -> Exchange {
    Exchange(n)
}

const fn asked(arrived_ms: u64, fresh: u64) -> Event {
    Event::Asked { arrived: ms(arrived_ms), lease: Duration::ZERO, fresh: Exchange(fresh) }
}

const fn leased(arrived_ms: u64, fresh: u64) -> Event {
    Event::Asked { arrived: ms(arrived_ms), lease: Duration::MAX, fresh: Exchange(fresh) }
}

const fn rules(overlap: usize, gather: f64) -> Collapse {
    Collapse { enabled: true, overlap, gather, gather_max: Duration::from_millis(5) }
}

fn tell(rules: Collapse, story: &[(u64, Event, &[Effect])]) {
    let mut machine = Machine::default();
    for (at, event, expected) in story {
        let effects: Vec<_> = machine.on_event(ms(*at), &rules, *event).into_iter().collect();
        assert_eq!(effects, *expected, "{event:?} at {at} ms");
    }
}

const W: How = How::Answered;

#[test]
fn a_lonely_reader_is_never_delayed() {
    tell(
        rules(1, 0.5),
        &[
            (0, asked(0, 1), &[Wait { exchange: x(1) }, Start { exchange: x(1) }]),
            (10, Answered { exchange: x(1) }, &[Wake { exchange: x(1), how: W }, Idle]),
            (10, asked(10, 2), &[Wait { exchange: x(2) }, Start { exchange: x(2) }]),
        ],
    );
}

#[test]
fn a_request_never_rides_on_an_exchange_that_began_before_it_arrived() {
    tell(
        rules(1, 0.0),
        &[
            (0, asked(0, 1), &[Wait { exchange: x(1) }, Start { exchange: x(1) }]),
            (1, asked(1, 2), &[Wait { exchange: x(2) }]),
            (2, asked(2, 3), &[Wait { exchange: x(2) }]),
            (3, leased(3, 4), &[Wait { exchange: x(1) }]),
            (9, Answered { exchange: x(1) }, &[Wake { exchange: x(1), how: W }, Start { exchange: x(2) }]),
        ],
    );
}

#[test]
fn after_an_answer_with_company_the_next_batch_gathers() {
    tell(
        rules(1, 0.2),
        &[
            (0, asked(0, 1), &[Wait { exchange: x(1) }, Start { exchange: x(1) }]),
            (1, asked(1, 2), &[Wait { exchange: x(2) }]),
            (10, Answered { exchange: x(1) }, &[Wake { exchange: x(1), how: W }, Arm { at: ms(12) }]),
            (12, Gathered, &[Start { exchange: x(2) }]),
            (13, asked(13, 3), &[Wait { exchange: x(3) }]),
            // Nobody came back in that window, so there is none now.
            (22, Answered { exchange: x(2) }, &[Wake { exchange: x(2), how: W }, Start { exchange: x(3) }]),
        ],
    );
}

#[test]
fn a_batch_whose_company_is_complete_does_not_wait_out_its_window() {
    tell(
        rules(1, 0.5),
        &[
            (0, asked(0, 1), &[Wait { exchange: x(1) }, Start { exchange: x(1) }]),
            (1, asked(1, 2), &[Wait { exchange: x(2) }]),
            (10, Answered { exchange: x(1) }, &[Wake { exchange: x(1), how: W }, Arm { at: ms(15) }]),
            (11, asked(11, 3), &[Wait { exchange: x(2) }, Start { exchange: x(2) }]),
            (15, Gathered, &[]),
            (21, Answered { exchange: x(2) }, &[Wake { exchange: x(2), how: W }, Arm { at: ms(26) }]),
            (26, Gathered, &[Idle]),
        ],
    );
}

#[test]
fn a_window_that_nobody_came_back_in_is_not_opened_again_at_once() {
    let mut machine = Machine::default();
    let rules = rules(1, 0.5);
    let (mut now, mut windows) = (0, Vec::new());
    machine.on_event(ms(now), &rules, asked(now, 1));
    for number in 2..40 {
        // Eight clients wait while each exchange runs, and none of those it answers is seen again.
        for _ in 0..8 {
            machine.on_event(ms(now + 1), &rules, asked(now + 1, number));
        }
        now += 10;
        let answered = machine.on_event(ms(now), &rules, Answered { exchange: x(number - 1) });
        if let Some(Arm { at }) = answered.into_iter().last() {
            windows.push(number);
            now = at.as_nanos() / 1_000_000;
            machine.on_event(at, &rules, Gathered);
        }
    }
    assert_eq!(windows, [2, 4, 8, 16, 32], "after the first, twice as far apart each time");
}

#[test]
fn a_queued_batch_nobody_waits_for_is_dissolved() {
    tell(
        rules(1, 0.0),
        &[
            (0, asked(0, 1), &[Wait { exchange: x(1) }, Start { exchange: x(1) }]),
            (1, asked(1, 2), &[Wait { exchange: x(2) }]),
            (2, Left { exchange: x(2) }, &[Dissolve { exchange: x(2) }]),
            (3, Left { exchange: x(1) }, &[]),
            (9, Answered { exchange: x(1) }, &[Wake { exchange: x(1), how: W }, Idle]),
        ],
    );
}

#[test]
fn a_lost_exchange_lets_the_queued_batch_start() {
    tell(
        rules(1, 0.5),
        &[
            (0, asked(0, 1), &[Wait { exchange: x(1) }, Start { exchange: x(1) }]),
            (1, asked(1, 2), &[Wait { exchange: x(2) }]),
            (9, Lost { exchange: x(1) }, &[Wake { exchange: x(1), how: How::Lost }, Start { exchange: x(2) }]),
            (9, Lost { exchange: x(1) }, &[]),
        ],
    );
}

#[test]
fn overlapping_exchanges_are_spread_over_a_round_trip() {
    tell(
        rules(2, 0.0),
        &[
            (0, asked(0, 1), &[Wait { exchange: x(1) }, Start { exchange: x(1) }]),
            // Nothing is known of the round trip yet: a cold herd makes one exchange, not two.
            (1, asked(1, 2), &[Wait { exchange: x(2) }]),
            (10, Answered { exchange: x(1) }, &[Wake { exchange: x(1), how: W }, Start { exchange: x(2) }]),
            (11, asked(11, 3), &[Wait { exchange: x(3) }, Arm { at: ms(15) }]),
            (15, Gathered, &[Start { exchange: x(3) }]),
            (16, asked(16, 4), &[Wait { exchange: x(4) }]),
            (20, Answered { exchange: x(2) }, &[Wake { exchange: x(2), how: W }, Start { exchange: x(4) }]),
        ],
    );
}
