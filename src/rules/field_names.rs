//! `FieldNames`: the names of a stored head's lines, in order.
//!
//! What one origin sends has the same names nearly every time, and a name takes four times the room of a pointer: so the
//! store has those that are equal share one list.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use http::header::HeaderName;

/// Names, one for each line. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FieldNames(Arc<List>);

#[derive(Debug)]
struct List {
    names: Box<[HeaderName]>,
    shared: bool,
}

impl FieldNames {
    /// The names of these lines, copied: a slice of a read buffer would keep all of that.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a HeaderName>) -> Self {
        let copied =
            |name: &HeaderName| HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or_else(|_| name.clone());
        Self(Arc::new(List { names: names.map(copied).collect(), shared: false }))
    }

    /// The same names in a list that others are to share.
    #[must_use]
    pub fn to_shared(&self) -> Self {
        Self(Arc::new(List { names: self.0.names.clone(), shared: true }))
    }

    /// Whether anybody else has this very list.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// The names.
    #[must_use]
    pub fn as_slice(&self) -> &[HeaderName] {
        &self.0.names
    }

    /// What they weigh in memory, in bytes, for the one who has them: nothing, where they are shared.
    #[must_use]
    pub fn weight(&self) -> usize {
        let each = |name: &HeaderName| size_of::<HeaderName>() + name.as_str().len();
        if self.0.shared { 0 } else { self.as_slice().iter().map(each).sum() }
    }
}

impl PartialEq for FieldNames {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_slice() == other.as_slice()
    }
}

impl Eq for FieldNames {}

impl Hash for FieldNames {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}
