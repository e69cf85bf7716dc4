//! Whether a package is the one that the manifest pins.

use std::path::Path;

use super::FetchError;
use crate::digest::sha256;

/// Verifies that the file has this hash.
pub(super) fn verify(package: &Path, expected: &str) -> Result<(), FetchError> {
    let found = sha256(package).map_err(|source| FetchError::Read { package: package.to_owned(), source })?;
    if found == expected {
        return Ok(());
    }
    Err(FetchError::WrongHash { package: package.to_owned(), expected: expected.to_owned(), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_of_a_wrong_file_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("abc");
        std::fs::write(&file, "abc").expect("written");
        let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(verify(&file, right).is_ok());
        let wrong = right.replace('b', "c");
        let text = verify(&file, &wrong).expect_err("a wrong hash").to_string();
        assert!(text.contains(right) && text.contains(&wrong), "{text}");
    }
}
