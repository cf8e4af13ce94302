//! Words that cannot be tested.

/// Sorted, lower case.
const WORDS: &[&str] = &[
    "acceptable",
    "adequate",
    "adequately",
    "appropriate",
    "appropriately",
    "approximately",
    "asap",
    "easily",
    "easy",
    "efficient",
    "efficiently",
    "etc",
    "fast",
    "flexible",
    "graceful",
    "gracefully",
    "intuitive",
    "intuitively",
    "maximize",
    "minimize",
    "modern",
    "nice",
    "normal",
    "normally",
    "optimal",
    "optimally",
    "optimize",
    "periodically",
    "promptly",
    "properly",
    "quick",
    "quickly",
    "reasonable",
    "reasonably",
    "relevant",
    "responsive",
    "robust",
    "robustly",
    "satisfactory",
    "scalable",
    "seamless",
    "seamlessly",
    "several",
    "simple",
    "slow",
    "smooth",
    "smoothly",
    "sufficient",
    "sufficiently",
    "tbd",
    "timely",
    "todo",
    "typical",
    "typically",
    "user-friendly",
    "usually",
    "various",
];

/// Whether the word, in any case, is on the list.
pub(super) fn is_vague(word: &str) -> bool {
    const LONGEST: usize = 13;
    if !(3..=LONGEST).contains(&word.len()) {
        return false;
    }
    let mut lower = [0_u8; LONGEST];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    WORDS
        .binary_search_by(|other| other.as_bytes().cmp(&*lower))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::{WORDS, is_vague};

    #[test]
    fn the_list_is_sorted_and_found() {
        let mut sorted = WORDS.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, WORDS);
        assert!(WORDS.iter().all(|word| is_vague(word)));
        assert!(is_vague("Fast") && !is_vague("faster") && !is_vague("a"));
    }
}
