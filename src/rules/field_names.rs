//! `FieldNames`: the names of a stored head's lines, in order, in memory that all heads with the same names share.
//!
//! What one origin sends has the same names nearly every time, and a name takes four times the room of a pointer. The
//! table is bounded: names that find it full are kept by their head alone.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use http::header::HeaderName;

/// How many lists of names are shared at once.
const SHARED_MAX: usize = 1024;

/// How many names a list that is shared may have: the lists together take at most a few MiB.
const NAMES_MAX: usize = 64;

/// The lists that are shared.
#[derive(Default)]
struct Table(Mutex<HashSet<Arc<[HeaderName]>>>);

static TABLE: LazyLock<Table> = LazyLock::new(Table::default);

/// Names, one for each line.
#[derive(Clone, Debug)]
pub(super) struct FieldNames {
    names: Arc<[HeaderName]>,
    shared: bool,
}

impl FieldNames {
    /// These names: shared, if they may be.
    pub(super) fn of(names: &[HeaderName]) -> Self {
        TABLE.take(names)
    }

    /// The names.
    pub(super) fn as_slice(&self) -> &[HeaderName] {
        &self.names
    }

    /// What they weigh in memory, in bytes, for the one who has them: nothing, where they are shared.
    pub(super) fn weight(&self) -> usize {
        let each = |name: &HeaderName| size_of::<HeaderName>() + name.as_str().len();
        if self.shared { 0 } else { self.names.iter().map(each).sum() }
    }
}

impl PartialEq for FieldNames {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.names, &other.names) || self.names == other.names
    }
}

impl Eq for FieldNames {}

impl Table {
    fn take(&self, names: &[HeaderName]) -> FieldNames {
        // Nothing under the lock can panic half-way through a change of the set.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(names) {
            return FieldNames { names: Arc::clone(known), shared: true };
        }
        if all.len() >= SHARED_MAX {
            all.retain(|names| Arc::strong_count(names) > 1);
        }
        let names: Arc<[HeaderName]> = names.iter().map(copied).collect();
        let shared = names.len() <= NAMES_MAX && all.len() < SHARED_MAX && all.insert(Arc::clone(&names));
        FieldNames { names, shared }
    }
}

/// A name in memory of its own, if it is not one that `http` knows: a slice of a read buffer would keep all of that.
fn copied(name: &HeaderName) -> HeaderName {
    HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(table: &Table, texts: &[String]) -> FieldNames {
        let names: Vec<HeaderName> = texts.iter().map(|text| text.parse().unwrap()).collect();
        table.take(&names)
    }

    #[test]
    fn heads_of_the_same_names_share_them() {
        let (table, texts) = (Table::default(), ["date".to_owned(), "x-shared".to_owned()]);
        let (one, other) = (names(&table, &texts), names(&table, &texts));
        assert!(Arc::ptr_eq(&one.names, &other.names));
        assert_eq!(one.weight(), 0);
        assert_ne!(one, names(&table, &texts[..1]));
    }

    #[test]
    fn a_head_of_many_names_has_them_alone() {
        let table = Table::default();
        let texts: Vec<String> = (0..=NAMES_MAX).map(|n| format!("x-many-{n}")).collect();
        let (one, other) = (names(&table, &texts), names(&table, &texts));
        assert_eq!(one, other);
        assert!(!Arc::ptr_eq(&one.names, &other.names));
        assert!(one.weight() > NAMES_MAX * size_of::<HeaderName>());
    }

    #[test]
    fn origins_that_make_up_names_do_not_fill_memory() {
        let table = Table::default();
        let held: Vec<_> = (0..2 * SHARED_MAX).map(|n| names(&table, &[format!("x-made-up-{n}")])).collect();
        assert_eq!(table.0.lock().unwrap().len(), SHARED_MAX);
        drop(held);
        assert_eq!(names(&table, &["x-late".to_owned()]).weight(), 0, "room is made by what nobody has any more");
        assert_eq!(table.0.lock().unwrap().len(), 1);
    }
}
