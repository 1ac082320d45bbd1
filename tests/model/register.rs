//! The model: one register at the origin, one key in the proxy, and everything that can happen between them.
//!
//! Writers commit versions one after another. A client asks, waits, and reads the version that its exchange's answer
//! carries; it may leave first. An exchange reads the register at some point between its start and its answer, or is
//! lost (a panic, a dropped task, a timeout: to the machine they are one). The machine is the real one. A step that
//! shows the machine a moment advances the clock, so no two moments that matter are equal.
//!
//! The shell does what the machine asks for after it has released its lock, so other threads may come in between: with
//! [`Shell::Late`] every deed is a step of its own, as late as can be, in order only with the others of its event.

use std::collections::VecDeque;
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
    pub(crate) shell: Shell,
    /// What the checker's own threads do before a step: where a fault is a thread's, it is seeded here.
    pub(crate) before_each_step: fn(),
}

/// When the shell does what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    AtOnce,
    Late,
}

/// Three clients that ask once, two writes, a loss and a client that leaves.
pub(crate) const SMALL: Register = Register {
    clients: 3,
    asks: 1,
    writes: 2,
    losses: 1,
    leaves: 1,
    overlap: 1,
    gather: 0.0,
    lease: Duration::ZERO,
    shell: Shell::AtOnce,
    before_each_step: || {},
};

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
    /// What a late shell has still to do: the deeds of an event, in order.
    deeds: Vec<VecDeque<Deed>>,
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
enum Deed {
    Launch(Exchange),
    /// With what the exchange read, if it was answered.
    Wake(Exchange, How, Option<u8>),
    Ring(Moment),
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
    /// The shell does the next deed of an event.
    Do(usize),
}

impl Register {
    const fn rules(&self) -> Collapse {
        let gather_max = Duration::from_millis(2);
        Collapse { enabled: true, overlap: self.overlap, gather: self.gather, gather_max }
    }

    /// `read` is what the exchange read that the event is about.
    fn tell(&self, state: &mut State, event: Event, read: Option<u8>) -> Option<Exchange> {
        let rules = self.rules();
        let (mut seat, mut deeds) = (None, VecDeque::new());
        for effect in state.machine.on_event(Moment::from_nanos(state.now_ms * 1_000_000), &rules, event) {
            match effect {
                Effect::Wait { exchange } => {
                    state.broken |= seat.replace(exchange).is_some();
                }
                Effect::Start { exchange } => deeds.push_back(Deed::Launch(exchange)),
                Effect::Wake { exchange, how } => deeds.push_back(Deed::Wake(exchange, how, read)),
                Effect::Dissolve { exchange } => {
                    state.broken |= state.clients.iter().flat_map(|c| &c.waits).any(|w| w.exchange == exchange);
                }
                Effect::Arm { at } => deeds.push_back(Deed::Ring(at)),
                // The table drops the machine, and makes another one for the next who asks.
                Effect::Idle => {
                    state.broken |= !state.exchanges.is_empty() || state.launches() > 0;
                    state.machine = Machine::default();
                }
            }
        }
        state.now_ms += 1;
        match self.shell {
            Shell::AtOnce => deeds.into_iter().for_each(|deed| state.perform(deed)),
            Shell::Late if deeds.is_empty() => {}
            Shell::Late => state.deeds.push(deeds),
        }
        seat
    }
}

impl State {
    fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Launch(exchange) => self.exchanges.push(Flying { exchange, read: None }),
            Deed::Ring(at) => self.timers.push(at),
            Deed::Wake(exchange, how, read) => {
                for client in &mut self.clients {
                    let Some(waits) = client.waits.take_if(|waits| waits.exchange == exchange) else { continue };
                    if how == How::Answered {
                        self.answered = 1;
                        self.stale |= read.is_none_or(|read| read < waits.floor);
                    }
                }
            }
        }
    }

    fn launches(&self) -> usize {
        self.deeds.iter().flatten().filter(|deed| matches!(deed, Deed::Launch(_))).count()
    }

    /// Whether a client that waits for this exchange will hear of it: it runs, or is about to, or has just landed.
    fn is_under_way(&self, exchange: Exchange) -> bool {
        self.exchanges.iter().any(|flying| flying.exchange == exchange)
            || self.deeds.iter().flatten().any(|deed| match deed {
                Deed::Launch(own) | Deed::Wake(own, ..) => *own == exchange,
                Deed::Ring(_) => false,
            })
    }

    /// Whether the timer that the machine counts on is there.
    fn is_armed(&self) -> bool {
        let coming = self.deeds.iter().flatten().filter_map(|deed| match deed {
            Deed::Ring(at) => Some(at),
            Deed::Launch(_) | Deed::Wake(..) => None,
        });
        self.machine.armed().is_some_and(|at| self.timers.iter().chain(coming).any(|timer| *timer == at))
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
            deeds: Vec::new(),
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
        actions.extend((0..state.deeds.len()).map(Action::Do));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        (self.before_each_step)();
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
                let exchange = self.tell(&mut state, Event::Asked { arrived, lease: self.lease, fresh }, None);
                state.broken |= exchange.is_none();
                state.clients[at].waits = exchange.map(|exchange| Waits { exchange, floor });
            }
            Action::Leave(at) => {
                state.leaves_left -= 1;
                let exchange = state.clients[at].waits.take()?.exchange;
                self.tell(&mut state, Event::Left { exchange }, None);
            }
            Action::Write => {
                state.version += 1;
                state.writes_left -= 1;
            }
            Action::Evaluate(at) => state.exchanges[at].read = Some(state.version),
            Action::Answer(at) => {
                let Flying { exchange, read } = state.exchanges.remove(at);
                self.tell(&mut state, Event::Answered { exchange }, read);
            }
            Action::Lose(at) => {
                state.losses_left -= 1;
                let Flying { exchange, .. } = state.exchanges.remove(at);
                self.tell(&mut state, Event::Lost { exchange }, None);
            }
            // A timer is never early, and may be late: the clock goes on to it, if it is not there yet.
            Action::Ring => {
                let at = state.timers.remove(0);
                state.now_ms = state.now_ms.max(at.as_nanos().div_ceil(1_000_000));
                self.tell(&mut state, Event::Gathered, None);
            }
            Action::Do(at) => {
                let deed = state.deeds[at].pop_front()?;
                if state.deeds[at].is_empty() {
                    state.deeds.remove(at);
                }
                state.perform(deed);
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
                    && state.machine.running() == state.exchanges.len() + state.launches()
                    && state.machine.running() <= model.overlap
            }),
            Property::always("whoever waits is waited for", |model: &Self, state: &State| {
                state.clients.iter().flat_map(|client| &client.waits).all(|waits| {
                    let queued = state.machine.queued() == Some(waits.exchange);
                    let full = state.machine.running() >= state.machine.slots(&model.rules());
                    state.is_under_way(waits.exchange) || queued && (full || state.is_armed())
                }) && (state.machine.queued().is_none()
                    || state
                        .clients
                        .iter()
                        .flat_map(|client| &client.waits)
                        .any(|waits| state.machine.queued() == Some(waits.exchange)))
            }),
            // Each step uses up something, so every run ends; what it ends in says whether anybody was left behind.
            Property::always(
                "when nothing can happen any more, everyone has been told",
                |model: &Self, state: &State| {
                    let mut actions = Vec::new();
                    model.actions(state, &mut actions);
                    let waits = state.clients.iter().any(|client| client.waits.is_some());
                    !actions.is_empty() || !waits && state.machine == Machine::default()
                },
            ),
            Property::sometimes("somebody is answered", |_, state: &State| state.answered > 0),
        ]
    }
}
