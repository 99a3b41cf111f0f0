//! The nearest name for a misspelt one. Only names that the caller may see are ever given in.

/// The candidate most like `name`, when one is near enough to be what was meant; case is ignored.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_name_and_nonsense_finds_none() {
        assert_eq!(
            nearest("linitem", ["orders", "lineitem"]),
            Some("lineitem".to_owned())
        );
        assert_eq!(
            nearest("LINEITEMS", ["orders", "lineitem"]),
            Some("lineitem".to_owned())
        );
        assert_eq!(nearest("xyz", ["orders", "lineitem"]), None);
    }
}
