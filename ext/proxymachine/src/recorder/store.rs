//! The directory of recordings. Several processes may write into it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};

use super::recording::Recording;

/// Connections that the directory holds at most.
pub const MAX_CONNECTIONS: usize = 1000;

/// Bytes that the files of the directory have at most.
const MAX_TOTAL: u64 = 32 * 1024 * 1024;

/// The endings of the two files of a recording: the client's bytes, and the text about them.
const ENDINGS: [&str; 2] = ["bin", "json"];

/// A directory of recordings.
pub struct Store {
    path: PathBuf,
}

impl Store {
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().into() }
    }

    /// Writes recordings, and removes the oldest ones that are too many. Creates the directory if it is missing.
    ///
    /// # Errors
    /// Returns the first error. What was written until then is complete.
    pub fn add(&self, recordings: &VecDeque<Recording>) -> io::Result<()> {
        let directory = self.open()?;
        // Other workers wait here, so that together they keep the limits. Closing the directory unlocks it.
        flock(&directory, FlockOperation::LockExclusive)?;
        if recordings.is_empty() {
            return Ok(access(&self.path, Access::WRITE_OK | Access::EXEC_OK)?);
        }
        let mut kept = self.list()?;
        let mut total: u64 = kept.values().sum();
        for recording in recordings {
            let size = recording.len() as u64;
            while kept.len() >= MAX_CONNECTIONS || total + size > MAX_TOTAL {
                let Some((oldest, bytes)) = kept.pop_first() else { break };
                self.remove(&oldest)?;
                total -= bytes;
            }
            self.write(recording)?;
            kept.insert(recording.name.clone(), size);
            total += size;
        }
        Ok(())
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_DIRECTORY);
        match options.open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
                options.open(&self.path)
            }
            opened => opened,
        }
    }

    /// Returns the recordings in the directory, by name and so by time, with the bytes of their files. Other files do
    /// not count and are never removed.
    fn list(&self) -> io::Result<BTreeMap<String, u64>> {
        let mut sizes = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(recording_name) else { continue };
            // The file may have been removed meanwhile.
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            *sizes.entry(name.to_owned()).or_default() += size;
        }
        Ok(sizes)
    }

    fn write(&self, recording: &Recording) -> io::Result<()> {
        let contents: [&[u8]; 2] = [&recording.bytes, recording.about.as_bytes()];
        let written = ENDINGS.iter().zip(contents).try_for_each(|(ending, content)| {
            let path = self.file(&recording.name, ending);
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
        });
        if written.is_err() {
            let _ = self.remove(&recording.name); // One file without the other, or a part of it.
        }
        written
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        ENDINGS.iter().try_for_each(|ending| match fs::remove_file(self.file(name, ending)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.path.join(format!("{name}.{ending}"))
    }
}

/// Returns the name of the recording that a file belongs to; None for another file. A name begins with a time such as
/// `20261130T180703.123456Z-`.
fn recording_name(file: &str) -> Option<&str> {
    let (name, ending) = file.rsplit_once('.')?;
    let (time, _) = name.split_once('-')?;
    let is_time = time.len() == 23
        && time.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            15 => byte == b'.',
            22 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    (is_time && ENDINGS.contains(&ending)).then_some(name)
}
