//! What holds for the machine under any sequence of events, however a shell with its wits about it may send them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use truehit::flight::event::{Effect, Event, Exchange};
use truehit::flight::machine::Machine;
use truehit::rules::collapse::usable;
use truehit::rules::moment::Moment;
use truehit::rules::policy::Collapse;

#[derive(Clone, Debug)]
enum Step {
    Ask { late_us: u64, lease_us: u64 },
    Leave(prop::sample::Index),
    Answer(prop::sample::Index),
    Lose(prop::sample::Index),
    Gather,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..500_u64, prop_oneof![Just(0), 0..5_000_u64, Just(u64::MAX)])
            .prop_map(|(late_us, lease_us)| Step::Ask { late_us, lease_us }),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => any::<prop::sample::Index>().prop_map(Step::Answer),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
        1 => Just(Step::Gather),
    ]
}

struct Asker {
    arrived: Moment,
    lease: Duration,
    exchange: Exchange,
}

proptest! {
    #[test]
    fn nobody_is_stranded_and_nobody_is_lied_to(
        overlap in 1..4_usize,
        gather in prop_oneof![Just(0.0), 0.0..1.0_f64],
        steps in prop::collection::vec((0..3_000_u64, step()), 1..80),
    ) {
        let rules = Collapse { enabled: true, overlap, gather, gather_max: Duration::from_millis(5) };
        let mut machine = Machine::default();
        let mut now = Moment::from_nanos(1_000_000);
        let mut askers: Vec<Asker> = Vec::new();
        let mut running: BTreeMap<Exchange, Moment> = BTreeMap::new();
        for (number, (gap_us, step)) in (0_u64..).zip(steps) {
            now = now.after(Duration::from_micros(gap_us));
            let fresh = Exchange(number);
            let lives: Vec<_> = running.keys().copied().collect();
            let event = match &step {
                Step::Ask { late_us, lease_us } => Event::Asked {
                    arrived: now.before(Duration::from_micros(*late_us)),
                    lease: Duration::from_micros(*lease_us),
                    fresh,
                },
                Step::Leave(who) if !askers.is_empty() => {
                    Event::Left { exchange: askers.remove(who.index(askers.len())).exchange }
                }
                Step::Answer(which) if !lives.is_empty() => Event::Answered { exchange: *which.get(&lives) },
                Step::Lose(which) if !lives.is_empty() => Event::Lost { exchange: *which.get(&lives) },
                _ => Event::Gathered,
            };
            let mut waits = 0;
            for effect in machine.on_event(now, &rules, event) {
                match effect {
                    Effect::Wait { exchange } => {
                        waits += 1;
                        if let Event::Asked { arrived, lease, .. } = event {
                            if let Some(began) = running.get(&exchange) {
                                prop_assert!(usable(*began, arrived, lease));
                            }
                            askers.push(Asker { arrived, lease, exchange });
                        }
                    }
                    Effect::Start { exchange } => {
                        prop_assert!(running.insert(exchange, now).is_none(), "started twice");
                        let mut members = askers.iter().filter(|asker| asker.exchange == exchange).peekable();
                        prop_assert!(members.peek().is_some(), "started for nobody");
                        prop_assert!(members.all(|asker| usable(now, asker.arrived, asker.lease)));
                    }
                    Effect::Wake { exchange, .. } => {
                        prop_assert!(running.remove(&exchange).is_some());
                        askers.retain(|asker| asker.exchange != exchange);
                    }
                    Effect::Dissolve { exchange } => {
                        prop_assert!(!running.contains_key(&exchange));
                        prop_assert!(askers.iter().all(|asker| asker.exchange != exchange));
                    }
                    Effect::Arm { at } => prop_assert!(at > now),
                    Effect::Idle => prop_assert!(running.is_empty() && askers.is_empty()),
                }
            }
            prop_assert_eq!(waits, usize::from(matches!(event, Event::Asked { .. })));
            prop_assert!(running.len() <= overlap);
            prop_assert_eq!(machine.running(), running.len());
            for asker in &askers {
                let queued = machine.queued() == Some(asker.exchange);
                prop_assert!(running.contains_key(&asker.exchange) || queued);
                prop_assert!(!queued || running.len() >= machine.slots(&rules) || machine.armed().is_some());
            }
        }
    }
}
