//! Whether the origin is known to send nothing after an answer that has no body.
//!
//! Bytes that come late after such an answer would be read as the answer to the next request on that connection. So the
//! connection waits in quarantine, unless this module says that the origin has shown itself sound. What is learned is
//! forgotten after a while: the thing behind the address may have been deployed anew.

use std::time::Duration;

use crate::rules::moment::Moment;

/// How long a connection must stay silent after an answer without a body before it is reused.
pub(super) const QUARANTINE: Duration = Duration::from_millis(250);

/// How many quarantines must end in silence, in a row, before they are skipped.
const QUIET_ENOUGH: u32 = 4;

/// How long they are then skipped.
const BELIEVED_FOR: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Trust {
    quiet: u32,
    sound_until: Option<Moment>,
}

impl Trust {
    pub(super) fn is_sound(&self, now: Moment) -> bool {
        self.sound_until.is_some_and(|until| now < until)
    }

    /// A quarantine ended in silence.
    pub(super) fn stayed_quiet(&mut self, now: Moment) {
        self.quiet += 1;
        if self.quiet >= QUIET_ENOUGH {
            *self = Self { quiet: 0, sound_until: Some(now.after(BELIEVED_FOR)) };
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

    fn after_quarantines(count: u32) -> Trust {
        let mut trust = Trust::default();
        (0..count).for_each(|_| trust.stayed_quiet(START));
        trust
    }

    #[test]
    fn an_origin_is_sound_after_four_quiet_quarantines() {
        assert!(!after_quarantines(3).is_sound(START));
        assert!(after_quarantines(4).is_sound(START));
    }

    #[test]
    fn soundness_is_forgotten_after_ten_minutes() {
        let trust = after_quarantines(4);
        assert!(trust.is_sound(START.after(Duration::from_secs(599))));
        assert!(!trust.is_sound(START.after(Duration::from_secs(600))));
    }

    #[test]
    fn one_stray_byte_costs_the_origin_its_soundness() {
        let mut trust = after_quarantines(4);
        trust.broken();
        assert!(!trust.is_sound(START));
    }
}
