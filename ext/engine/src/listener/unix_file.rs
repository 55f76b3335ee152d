//! The file of a listening Unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The file of a Unix socket. The owning process removes the file with its last listener, unless another file has taken
/// its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Id of the owning process, since a forked child has copies; 0 if no process owns the file.
    owner: AtomicU32,
}

const NO_PROCESS: u32 = 0;

impl SocketFile {
    /// Describes the file of a socket that this process has just bound, and owns it.
    pub(crate) fn bound(path: &str) -> io::Result<Self> {
        Self::at(path, process::id())
    }

    /// Describes the file of a socket that another process has bound and may still use.
    pub(crate) fn inherited(path: &str) -> io::Result<Self> {
        Self::at(path, NO_PROCESS)
    }

    fn at(path: &str, owner: u32) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let metadata = fs::symlink_metadata(&path)?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        Ok(Self { path, device, inode, owner: AtomicU32::new(owner) })
    }

    /// Makes this process remove the file, because no other process listens on it.
    pub fn own(&self) {
        self.owner.store(process::id(), Relaxed);
    }

    /// Leaves the file in place, because another process listens on it.
    pub(crate) fn keep(&self) {
        self.owner.store(NO_PROCESS, Relaxed);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |file: fs::Metadata| (file.dev(), file.ino()) == (self.device, self.inode);
        if self.owner.load(Relaxed) == process::id() && fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
