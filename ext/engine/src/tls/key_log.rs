//! The keys of connections for Wireshark and its like: the setting `tls_key_log`.
//!
//! The lines have the form of SSLKEYLOGFILE (RFC 9850). The environment variable of that name does nothing here.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use rustls::KeyLog;

static IS_ON: AtomicBool = AtomicBool::new(false);
static LOG: Mutex<Option<(PathBuf, File)>> = Mutex::new(None);

/// Opens the file to which the keys of all handshakes from now on are appended, or, with None, closes it. Only the user
/// who runs the program may read a file that this creates.
///
/// # Errors
/// Returns the system's error if the file cannot be opened; then nothing changes.
pub fn open(path: Option<&Path>) -> io::Result<()> {
    let log = path.map(|path| Ok::<_, io::Error>((path.to_owned(), open_file(path)?))).transpose()?;
    IS_ON.store(log.is_some(), Relaxed);
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = log;
    Ok(())
}

/// Opens the file again by its name, if there is one: it may have been renamed.
///
/// # Errors
/// Returns the system's error if the file cannot be opened; then the old one stays.
pub fn reopen() -> io::Result<()> {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, file)) = &mut *log {
        *file = open_file(path)?;
    }
    Ok(())
}

fn open_file(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK, a FIFO without a reader would block.
    let file =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Writes the keys of handshakes to the open file, if there is one.
#[derive(Debug)]
pub struct KeyLogger;

impl KeyLog for KeyLogger {
    fn will_log(&self, _label: &str) -> bool {
        IS_ON.load(Relaxed)
    }

    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if !IS_ON.load(Relaxed) {
            return;
        }
        if let Some((_, file)) = &mut *LOG.lock().unwrap_or_else(PoisonError::into_inner) {
            // One write for each line, so that lines of several processes do not mix. A full disk loses the line.
            let _ = file.write_all(line(label, client_random, secret).as_bytes());
        }
    }
}

fn line(label: &str, client_random: &[u8], secret: &[u8]) -> String {
    let mut line = String::with_capacity(label.len() + 2 * (client_random.len() + secret.len()) + 3);
    line.push_str(label);
    for bytes in [client_random, secret] {
        line.push(' ');
        for byte in bytes {
            // Writing to memory does not fail.
            let _ = write!(line, "{byte:02x}");
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_the_form_of_sslkeylogfile() {
        assert_eq!(line("CLIENT_RANDOM", &[0, 171], &[16]), "CLIENT_RANDOM 00ab 10\n");
    }
}
