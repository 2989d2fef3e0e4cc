//! What somebody may have meant.

/// The nearest word as a hint, if any is near.
pub(crate) fn did_you_mean<'w>(
    found: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<String> {
    nearest(found, words).map(suggestion)
}

pub(super) fn suggestion(word: &str) -> String {
    format!("did you mean `{word}`?")
}

pub(super) fn nearest<'w>(
    found: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    if found.len() > 64 {
        return None;
    }
    let lower = found.to_ascii_lowercase().replace('-', "_");
    let scored = words.into_iter().map(|word| {
        let other = word.to_ascii_lowercase().replace('-', "_");
        (strsim::jaro_winkler(&lower, &other), strsim::damerau_levenshtein(&lower, &other), word)
    });
    let near = scored.filter(|(score, edits, _)| *score >= 0.85 || *edits <= 1);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, _, word)| word)
}
