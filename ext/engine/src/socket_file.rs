//! The file of a Unix socket that listens.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The file of a Unix socket. It is removed with its last listener, unless another one took its place, or these are
/// the copies of a forked child.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    is_kept: AtomicBool,
    owner: u32,
}

impl SocketFile {
    pub(crate) fn at(path: &str) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let metadata = fs::symlink_metadata(&path)?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        Ok(Self { path, device, inode, is_kept: AtomicBool::new(false), owner: process::id() })
    }
}

impl SocketFile {
    /// Leaves it there in the end: another process goes on listening.
    pub(crate) fn keep(&self) {
        self.is_kept.store(true, Relaxed);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |file: fs::Metadata| (file.dev(), file.ino()) == (self.device, self.inode);
        let is_left = !self.is_kept.load(Relaxed) && self.owner == process::id();
        if is_left && fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
