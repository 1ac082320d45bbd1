//! `SharedNames`: the lists of field names that stored heads share.
//!
//! The table is bounded, so that an origin which makes names up fills no memory: a list that finds no place is its
//! head's own.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::rules::field_names::FieldNames;

/// How many lists are shared at once.
const LISTS_MAX: usize = 1024;

/// How many names a list that is shared may have: all lists together take a few MiB at most.
const NAMES_MAX: usize = 64;

/// Lists of names, each once.
#[derive(Debug, Default)]
pub(super) struct SharedNames(Mutex<HashSet<FieldNames>>);

impl SharedNames {
    /// The list that has these names, or `names` where none may have them.
    pub(super) fn shared(&self, names: &FieldNames) -> FieldNames {
        // Nothing under the lock can panic half-way through a change of the set.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(names) {
            return known.clone();
        }
        if all.len() >= LISTS_MAX {
            all.retain(FieldNames::is_in_use);
        }
        if all.len() >= LISTS_MAX || names.as_slice().len() > NAMES_MAX {
            return names.clone();
        }
        let shared = names.to_shared();
        all.insert(shared.clone());
        shared
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::HeaderName;

    use super::*;
    use crate::rules::fields::StoredFields;

    /// The names of a head with these fields.
    fn names(texts: impl Iterator<Item = String>) -> FieldNames {
        let fields: HeaderMap =
            texts.map(|text| (text.parse::<HeaderName>().unwrap(), http::HeaderValue::from_static("1"))).collect();
        StoredFields::of(&fields).names().clone()
    }

    #[test]
    fn heads_of_the_same_names_share_them() {
        let table = SharedNames::default();
        let own = names(["date".to_owned(), "x-shared".to_owned()].into_iter());
        let (one, other) = (table.shared(&own), table.shared(&own));
        assert_eq!((one.as_slice().as_ptr(), one.weight()), (other.as_slice().as_ptr(), 0));
        assert!(one == own && own.weight() > 0);
        assert_ne!(one, names(["date".to_owned()].into_iter()));
    }

    #[test]
    fn a_head_of_many_names_has_them_alone() {
        let table = SharedNames::default();
        let own = names((0..=NAMES_MAX).map(|n| format!("x-many-{n}")));
        assert_eq!(table.shared(&own).as_slice().as_ptr(), own.as_slice().as_ptr());
        assert!(own.weight() > NAMES_MAX * size_of::<HeaderName>());
    }

    #[test]
    fn origins_that_make_up_names_do_not_fill_memory() {
        let table = SharedNames::default();
        let made_up = |n| table.shared(&names(std::iter::once(format!("x-made-up-{n}"))));
        let held: Vec<_> = (0..2 * LISTS_MAX).map(made_up).collect();
        assert_eq!(table.0.lock().unwrap().len(), LISTS_MAX);
        drop(held);
        assert_eq!(made_up(usize::MAX).weight(), 0, "room is made by what nobody has any more");
        assert_eq!(table.0.lock().unwrap().len(), 1);
    }
}
