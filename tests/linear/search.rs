//! The checker, checked: on short histories it agrees with a search through all orders (Wing and Gong's method, as
//! stateright has it), on those that are linearizable and on those that are not.

use std::time::Duration;

use stateright::semantics::register::{Register as Cell, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use truehit::rules::policy::Verify;

use crate::dice::Dice;
use crate::history::{History, Read, Stamp, Written};
use crate::register::Kind;
use crate::run::{Plan, run, seed};

/// Thread numbers of writes; each is a thread of its own.
const WRITERS: usize = 1_000_000;

fn search_finds_an_order(history: &History) -> bool {
    enum Event {
        Invoke(usize, RegisterOp<u64>),
        Return(usize, RegisterRet<u64>),
    }
    let mut events = Vec::new();
    for read in &history.reads {
        events.push((read.sent.tick, Event::Invoke(read.reader, RegisterOp::Read)));
        events.push((read.answered.tick, Event::Return(read.reader, RegisterRet::ReadOk(read.version))));
    }
    for (at, write) in history.writes.iter().enumerate() {
        events.push((write.began.tick, Event::Invoke(WRITERS + at, RegisterOp::Write(write.version))));
        events.push((write.ended.tick, Event::Return(WRITERS + at, RegisterRet::WriteOk)));
    }
    events.sort_by_key(|(tick, _)| *tick);
    let mut tester = LinearizabilityTester::new(Cell(0));
    for (_, event) in events {
        match event {
            Event::Invoke(thread, op) => tester.on_invoke(thread, op).map(drop).unwrap(),
            Event::Return(thread, ret) => tester.on_return(thread, ret).map(drop).unwrap(),
        }
    }
    tester.is_consistent()
}

/// A register's history made up: one writer, a few readers whose versions are near the truth, and now and then wrong.
fn made_up(dice: &mut Dice) -> History {
    let mut tick = 0;
    let mut stamp = || {
        tick += 1;
        Stamp { tick, at: Duration::from_millis(tick) }
    };
    let mut history = History::default();
    let (mut version, mut writing) = (0, None);
    let mut reading: [Option<Stamp>; 3] = [None; 3];
    for _ in 0..18 {
        let at = usize::try_from(dice.below(4)).unwrap();
        match (reading.get_mut(at), writing) {
            (None, None) => {
                version += 1;
                writing = Some(stamp());
            }
            (None, Some(began)) => {
                history.writes.push(Written { key: 0, version, began, ended: stamp() });
                writing = None;
            }
            (Some(reading), _) => match reading.take() {
                None => *reading = Some(stamp()),
                Some(sent) => {
                    let version = match dice.below(8) {
                        0 => version + 1,
                        wrong @ 1..=2 => version.saturating_sub(wrong),
                        _ => version,
                    };
                    history.reads.push(Read { reader: at, key: 0, version, sent, answered: stamp() });
                }
            },
        }
    }
    if let Some(began) = writing {
        history.writes.push(Written { key: 0, version, began, ended: stamp() });
    }
    history
}

#[test]
fn the_check_and_a_search_through_all_orders_agree() {
    let mut dice = Dice::new(seed());
    let mut verdicts = [0, 0];
    for at in 0..3_000 {
        let history = made_up(&mut dice);
        let linearizable = history.violations().is_empty();
        assert_eq!(linearizable, search_finds_an_order(&history), "seed {}, history {at}: {history:#?}", seed());
        verdicts[usize::from(linearizable)] += 1;
    }
    println!("{} linearizable, {} not", verdicts[1], verdicts[0]);
    assert!(verdicts.iter().all(|count| *count > 500), "{verdicts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_search_through_all_orders_finds_one_for_what_the_proxy_served() {
    for at in 0..40 {
        let plan = Plan {
            kind: [Kind::Strong, Kind::Bare, Kind::Express, Kind::HeadOnly][at % 4],
            keys: 1,
            overlap: 1 + at % 2,
            verify: Verify::EveryHit,
            reads: 40,
            readers: 4,
            writers: 2,
            writer_pause_ms: 40,
            failing: 0,
            breaking: 0,
            short: 0,
            leaving: 0,
            seed: seed() + at as u64,
        };
        let history = run(plan).await.history;
        assert_eq!(history.reads.len(), 40);
        assert!(search_finds_an_order(&history), "{plan:?}\n{history:#?}");
    }
}
