//! How much is tried at random.

/// How many inputs a test makes up: as many as `FUZZ_CASES` says, or else `usual`.
pub fn fuzz_cases(usual: u32) -> u32 {
    std::env::var("FUZZ_CASES").map_or(usual, |cases| cases.parse().expect("FUZZ_CASES is a whole number"))
}
