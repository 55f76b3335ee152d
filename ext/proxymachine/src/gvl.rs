//! Waits without the GVL, and holds all other unsafe code about threads and Ruby.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::Duration;

use magnus::rb_sys::{AsRawId, AsRawValue, FromRawValue, protect};
use magnus::value::LazyId;
use magnus::{Error, Module, RClass, RHash, Ruby, StaticSymbol, Value};
use rb_sys::{
    Qnil, RB_NOGVL_INTR_FAIL, RB_NOGVL_UBF_ASYNC_SAFE, VALUE, rb_hash_aref, rb_method_basic_definition_p,
    rb_nogvl, rb_thread_alone, rb_thread_check_ints,
};

use crate::parker::{POLL_INTERVAL, Parker};
use crate::{error, lock};

/// A thread that has panicked sends no wake-up.
const WORK_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Whether this Ruby needs `POLL_INTERVAL`. Ruby before 3.3 lets one of its other threads wait for signals if there are
/// any, and does not wake a thread that waits in native code when the last other thread ends.
static NEEDS_POLL: AtomicBool = AtomicBool::new(true);

/// Reads the version of Ruby.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let version: String = ruby.class_object().const_get("RUBY_VERSION")?;
    NEEDS_POLL.store(matches!(version.get(..3), Some("3.1" | "3.2")), Ordering::Relaxed);
    Ok(())
}

/// Wakes one Ruby thread, always the same one and on the same native thread, that waits without the GVL.
///
/// The thread checks its own conditions before it waits again, so that a spurious wake-up is harmless. Ruby
/// interrupts the wait in the same way: for a signal, `Thread#kill`, `at_exit`.
#[derive(Default)]
pub struct Wakeup {
    parker: Parker,
    /// Whether the thread belongs to the thread pool, which handles no signals.
    is_pool_thread: bool,
}

impl Wakeup {
    /// Returns a wake-up for a pool thread.
    pub fn for_pool_thread() -> Self {
        Self { is_pool_thread: true, ..Self::default() }
    }

    /// Wakes the thread now, or at its next wait. Lock-free; any thread may call `wake`.
    pub fn wake(&self) {
        self.parker.unpark();
    }

    /// Waits for a wake-up, for at most `limit`. Releases the GVL meanwhile.
    ///
    /// # Errors
    /// Returns an exception that a trap or `Thread#raise` raised in this thread, or the end of the thread.
    pub fn wait(&self, limit: Option<Duration>) -> Result<(), Error> {
        let needs_poll = !self.is_pool_thread
            && NEEDS_POLL.load(Ordering::Relaxed)
            // SAFETY: on a Ruby thread with the GVL.
            && unsafe { rb_thread_alone() } == 0;
        let limit = if needs_poll {
            Some(limit.map_or(POLL_INTERVAL, |limit| limit.min(POLL_INTERVAL)))
        } else {
            limit
        };
        without_gvl(&Wait { wakeup: self, limit });
        check_interrupts()
    }
}

/// Runs the pending interrupts of this thread: traps, `Thread#raise`, `Thread#kill`.
///
/// # Errors
/// Returns their exceptions and jumps.
pub fn check_interrupts() -> Result<(), Error> {
    protect(|| {
        // SAFETY: on a Ruby thread with the GVL; its exceptions and jumps end at protect().
        unsafe { rb_thread_check_ints() };
        Qnil.into()
    })?;
    Ok(())
}

struct Wait<'a> {
    wakeup: &'a Wakeup,
    limit: Option<Duration>,
}

/// Waits without the GVL. Returns at once if an interrupt is pending.
fn without_gvl(wait: &Wait<'_>) {
    unsafe extern "C" fn park(wait: *mut c_void) -> *mut c_void {
        // SAFETY: `wait` is the caller's, which outlives this call. park() cannot panic.
        let wait = unsafe { &*wait.cast::<Wait<'_>>() };
        wait.wakeup.parker.park(wait.limit);
        ptr::null_mut()
    }

    unsafe extern "C" fn unblock(wait: *mut c_void) {
        // SAFETY: `wait` is the caller's, which outlives the wait. wake() cannot panic.
        unsafe { &*wait.cast::<Wait<'_>>() }.wakeup.wake();
    }

    // INTR_FAIL: rb_nogvl() runs no interrupts, since their jumps would skip Rust frames. UBF_ASYNC_SAFE: a
    // signal handler may call unblock(). Without the flag, Ruby 3.1 creates a thread at each wait.
    const FLAGS: u32 = RB_NOGVL_INTR_FAIL | RB_NOGVL_UBF_ASYNC_SAFE;

    let data = ptr::from_ref(wait).cast_mut().cast();
    // SAFETY: on a Ruby thread with the GVL; both functions only read their data, which outlives the call.
    unsafe { rb_nogvl(Some(park), data, Some(unblock), data, FLAGS as i32) };
}

/// Returns the values of several keys of a plain Hash. One protect() covers all look-ups, since protect()
/// costs more than a look-up.
///
/// # Errors
/// Returns what a default block of the Hash raises.
pub fn hash_values<const N: usize>(hash: RHash, keys: [StaticSymbol; N]) -> Result<[Value; N], Error> {
    let mut values: [VALUE; N] = [Qnil.into(); N];
    protect(|| {
        for (value, key) in values.iter_mut().zip(keys) {
            // SAFETY: on a Ruby thread with the GVL; its exceptions and jumps end at protect(). The
            // garbage collector sees `values` on this thread's stack.
            *value = unsafe { rb_hash_aref(hash.as_raw(), key.as_raw()) };
        }
        Qnil.into()
    })?;
    // SAFETY: these are live Ruby values.
    Ok(values.map(|value| unsafe { Value::from_raw(value) }))
}

/// Tells whether nobody has defined the `inspect` of one of Ruby's classes anew.
pub fn has_rubys_inspect(class: RClass) -> bool {
    static INSPECT: LazyId = LazyId::new("inspect");
    let id = LazyId::get_inner_with(&INSPECT, &Ruby::get_with(class));
    // SAFETY: on a Ruby thread with the GVL, with a live class; the function only looks the method up.
    unsafe { rb_method_basic_definition_p(class.as_raw(), id.as_raw()) != 0 }
}

/// Runs `start` with all signals blocked; threads that `start` creates inherit the mask. Ruby handles signals
/// on its own threads, and a SIGPIPE that splice(2) raises must not reach a handler of the config.
pub fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset() initialises `all`; pthread_sigmask() reads it and initialises `before`.
    // Neither can fail with these arguments.
    let before = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    };
    let started = start();
    // SAFETY: `before` is the mask from above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut()) };
    started
}

/// Runs `work`, which may take long, on a thread of its own, and waits for the result without the GVL. If the wait is
/// interrupted, the thread goes on by itself and its result is dropped: neither a name server nor a file system that
/// does not answer holds up a signal or the end of the program.
///
/// # Errors
/// Returns an exception that a trap or `Thread#raise` raised in this thread, or the end of the thread.
pub fn without_holding_up<T: Send + 'static>(
    ruby: &Ruby,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let result = Arc::new((Mutex::new(None), Wakeup::default()));
    let worker = Arc::clone(&result);
    let run = move || {
        *lock(&worker.0) = Some(work());
        worker.1.wake();
    };
    let thread = without_signals(|| thread::Builder::new().name("proxymachine io".into()).spawn(run))
        .map_err(|error| error::start(ruby, &error.into()))?;
    loop {
        if let Some(result) = lock(&result.0).take() {
            let _ = thread.join(); // The thread ends now.
            return Ok(result);
        }
        if thread.is_finished() && lock(&result.0).is_none() {
            return Err(error::new(ruby, "StartError", "a thread has panicked"));
        }
        result.1.wait(Some(WORK_POLL_INTERVAL))?;
    }
}

static FORKS: AtomicU64 = AtomicU64::new(0);

/// Returns the number of forks between the first call and this process. If the number has changed, the
/// process is a forked child, in which the native threads do not exist.
pub fn generation() -> u64 {
    static WATCH: Once = Once::new();

    unsafe extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    unsafe extern "C" fn in_parent() {
        proxymachine_engine::process_forked();
    }

    WATCH.call_once(|| {
        // SAFETY: the handlers only touch an atomic, which is safe in a forked child. The handlers live as
        // long as the process, since Ruby never unloads an extension.
        unsafe { libc::pthread_atfork(None, Some(in_parent), Some(in_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}
