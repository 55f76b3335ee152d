//! The file of a Unix socket that listens.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The file of a Unix socket. The process that owns it removes it with its last listener, unless another file took its
/// place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// A process's id, as a forked child has copies; or 0, which is nobody's.
    owner: AtomicU32,
}

const NOBODY: u32 = 0;

impl SocketFile {
    /// That of a socket which this process has just bound.
    pub(crate) fn bound(path: &str) -> io::Result<Self> {
        Self::at(path, process::id())
    }

    /// That of a socket which another process has bound, and may yet go on with.
    pub(crate) fn inherited(path: &str) -> io::Result<Self> {
        Self::at(path, NOBODY)
    }

    fn at(path: &str, owner: u32) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let metadata = fs::symlink_metadata(&path)?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        Ok(Self { path, device, inode, owner: AtomicU32::new(owner) })
    }

    /// Has this process remove it in the end: nobody else goes on listening.
    pub fn own(&self) {
        self.owner.store(process::id(), Relaxed);
    }

    /// Leaves it there in the end: another process goes on listening.
    pub(crate) fn keep(&self) {
        self.owner.store(NOBODY, Relaxed);
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
