//! Waiting without the GVL, and everything else that is unsafe about threads and Ruby.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Once, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use magnus::rb_sys::{AsRawValue, FromRawValue, protect};
use magnus::{Error, Module, RHash, Ruby, StaticSymbol, Value};
use rb_sys::{
    Qnil, RB_NOGVL_INTR_FAIL, RB_NOGVL_UBF_ASYNC_SAFE, VALUE, rb_hash_aref, rb_nogvl, rb_thread_alone,
    rb_thread_check_ints,
};

/// Before 3.3, Ruby leaves hearing signals to one of its other threads if there are any, and forgets
/// a thread that waits in native code when the last of them ends. So then it looks up now and again.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Whether this is such a Ruby.
static DEAF: AtomicBool = AtomicBool::new(true);

/// Looks which Ruby this is.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let version: String = ruby.class_object().const_get("RUBY_VERSION")?;
    DEAF.store(matches!(version.get(..3), Some("3.1" | "3.2")), Ordering::Relaxed);
    Ok(())
}

/// A wake-up call for one Ruby thread, always the same one, that waits without the GVL.
///
/// Whoever waits looks at its own conditions before it waits again, so a needless call does no
/// harm. That is why Ruby may use it to interrupt the wait: for a signal, `Thread#kill`, `at_exit`.
#[derive(Default)]
pub struct Signal {
    raised: AtomicBool,
    waiter: OnceLock<Thread>,
    /// Its thread need not hear signals, as others do.
    is_for_work: bool,
}

impl Signal {
    /// For a thread that only works.
    pub fn for_work() -> Self {
        Self { is_for_work: true, ..Self::default() }
    }

    /// Wakes the waiter, now or when it next waits. Lock-free, from any thread.
    pub fn raise(&self) {
        // SeqCst pairs with wait(): either it sees `raised`, or it has parked and is unparked.
        self.raised.store(true, Ordering::SeqCst);
        if let Some(waiter) = self.waiter.get() {
            waiter.unpark();
        }
    }

    /// Waits for a call, for at most `limit`. The GVL is free meanwhile.
    ///
    /// # Errors
    /// What Ruby wants to happen in this thread instead: an exception that a trap or
    /// `Thread#raise` raised, or the end of the thread.
    pub fn wait(&self, limit: Option<Duration>) -> Result<(), Error> {
        self.waiter.get_or_init(thread::current);
        // SAFETY: on a Ruby thread with the GVL.
        let deaf = !self.is_for_work && DEAF.load(Ordering::Relaxed) && unsafe { rb_thread_alone() } == 0;
        let limit = if deaf { Some(limit.map_or(LOOK_UP, |limit| limit.min(LOOK_UP))) } else { limit };
        without_gvl(&Wait { signal: self, limit });
        check_interrupts()
    }

    /// Must not panic: it is called from C.
    fn park(&self, limit: Option<Duration>) {
        if !self.raised.swap(false, Ordering::SeqCst) {
            match limit {
                Some(limit) => thread::park_timeout(limit),
                None => thread::park(),
            }
            self.raised.store(false, Ordering::SeqCst);
        }
    }
}

/// Runs what Ruby has in mind for this thread: traps, `Thread#raise`, `Thread#kill`.
///
/// # Errors
/// Their exceptions and jumps.
pub fn check_interrupts() -> Result<(), Error> {
    protect(|| {
        // SAFETY: on a Ruby thread with the GVL; its exceptions and jumps end at protect().
        unsafe { rb_thread_check_ints() };
        Qnil.into()
    })?;
    Ok(())
}

struct Wait<'a> {
    signal: &'a Signal,
    limit: Option<Duration>,
}

/// Waits without the GVL, or not at all when Ruby wants this thread for something else first.
fn without_gvl(wait: &Wait<'_>) {
    unsafe extern "C" fn park(wait: *mut c_void) -> *mut c_void {
        // SAFETY: `wait` is the caller's, which outlives this call.
        let wait = unsafe { &*wait.cast::<Wait<'_>>() };
        wait.signal.park(wait.limit);
        ptr::null_mut()
    }

    unsafe extern "C" fn unblock(wait: *mut c_void) {
        // SAFETY: `wait` is the caller's, which outlives the wait. raise() cannot panic.
        unsafe { &*wait.cast::<Wait<'_>>() }.signal.raise();
    }

    // INTR_FAIL: interrupts are not run in there, where they could jump over our frames.
    // UBF_ASYNC_SAFE: unblock() may be called in a signal handler; otherwise Ruby 3.1 creates a thread
    // for it, at each wait.
    const FLAGS: u32 = RB_NOGVL_INTR_FAIL | RB_NOGVL_UBF_ASYNC_SAFE;

    let data = ptr::from_ref(wait).cast_mut().cast();
    // SAFETY: on a Ruby thread with the GVL; both functions only read their data, which outlives the call.
    unsafe { rb_nogvl(Some(park), data, Some(unblock), data, FLAGS as i32) };
}

/// The values of several keys of a plain Hash, under one protection: setting that up costs more than
/// the look-ups.
///
/// # Errors
/// What a default block of the Hash raises.
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

/// Runs `start`, whose threads will hear no signal. Signals are Ruby's business, which handles them on
/// its own threads; and a SIGPIPE, which splice(2) raises, must not reach a handler of the config.
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

static FORKS: AtomicU64 = AtomicU64::new(0);

/// How often the process has been forked since the first call, seen from the child: a number that
/// changes tells that the native threads are gone.
pub fn generation() -> u64 {
    static WATCH: Once = Once::new();

    unsafe extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    unsafe extern "C" fn in_parent() {
        proxymachine_engine::process_forked();
    }

    WATCH.call_once(|| {
        // SAFETY: the handlers only touch an atomic, which is safe in a forked child. They live as long
        // as the process, since Ruby never unloads an extension.
        unsafe { libc::pthread_atfork(None, Some(in_parent), Some(in_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}
