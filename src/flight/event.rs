//! What happens to a key, and what is to be done about it: the vocabulary between the machine and its shell.

use std::time::Duration;

use crate::rules::moment::Moment;

/// The number of an exchange: never used twice for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exchange(pub u64);

/// Something that happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A request wants an answer from an exchange that it may use.
    Asked {
        /// When its head had come in.
        arrived: Moment,
        /// How long before that an exchange may have begun.
        lease: Duration,
        /// The number of the batch that this request opens, if it opens one.
        fresh: Exchange,
    },
    /// A member no longer waits for this exchange.
    Left {
        /// The member's exchange.
        exchange: Exchange,
    },
    /// The origin answered this exchange.
    Answered {
        /// The exchange.
        exchange: Exchange,
    },
    /// This exchange will not be answered: it panicked, was dropped or ran out of time.
    Lost {
        /// The exchange.
        exchange: Exchange,
    },
    /// A timer that was armed has fired, not before its moment. A late or superfluous one does no harm.
    Gathered,
}

/// Something to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The asker is a member of this exchange, which runs or is queued; it was opened for the asker if its number is
    /// the fresh one. Exactly one for each [`Event::Asked`], and first.
    Wait {
        /// The exchange.
        exchange: Exchange,
    },
    /// The exchange begins now.
    Start {
        /// The exchange.
        exchange: Exchange,
    },
    /// Every member of this exchange has its answer, or knows that there will be none.
    Wake {
        /// The exchange.
        exchange: Exchange,
        /// How it ended.
        how: How,
    },
    /// The last member of a queued batch left: its exchange will never start.
    Dissolve {
        /// The exchange.
        exchange: Exchange,
    },
    /// Say [`Event::Gathered`] at this moment, or a little later.
    Arm {
        /// The moment.
        at: Moment,
    },
    /// Nothing runs, nobody waits: the machine can be dropped.
    Idle,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// With an answer, good or bad.
    Answered,
    /// Without one.
    Lost,
}

/// The effects of one event, in order: at most two by the machine's rules, so they need no memory of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects([Option<Effect>; 2]);

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        let free = self.0.iter_mut().find(|slot| slot.is_none());
        debug_assert!(free.is_some(), "more effects than an event can have");
        if let Some(slot) = free {
            *slot = Some(effect);
        }
    }
}

impl IntoIterator for Effects {
    type Item = Effect;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Effect>, 2>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}
