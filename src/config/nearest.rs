//! "Did you mean ...?": the known name that is nearest to one that is not known.

/// How similar two names must be, from 0 to 1: two slips in a word of five letters are still seen as one.
const SIMILAR: f64 = 0.6;

/// The candidate that is most similar to `name`, if any is similar enough.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored =
        candidates.into_iter().map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate));
    let best = scored.filter(|(score, _)| *score >= SIMILAR).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, candidate)| candidate)
}
