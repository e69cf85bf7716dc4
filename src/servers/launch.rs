//! What it takes to start a server.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{fs, io};

/// A program, its arguments, its whole environment, and the files that it reads at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The program: a path, or a name to be found on `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its environment, in full: nothing is to be inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// Files that it reads at its start, for example its configuration. Folders on their way are made; a file that is there
    /// stays as it is, for a server may keep in it what it has learnt since.
    pub files: Vec<(PathBuf, String)>,
}

impl Launch {
    /// Writes the files that the program reads at its start, as far as they are not there.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write_files(&self) -> io::Result<()> {
        for (file, text) in self.files.iter().filter(|(file, _)| !file.exists()) {
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(file, text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_stays_and_one_that_was_removed_is_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("conf/zoo.cfg");
        let files = vec![(file.clone(), "as told".to_owned())];
        let launch = Launch { program: "x".into(), arguments: Vec::new(), environment: Vec::new(), files };
        let written = || {
            launch.write_files().expect("it can be written");
            fs::read_to_string(&file).expect("it is there")
        };
        assert_eq!(written(), "as told");
        fs::write(&file, "as learnt").expect("a file");
        assert_eq!(written(), "as learnt");
        fs::remove_file(&file).expect("it is there");
        assert_eq!(written(), "as told");
    }
}
