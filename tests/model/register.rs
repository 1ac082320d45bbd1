//! The model: one register at the origin, one key in the proxy, and everything that can happen between them.
//!
//! Writers commit versions one after another. A client asks, waits, and reads the version that its exchange's answer
//! carries; it may leave first. An exchange reads the register at some point between its start and its answer, or is
//! lost (a panic, a dropped task, a timeout: to the machine they are one). The machine is the real one. A step that
//! shows the machine a moment advances the clock, so no two moments that matter are equal.

use std::time::Duration;

use stateright::{Model, Property};
use truehit::flight::event::{Effect, Event, Exchange, How};
use truehit::flight::machine::Machine;
use truehit::rules::moment::Moment;
use truehit::rules::policy::Collapse;

pub(crate) struct Register {
    pub(crate) clients: usize,
    /// How often each client asks.
    pub(crate) asks: u8,
    pub(crate) writes: u8,
    /// How many exchanges may be lost, and how many clients may leave: faults are rare, and so bounded.
    pub(crate) losses: u8,
    pub(crate) leaves: u8,
    pub(crate) overlap: usize,
    pub(crate) gather: f64,
    pub(crate) lease: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) machine: Machine,
    now_ms: u64,
    version: u8,
    writes_left: u8,
    losses_left: u8,
    leaves_left: u8,
    fresh: u64,
    pub(crate) clients: Vec<Client>,
    pub(crate) exchanges: Vec<Flying>,
    /// What the machine asked for and has not been given yet.
    pub(crate) timers: Vec<Moment>,
    /// A read returned a version that was not current at any time while its client waited.
    pub(crate) stale: bool,
    /// The machine broke its contract with the shell.
    pub(crate) broken: bool,
    pub(crate) answered: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    asks_left: u8,
    /// Its request's head has come in, with the register at this version; the machine has not heard of it yet.
    arrived: Option<(Moment, u8)>,
    pub(crate) waits: Option<Waits>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Waits {
    pub(crate) exchange: Exchange,
    /// The register's version when the request arrived: an older one must not be read.
    floor: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flying {
    exchange: Exchange,
    read: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Arrive(usize),
    Ask(usize),
    Leave(usize),
    Write,
    /// The origin evaluates the exchange.
    Evaluate(usize),
    Answer(usize),
    Lose(usize),
    Ring,
}

impl Register {
    const fn rules(&self) -> Collapse {
        let gather_max = Duration::from_millis(2);
        Collapse { enabled: true, overlap: self.overlap, gather: self.gather, gather_max }
    }

    fn tell(&self, state: &mut State, event: Event) -> Option<Exchange> {
        let rules = self.rules();
        let mut seat = None;
        for effect in state.machine.on_event(Moment::from_nanos(state.now_ms * 1_000_000), &rules, event) {
            match effect {
                Effect::Wait { exchange } => {
                    state.broken |= seat.replace(exchange).is_some();
                }
                Effect::Start { exchange } => state.exchanges.push(Flying { exchange, read: None }),
                Effect::Wake { exchange, how } => {
                    let at = state.exchanges.iter().position(|flying| flying.exchange == exchange);
                    let read = at.and_then(|at| state.exchanges.remove(at).read);
                    state.broken |= at.is_none();
                    for client in &mut state.clients {
                        let Some(waits) = client.waits.take_if(|waits| waits.exchange == exchange) else { continue };
                        if how == How::Answered {
                            state.answered = 1;
                            state.stale |= read.is_none_or(|read| read < waits.floor);
                        }
                    }
                }
                Effect::Dissolve { exchange } => {
                    state.broken |= state.clients.iter().flat_map(|c| &c.waits).any(|w| w.exchange == exchange);
                }
                Effect::Arm { at } => state.timers.push(at),
                Effect::Idle => state.broken |= !state.exchanges.is_empty(),
            }
        }
        state.now_ms += 1;
        seat
    }
}

impl Model for Register {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            machine: Machine::default(),
            now_ms: 10,
            version: 0,
            writes_left: self.writes,
            losses_left: self.losses,
            leaves_left: self.leaves,
            fresh: 0,
            clients: vec![Client { asks_left: self.asks, arrived: None, waits: None }; self.clients],
            exchanges: Vec::new(),
            timers: Vec::new(),
            stale: false,
            broken: false,
            answered: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, client) in state.clients.iter().enumerate() {
            match client.waits {
                None if client.arrived.is_some() => actions.push(Action::Ask(at)),
                None if client.asks_left > 0 => actions.push(Action::Arrive(at)),
                Some(_) if state.leaves_left > 0 => actions.push(Action::Leave(at)),
                _ => {}
            }
        }
        if state.writes_left > 0 {
            actions.push(Action::Write);
        }
        for (at, flying) in state.exchanges.iter().enumerate() {
            actions.push(if flying.read.is_none() { Action::Evaluate(at) } else { Action::Answer(at) });
            if state.losses_left > 0 {
                actions.push(Action::Lose(at));
            }
        }
        if !state.timers.is_empty() {
            actions.push(Action::Ring);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Arrive(at) => {
                state.clients[at].asks_left -= 1;
                state.clients[at].arrived = Some((Moment::from_nanos(state.now_ms * 1_000_000), state.version));
                state.now_ms += 1;
            }
            Action::Ask(at) => {
                let (arrived, floor) = state.clients[at].arrived.take()?;
                state.fresh += 1;
                let fresh = Exchange(state.fresh);
                let exchange = self.tell(&mut state, Event::Asked { arrived, lease: self.lease, fresh });
                state.broken |= exchange.is_none();
                state.clients[at].waits = exchange.map(|exchange| Waits { exchange, floor });
            }
            Action::Leave(at) => {
                state.leaves_left -= 1;
                let exchange = state.clients[at].waits.take()?.exchange;
                self.tell(&mut state, Event::Left { exchange });
            }
            Action::Write => {
                state.version += 1;
                state.writes_left -= 1;
            }
            Action::Evaluate(at) => state.exchanges[at].read = Some(state.version),
            Action::Answer(at) => {
                let exchange = state.exchanges[at].exchange;
                self.tell(&mut state, Event::Answered { exchange });
            }
            Action::Lose(at) => {
                state.losses_left -= 1;
                let exchange = state.exchanges[at].exchange;
                self.tell(&mut state, Event::Lost { exchange });
            }
            // A timer is never early, and may be late: the clock goes on to it, if it is not there yet.
            Action::Ring => {
                let at = state.timers.remove(0);
                state.now_ms = state.now_ms.max(at.as_nanos().div_ceil(1_000_000));
                self.tell(&mut state, Event::Gathered);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a read returns what was current while its client waited", |_, state: &State| {
                !state.stale
            }),
            Property::always("the machine keeps its contract", |model: &Self, state: &State| {
                !state.broken
                    && state.machine.running() == state.exchanges.len()
                    && state.exchanges.len() <= model.overlap
            }),
            Property::always("whoever waits is waited for", |model: &Self, state: &State| {
                let armed = state.machine.armed().is_some_and(|at| state.timers.contains(&at));
                state.clients.iter().flat_map(|client| &client.waits).all(|waits| {
                    let runs = state.exchanges.iter().any(|flying| flying.exchange == waits.exchange);
                    let queued = state.machine.queued() == Some(waits.exchange);
                    runs || queued && (state.exchanges.len() >= state.machine.slots(&model.rules()) || armed)
                }) && (state.machine.queued().is_none()
                    || state
                        .clients
                        .iter()
                        .flat_map(|client| &client.waits)
                        .any(|waits| state.machine.queued() == Some(waits.exchange)))
            }),
            Property::sometimes("somebody is answered", |_, state: &State| state.answered > 0),
        ]
    }
}
