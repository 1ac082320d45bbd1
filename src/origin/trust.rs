//! Whether the origin is known to send nothing after its answers.
//!
//! Bytes that come late after an answer would be read as the answer to the next request on that connection: the body of an
//! answer that must not have one, or what is longer than its `Content-Length`. So the connection waits in quarantine,
//! unless this module says that the origin has shown itself sound. That is learned for answers to HEAD, for statuses that
//! have no body and for answers with one by themselves, as an origin has different faults in each. It is forgotten after a
//! while, and learned anew from connections that were idle as long anyway: the thing behind the address may have been
//! deployed anew.

use std::time::Duration;

use crate::rules::moment::Moment;

/// How long a connection must stay silent after an answer before it is reused.
pub(super) const QUARANTINE: Duration = Duration::from_millis(250);

/// How many quarantines must end in silence, in a row, before they are skipped.
const QUIET_ENOUGH: u32 = 4;

/// How long they are then skipped.
const BELIEVED_FOR: Duration = Duration::from_secs(600);

/// After which answer a connection is without a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// One to HEAD.
    Head,
    /// One whose status forbids a body: 204 or 304.
    Bodyless,
    /// One that may have a body.
    Content,
}

#[derive(Debug, Default)]
pub(super) struct Trust {
    head: Learned,
    bodyless: Learned,
    content: Learned,
}

#[derive(Debug, Default)]
struct Learned {
    quiet: u32,
    sound_until: Option<Moment>,
}

impl Trust {
    pub(super) fn is_sound(&self, after: After, now: Moment) -> bool {
        let learned = match after {
            After::Head => &self.head,
            After::Bodyless => &self.bodyless,
            After::Content => &self.content,
        };
        learned.sound_until.is_some_and(|until| now < until)
    }

    /// A connection was silent for as long as a quarantine takes.
    pub(super) fn stayed_quiet(&mut self, after: After, now: Moment) {
        let learned = match after {
            After::Head => &mut self.head,
            After::Bodyless => &mut self.bodyless,
            After::Content => &mut self.content,
        };
        learned.quiet += 1;
        if learned.quiet >= QUIET_ENOUGH {
            *learned = Learned { quiet: 0, sound_until: Some(now.after(BELIEVED_FOR)) };
        }
    }

    /// Bytes came that nobody asked for.
    pub(super) fn broken(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::from_nanos(0);

    const ALL: [After; 3] = [After::Head, After::Bodyless, After::Content];

    fn after_quarantines(count: u32) -> Trust {
        let mut trust = Trust::default();
        for after in ALL {
            (0..count).for_each(|_| trust.stayed_quiet(after, START));
        }
        trust
    }

    #[test]
    fn an_origin_is_sound_after_four_quiet_quarantines() {
        for after in ALL {
            assert!(!after_quarantines(3).is_sound(after, START));
            assert!(after_quarantines(4).is_sound(after, START));
        }
    }

    #[test]
    fn silence_after_one_kind_of_answer_says_nothing_about_the_others() {
        for quiet in ALL {
            let mut trust = Trust::default();
            (0..QUIET_ENOUGH).for_each(|_| trust.stayed_quiet(quiet, START));
            assert!(ALL.iter().all(|after| trust.is_sound(*after, START) == (*after == quiet)), "{quiet:?}");
        }
    }

    #[test]
    fn soundness_is_forgotten_after_ten_minutes_unless_it_is_shown_again() {
        let mut trust = after_quarantines(4);
        let (before, then) = (START.after(Duration::from_secs(599)), START.after(Duration::from_secs(600)));
        assert!(trust.is_sound(After::Head, before));
        assert!(!trust.is_sound(After::Head, then));
        (0..QUIET_ENOUGH).for_each(|_| trust.stayed_quiet(After::Head, before));
        assert!(trust.is_sound(After::Head, then));
    }

    #[test]
    fn one_stray_byte_costs_the_origin_its_soundness() {
        let mut trust = after_quarantines(4);
        trust.broken();
        assert!(ALL.iter().all(|after| !trust.is_sound(*after, START)));
    }
}
