//! `Machine`: who rides on which exchange, for one variant key, as a state machine without I/O.
//!
//! It performs no I/O, reads no clock and takes no lock: events come in with the moment they happened, effects go out
//! for the shell (`flight`) to perform, and the same code runs in production, in a model check and in property tests.
//! It knows exchanges by number and members by count; what an exchange asks, and what it is answered, is not its affair.
//!
//! A batch is a set of requests that share an exchange. It is queued until its exchange starts, and running until that
//! is answered or lost.
//!
//! Invariants:
//! - At most `overlap` exchanges run, and at most one batch is queued.
//! - Every member's exchange is [`usable`] for it: one that runs is compared when the member joins; one that is queued
//!   begins later than all its members arrived.
//! - A queued batch has a member, and a reason to wait: every [slot](Machine::slots) is taken, or a timer is armed.
//!
//! Why gather: clients answered together ask again together, within a millisecond or a few. If the first of them started
//! an exchange at once it would travel alone, and all others would wait for it and then for their own: two round trips.
//! So after an exchange with company the next one waits until nearly as many are there again, but no longer than a share
//! of a round trip. Where they do not come back, as when each request is another client's, a window that was waited out
//! for nothing is not opened again for twice as many exchanges as the time before. A key with one reader never has
//! company, and is never delayed.

use std::time::Duration;

use super::event::{Effect, Effects, Event, Exchange, How};
use crate::rules::collapse::usable;
use crate::rules::moment::Moment;
use crate::rules::policy::Collapse;

/// The state of one key. It is worth keeping only until [`Effect::Idle`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Machine {
    /// What runs, oldest first.
    running: Vec<Running>,
    queued: Option<Batch>,
    /// No batch starts before this moment, unless its company is complete.
    gate: Moment,
    /// Whom the window that was opened last is for, until a batch starts.
    company: Option<Company>,
    /// Windows in a row that nobody came back in.
    doubt: u32,
    /// How many exchanges are still to go before another window is opened.
    skip: u32,
    /// A timer is under way that fires at or after this moment.
    armed: Option<Moment>,
    /// How long this key's exchanges took lately; zero when none has been answered yet.
    recent: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Running {
    began: Moment,
    batch: Batch,
}

/// Whom a gathering window is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Company {
    /// How many waited as it opened.
    present: usize,
    /// How many are to come back: nearly all who were answered then.
    missed: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Batch {
    exchange: Exchange,
    members: usize,
}

impl Machine {
    /// Takes `event`, which happened at `now` (never earlier than the event before), under the route's `rules`.
    pub fn on_event(&mut self, now: Moment, rules: &Collapse, event: Event) -> Effects {
        let mut effects = Effects::default();
        match event {
            Event::Asked { arrived, lease, fresh } => {
                effects.push(Effect::Wait { exchange: self.seat(arrived, lease, fresh) });
            }
            // Nothing starts because someone left, so nothing needs to be settled: a client's disconnect costs little.
            Event::Left { exchange } => {
                self.leave(exchange, &mut effects);
                return effects;
            }
            Event::Answered { exchange } => {
                if let Some(landed) = self.land(exchange, How::Answered, &mut effects) {
                    self.learn(now, rules, &landed);
                }
            }
            Event::Lost { exchange } => {
                self.land(exchange, How::Lost, &mut effects);
            }
            // An older timer may fire before the one that counts; it says nothing.
            Event::Gathered => self.armed = self.armed.filter(|at| *at > now),
        }
        self.settle(now, rules, &mut effects);
        effects
    }

    /// How many exchanges run.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.running.len()
    }

    /// How many exchanges may run now. They are spread over a round trip, as far as a timer can; before the first answer
    /// nothing is known of that, and a cold herd needs one exchange, not two.
    #[must_use]
    pub fn slots(&self, rules: &Collapse) -> usize {
        let spread = usize::try_from(self.recent.as_nanos() / TIMER.as_nanos()).unwrap_or(usize::MAX);
        rules.overlap.min(spread).max(1)
    }

    /// The batch that waits to start, if there is one.
    #[must_use]
    pub fn queued(&self) -> Option<Exchange> {
        self.queued.as_ref().map(|batch| batch.exchange)
    }

    /// When a timer is due, if one is under way.
    #[must_use]
    pub const fn armed(&self) -> Option<Moment> {
        self.armed
    }

    /// The exchange that a request belongs to: the oldest that it may use (it is answered first), or the queued one.
    fn seat(&mut self, arrived: Moment, lease: Duration, fresh: Exchange) -> Exchange {
        let running = self.running.iter_mut().find(|running| usable(running.began, arrived, lease));
        let batch = match running {
            Some(running) => &mut running.batch,
            None => self.queued.get_or_insert(Batch { exchange: fresh, members: 0 }),
        };
        batch.members += 1;
        batch.exchange
    }

    fn leave(&mut self, exchange: Exchange, effects: &mut Effects) {
        let running = self.running.iter_mut().map(|running| &mut running.batch);
        let Some(batch) = running.chain(&mut self.queued).find(|batch| batch.exchange == exchange) else { return };
        batch.members = batch.members.saturating_sub(1);
        // What runs goes on without members: its answer is stored, and a lease may still use it.
        if self.queued.take_if(|batch| batch.members == 0).is_some() {
            effects.push(Effect::Dissolve { exchange });
        }
    }

    fn land(&mut self, exchange: Exchange, how: How, effects: &mut Effects) -> Option<Running> {
        let at = self.running.iter().position(|running| running.batch.exchange == exchange)?;
        effects.push(Effect::Wake { exchange, how });
        Some(self.running.remove(at))
    }

    /// Takes the round trip from an answer, and opens the gathering window if the answer had company.
    fn learn(&mut self, now: Moment, rules: &Collapse, landed: &Running) {
        let took = now.since(landed.began);
        self.recent = if self.recent.is_zero() { took } else { (self.recent * 3 + took) / 4 };
        let (answered, present) = (landed.batch.members, self.waiting());
        self.skip = self.skip.saturating_sub(1);
        let window = window(rules, self.recent);
        if answered + present >= 2 && self.skip == 0 && !window.is_zero() {
            self.gate = now.after(window);
            self.company = Some(Company { present, missed: answered - answered / 8 });
        }
    }

    /// Takes from the batch that starts whether waiting for company was worth it.
    fn reckon(&mut self, members: usize) {
        let Some(Company { present, missed }) = self.company.take() else { return };
        let paid = 2 * members.saturating_sub(present) >= missed;
        self.doubt = if paid { 0 } else { (self.doubt + 1).min(DOUBT_MAX) };
        self.skip = if paid { 0 } else { 1 << self.doubt };
    }

    /// How many wait in the queued batch.
    fn waiting(&self) -> usize {
        self.queued.as_ref().map_or(0, |batch| batch.members)
    }

    /// When the gathering ends: at once if the company is complete.
    fn gathered(&self) -> Moment {
        let complete = |company: Company| self.waiting() >= company.present + company.missed;
        if self.company.is_some_and(complete) { Moment::default() } else { self.gate }
    }

    /// Starts the queued batch if it is due, or sees to it that a timer will.
    fn settle(&mut self, now: Moment, rules: &Collapse, effects: &mut Effects) {
        let due = self.due(rules);
        match due {
            // Whoever waits is woken by an answer, or nobody waits and something runs.
            None => {}
            Some(due) if due > now => self.arm(due, effects),
            Some(_) => match self.queued.take() {
                Some(batch) => {
                    self.reckon(batch.members);
                    effects.push(Effect::Start { exchange: batch.exchange });
                    self.running.push(Running { began: now, batch });
                }
                None => effects.push(Effect::Idle),
            },
        }
    }

    /// When the key moves on by itself: the next batch starts, or the key is given up. `None`: after an answer.
    fn due(&self, rules: &Collapse) -> Option<Moment> {
        let slots = self.slots(rules);
        match self.running.last() {
            None => Some(self.gathered()),
            Some(_) if self.queued.is_none() || self.running.len() >= slots => None,
            // Exchanges that overlap pay only if they are spread over a round trip.
            Some(newest) => {
                let share = u32::try_from(slots).unwrap_or(u32::MAX);
                Some(self.gathered().max(newest.began.after(self.recent / share)))
            }
        }
    }

    fn arm(&mut self, at: Moment, effects: &mut Effects) {
        // A timer that fires sooner will look again.
        if self.armed.is_none_or(|armed| armed > at) {
            self.armed = Some(at);
            effects.push(Effect::Arm { at });
        }
    }
}

/// After so many windows in a row that nobody came back in, 2^6 exchanges pass before the next one.
const DOUBT_MAX: u32 = 6;

/// What a timer cannot resolve is not worth arming one: tokio's wheel turns once in a millisecond.
pub const TIMER: Duration = Duration::from_millis(1);

/// How long a batch waits for company after an answer: the configured share of a round trip, within its bound.
fn window(rules: &Collapse, recent: Duration) -> Duration {
    // Not `mul_f64`: it panics on what validation should have refused.
    let share = if rules.gather > 0.0 { rules.gather.min(1.0) } else { 0.0 };
    let window = Duration::try_from_secs_f64(recent.as_secs_f64() * share).unwrap_or_default().min(rules.gather_max);
    if window < TIMER { Duration::ZERO } else { window }
}

#[cfg(test)]
mod tests;
