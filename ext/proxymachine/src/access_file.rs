//! The file of the access log: opened and written so that a missing or slow reader of a pipe holds up neither
//! the start nor the end, nor a change to another file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// PIPE_BUF of Linux. A pipe that poll(2) reports as writable takes that many bytes without blocking, and does
/// not mix them with those of other processes.
const PIECE: usize = 4096;

/// The standard output as a path.
const STDOUT: &str = "/proc/self/fd/1";

/// The names of the standard output and of other descriptors of this process.
const DESCRIPTORS: [&str; 4] = ["/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/"];

/// Time between two looks whether the wait for a reader still makes sense.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// An open file, or a pipe, a socket or a terminal.
pub struct AccessFile {
    file: File,
    /// Whether a reader can hold up the writer.
    is_stream: bool,
}

impl AccessFile {
    /// Opens a file to append to; `-` is the standard output.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened.
    pub fn open(path: &str) -> io::Result<Self> {
        let file = if path == "-" {
            // O_NONBLOCK belongs to the open file description, which other processes share.
            match open_stream(STDOUT) {
                Some(Ok(file)) => file,
                _ => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            }
        } else {
            open_stream(path).unwrap_or_else(|| OpenOptions::new().append(true).create(true).open(path))?
        };
        let kind = file.metadata()?.file_type();
        Ok(Self { file, is_stream: kind.is_fifo() || kind.is_socket() || kind.is_char_device() })
    }

    /// Writes lines. Waits for a reader until `is_awaited` returns false.
    ///
    /// # Errors
    /// Returns the error of the file, which is TimedOut if the reader was not awaited any longer. `lines` then
    /// begins with what was not written.
    pub fn write(&self, lines: &mut &[u8], is_awaited: impl Fn() -> bool) -> io::Result<()> {
        while !lines.is_empty() {
            let rest = *lines;
            let piece = if self.is_stream { first_piece(rest) } else { rest };
            if self.is_stream && !self.is_writable()? {
                if is_awaited() {
                    continue;
                }
                return Err(io::Error::new(ErrorKind::TimedOut, "not read"));
            }
            match (&self.file).write(piece) {
                Ok(written) => *lines = &rest[written..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_writable(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.file, PollFlags::OUT)];
        Ok(poll(&mut polled, Some(&POLL_INTERVAL))? > 0)
    }
}

/// Opens a pipe or a character device without blocking: poll(2) may report room that another process takes
/// first. Returns None for anything else.
///
/// A named pipe is opened for reading, too: it can then be opened and written before its reader comes, and when
/// its reader has gone.
fn open_stream(path: &str) -> Option<io::Result<File>> {
    let kind = fs::metadata(path).ok()?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return None;
    }
    let open = |is_read| {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        OpenOptions::new().read(is_read).write(true).custom_flags(flags).open(path)
    };
    // A process that reads a pipe itself never learns that the reader has gone.
    let is_own = DESCRIPTORS.iter().any(|name| path.starts_with(name));
    let opened = match open(kind.is_fifo() && !is_own) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => open(false),
        opened => opened,
    };
    Some(opened)
}

/// Returns the complete lines that fit into `PIECE`, or the beginning of a longer line.
fn first_piece(lines: &[u8]) -> &[u8] {
    let piece = &lines[..lines.len().min(PIECE)];
    match piece.iter().rposition(|byte| *byte == b'\n') {
        Some(last) => &piece[..=last],
        None => piece,
    }
}
