//! `FillMemory`: what bodies under way may hold together, responses and the content of requests that wait; and [`Taken`],
//! a share of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory that all bodies under way may take together.
#[derive(Debug)]
pub struct FillMemory {
    used: AtomicU64,
    capacity: u64,
}

impl FillMemory {
    /// A budget of `capacity` bytes.
    #[must_use]
    pub const fn new(capacity: u64) -> Self {
        Self { used: AtomicU64::new(0), capacity }
    }

    /// How many bytes are held now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How many may be held.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether anything is left.
    pub(super) fn has_room(&self) -> bool {
        self.used() < self.capacity
    }
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Taken {
    memory: Arc<FillMemory>,
    bytes: u64,
}

impl Taken {
    /// Nothing yet.
    #[must_use]
    pub const fn nothing_of(memory: Arc<FillMemory>) -> Self {
        Self { memory, bytes: 0 }
    }

    /// How many bytes it is.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The budget.
    pub(super) fn memory(&self) -> &FillMemory {
        &self.memory
    }

    /// Takes as many bytes more; `false`, and takes none, if they are not left.
    pub fn grow(&mut self, more: u64) -> bool {
        let grown = |used: u64| used.checked_add(more).filter(|sum| *sum <= self.memory.capacity);
        let taken = self.memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }

    /// Gives back what is beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: u64) {
        let beyond = self.bytes.saturating_sub(bytes);
        if beyond > 0 {
            self.bytes -= beyond;
            self.memory.used.fetch_sub(beyond, Ordering::Relaxed);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
