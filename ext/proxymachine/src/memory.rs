//! The allocator: mimalloc (docs/design.md, Dependencies, gives the reason), and what happens when no memory is left.

pub use self::allocator::give_back;

/// AddressSanitizer brings an allocator of its own.
#[cfg(sanitized)]
mod allocator {
    /// Does nothing.
    pub fn give_back() {}
}

#[cfg(not(sanitized))]
#[allow(unsafe_code)] // an allocator
mod allocator {
    use std::alloc::{GlobalAlloc, Layout};

    #[global_allocator]
    static ALLOCATOR: OrExit<mimalloc::MiMalloc> = OrExit(mimalloc::MiMalloc);

    /// Gives freed memory back to the system: this thread's, that of threads that have ended, and what the allocator keeps for
    /// the whole process. The allocator does so by itself only while its threads go on to allocate. Takes milliseconds with
    /// 100,000 connections.
    pub fn give_back() {
        // SAFETY: any thread may call the function at any time outside of the allocator.
        unsafe {
            libmimalloc_sys::mi_collect(true);
        }
    }

    /// An allocator that ends the process in one sentence if the system gives no memory.
    struct OrExit<A>(A);

    // SAFETY: passes all calls on to an allocator, and returns what it returns unless that is null.
    unsafe impl<A: GlobalAlloc> GlobalAlloc for OrExit<A> {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's.
            or_exit(unsafe { self.0.alloc(layout) })
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's.
            or_exit(unsafe { self.0.alloc_zeroed(layout) })
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: the caller's.
            or_exit(unsafe { self.0.realloc(pointer, layout, size) })
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: the caller's.
            unsafe { self.0.dealloc(pointer, layout) }
        }
    }

    fn or_exit(pointer: *mut u8) -> *mut u8 {
        if pointer.is_null() { out_of_memory() } else { pointer }
    }

    /// Formats nothing, which might allocate.
    #[cold]
    fn out_of_memory() -> ! {
        const LINE: &[u8] =
            b"proxymachine: out of memory: raise the limit of the process (ulimit -v, MemoryMax=), or lower \
            max_connections\n";
        // SAFETY: the buffer is a constant; _exit runs no code of this process.
        unsafe {
            libc::write(libc::STDERR_FILENO, LINE.as_ptr().cast(), LINE.len());
            libc::_exit(1)
        }
    }
}
