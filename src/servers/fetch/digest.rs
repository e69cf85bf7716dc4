//! Whether a package is the one that the manifest pins.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::FetchError;

/// Verifies that the file has this hash.
pub(super) fn verify(package: &Path, expected: &str) -> Result<(), FetchError> {
    let found = sha256(package).map_err(|source| FetchError::Read { package: package.to_owned(), source })?;
    if found == expected {
        return Ok(());
    }
    Err(FetchError::WrongHash { package: package.to_owned(), expected: expected.to_owned(), found })
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => break,
            n => hash.update(&block[..n]),
        }
    }
    let mut hex = String::new();
    for byte in hash.finalize() {
        write!(hex, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(hex)
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
