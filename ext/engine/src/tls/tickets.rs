//! Session tickets (RFC 5077; RFC 8446, section 4.6.1) that every thread and process of one program understands.
//!
//! All keys come from one random secret. Processes that share the secret, and the clock of the machine, change to the
//! next key at the same moment without telling each other: each period's secret is derived from that of the period
//! before, which is then erased. So a secret that leaks opens no ticket older than the period before its own.

use std::fmt;
use std::sync::{OnceLock, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, rand};
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

/// Seconds after which the key changes. A ticket is accepted under its own key and for one period more.
const PERIOD: u64 = 12 * 60 * 60;

/// Periods that may be skipped one by one. More have passed only if the clock is not that of the secret's machine.
const MAX_STEPS: u64 = 1 << 20;

const SECRET_LEN: usize = 32;

type Secret = Zeroizing<[u8; SECRET_LEN]>;

/// The keys of one program: those of this period and of the one before.
pub struct TicketKeys(RwLock<Keys>);

struct Keys {
    current: PeriodKey,
    previous: Option<PeriodKey>,
    /// Keys under which this process issued tickets before it got the secret of an earlier process.
    replaced: Option<PeriodKey>,
}

struct PeriodKey {
    period: u64,
    secret: Secret,
    key: LessSafeKey,
}

impl PeriodKey {
    fn new(period: u64, secret: Secret) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; SECRET_LEN]);
        derive(&secret, b"proxymachine ticket key", &mut bytes)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*bytes).ok()?);
        Some(Self { period, secret, key })
    }

    /// Returns the key of the next period.
    fn next(&self) -> Option<Self> {
        let mut secret = Secret::default();
        derive(&self.secret, b"proxymachine next period", &mut secret)?;
        Self::new(self.period + 1, secret)
    }

    /// Returns a ticket: the period, a nonce, and the sealed session.
    fn seal(&self, context: &[u8; 32], session: &[u8]) -> Option<Vec<u8>> {
        let mut ticket = Vec::with_capacity(PREFIX_LEN + session.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&self.period.to_be_bytes());
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(session);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag =
            self.key.seal_in_place_separate_tag(nonce, Aad::from(context), &mut ticket[PREFIX_LEN..]).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    /// Returns the session of a ticket; None if the ticket is of another key or another context.
    fn open(&self, context: &[u8; 32], ticket: &[u8]) -> Option<Vec<u8>> {
        let (period, rest) = ticket.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        if u64::from_be_bytes(*period) != self.period {
            return None;
        }
        let mut session = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = self.key.open_in_place(nonce, Aad::from(context), &mut session).ok()?.len();
        session.truncate(len);
        Some(session)
    }
}

/// Bytes of a ticket before the sealed session.
const PREFIX_LEN: usize = size_of::<u64>() + NONCE_LEN;

impl Keys {
    fn random(now: u64) -> Option<Self> {
        let mut secret = Secret::default();
        // From getrandom(2), since every start makes a secret, also without TLS, and the first random number of aws-lc
        // takes 40 ms.
        getrandom(&mut secret[..], GetRandomFlags::empty()).ok()?;
        let current = PeriodKey::new(now / PERIOD, secret)?;
        Some(Self { current, previous: None, replaced: None })
    }

    /// Changes to the keys of the current period, and erases older ones.
    fn advance(&mut self, now: u64) -> Option<()> {
        let period = now / PERIOD;
        if period.saturating_sub(self.current.period) > MAX_STEPS {
            *self = Self::random(now)?;
        }
        while self.current.period < period {
            let next = self.current.next()?;
            self.previous = Some(std::mem::replace(&mut self.current, next));
            if self.replaced.as_ref().is_some_and(|replaced| replaced.period + 1 < self.current.period) {
                self.replaced = None;
            }
        }
        Some(())
    }
}

impl TicketKeys {
    /// Returns the keys of this process. They are random, unless a process before has left its own.
    ///
    /// Processes that are forked after the first call share the keys.
    ///
    /// # Panics
    /// Panics if the system has no random bytes.
    pub fn shared() -> &'static Self {
        static KEYS: OnceLock<TicketKeys> = OnceLock::new();
        KEYS.get_or_init(|| Self::random(boot_seconds()).expect("random bytes"))
    }

    fn random(now: u64) -> Option<Self> {
        Some(Self(RwLock::new(Keys::random(now)?)))
    }

    /// Changes to the keys of the current period. Issuing a ticket does so by itself; a process that issues none calls
    /// this, so that it forgets old secrets.
    pub fn rotate(&self) {
        self.advance(boot_seconds());
    }

    fn advance(&self, now: u64) {
        let is_due = self.0.read().unwrap_or_else(PoisonError::into_inner).current.period < now / PERIOD;
        if is_due {
            // Without random bytes or memory the keys stay as they are.
            let _ = self.0.write().unwrap_or_else(PoisonError::into_inner).advance(now);
        }
    }

    /// Returns the secrets for the process that takes over, as text: hexadecimal digits. They go over a pipe that no other
    /// process can read, and into no log.
    #[must_use]
    pub fn export(&self) -> Zeroizing<String> {
        self.rotate();
        self.text()
    }

    fn text(&self) -> Zeroizing<String> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = Zeroizing::new(String::with_capacity(3 * (2 * SECRET_LEN + 20)));
        for key in [Some(&keys.current), keys.previous.as_ref()].into_iter().flatten() {
            text.push_str(&format!("{:x}:", key.period));
            for byte in &*key.secret {
                text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or_default());
                text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or_default());
            }
            text.push(' ');
        }
        text
    }

    /// Takes over the secrets of the process before. Returns whether the text has any.
    pub fn import(&self, text: &str) -> bool {
        let mut imported = text.split_ascii_whitespace().map(parse);
        let Some(Some(current)) = imported.next() else { return false };
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let own = std::mem::replace(&mut keys.current, current);
        keys.previous = imported.next().flatten();
        keys.replaced = Some(own);
        true
    }

    fn encrypt(&self, now: u64, context: &[u8; 32], session: &[u8]) -> Option<Vec<u8>> {
        self.advance(now);
        self.0.read().unwrap_or_else(PoisonError::into_inner).current.seal(context, session)
    }

    fn decrypt(&self, now: u64, context: &[u8; 32], ticket: &[u8]) -> Option<Vec<u8>> {
        self.advance(now);
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let all = [Some(&keys.current), keys.previous.as_ref(), keys.replaced.as_ref()];
        all.into_iter().flatten().find_map(|key| key.open(context, ticket))
    }
}

fn parse(text: &str) -> Option<PeriodKey> {
    let (period, digits) = text.split_once(':')?;
    let mut secret = Secret::default();
    if digits.len() != 2 * SECRET_LEN || !digits.is_ascii() {
        return None;
    }
    for (byte, index) in secret.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[index..index + 2], 16).ok()?;
    }
    PeriodKey::new(u64::from_str_radix(period, 16).ok()?, secret)
}

/// Derives bytes from a secret (HKDF, RFC 5869).
fn derive(secret: &Secret, purpose: &[u8], out: &mut [u8; SECRET_LEN]) -> Option<()> {
    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &**secret);
    prk.expand(&[purpose], hkdf::HKDF_SHA256).ok()?.fill(out).ok()
}

/// Returns the seconds since the machine started: a clock that all processes share and that no administrator sets.
fn boot_seconds() -> u64 {
    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or_default()
}

/// Issues and accepts the tickets of sessions that have a context in common.
pub struct Ticketer {
    context: [u8; 32],
}

impl Ticketer {
    /// Creates a ticketer. A ticket of another context is not accepted.
    #[must_use]
    pub fn new(context: [u8; 32]) -> Self {
        Self { context }
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(PERIOD).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        TicketKeys::shared().encrypt(boot_seconds(), &self.context, session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        TicketKeys::shared().decrypt(boot_seconds(), &self.context, ticket)
    }
}

/// Shows no secret.
impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

/// Computes the digest of several values.
pub struct Digester(digest::Context);

impl Digester {
    /// Begins a digest. Digests for different purposes differ.
    #[must_use]
    pub fn new(purpose: &str) -> Self {
        let mut digester = Self(digest::Context::new(&digest::SHA256));
        digester.add(purpose.as_bytes());
        digester
    }

    /// Adds a value. Its length is added, too, so that two values differ from one that is both.
    pub fn add(&mut self, value: &[u8]) {
        self.0.update(&(value.len() as u64).to_be_bytes());
        self.0.update(value);
    }

    /// Returns the digest.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: [u8; 32] = [1; 32];

    fn keys(now: u64) -> TicketKeys {
        TicketKeys::random(now).unwrap()
    }

    #[test]
    fn ticket_is_accepted_in_its_period_and_in_the_next() {
        let keys = keys(PERIOD - 1);
        let ticket = keys.encrypt(PERIOD - 1, &CONTEXT, b"session").unwrap();
        for now in [PERIOD - 1, PERIOD, 2 * PERIOD - 1] {
            assert_eq!(keys.decrypt(now, &CONTEXT, &ticket).as_deref(), Some(&b"session"[..]), "{now}");
        }
        assert_eq!(keys.decrypt(2 * PERIOD, &CONTEXT, &ticket), None);
    }

    #[test]
    fn ticket_of_another_context_or_damaged_is_not_accepted() {
        let keys = keys(0);
        let ticket = keys.encrypt(0, &CONTEXT, b"session").unwrap();
        assert_eq!(keys.decrypt(0, &[2; 32], &ticket), None);
        for index in 0..ticket.len() {
            let mut damaged = ticket.clone();
            damaged[index] ^= 1;
            assert_eq!(keys.decrypt(0, &CONTEXT, &damaged), None, "{index}");
            assert_eq!(keys.decrypt(0, &CONTEXT, &ticket[..index]), None, "{index}");
        }
    }

    #[test]
    fn tickets_of_equal_sessions_differ() {
        let keys = keys(0);
        let [one, other] = [(); 2].map(|()| keys.encrypt(0, &CONTEXT, b"session").unwrap());
        assert_ne!(one, other);
    }

    #[test]
    fn processes_that_share_a_secret_change_keys_alike() {
        let old = keys(0);
        let ticket = old.encrypt(PERIOD, &CONTEXT, b"session").unwrap();
        let new = keys(0);
        let own = new.encrypt(PERIOD, &CONTEXT, b"own").unwrap();
        assert!(new.import(&old.text()));
        assert_eq!(new.decrypt(PERIOD, &CONTEXT, &ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(new.decrypt(PERIOD, &CONTEXT, &own).as_deref(), Some(&b"own"[..]));
        // Neither tells the other, and both skip periods.
        let later = old.encrypt(5 * PERIOD, &CONTEXT, b"later").unwrap();
        assert_eq!(new.decrypt(5 * PERIOD, &CONTEXT, &later).as_deref(), Some(&b"later"[..]));
        assert_eq!(new.decrypt(5 * PERIOD, &CONTEXT, &ticket), None);
        assert_eq!(new.decrypt(5 * PERIOD, &CONTEXT, &own), None);
    }

    #[test]
    fn predecessors_tickets_of_the_period_before_are_accepted() {
        let (old, new) = (keys(0), keys(0));
        let ticket = old.encrypt(0, &CONTEXT, b"session").unwrap();
        old.advance(PERIOD);
        assert!(new.import(&old.text()));
        assert_eq!(new.decrypt(PERIOD, &CONTEXT, &ticket).as_deref(), Some(&b"session"[..]));
    }

    #[test]
    fn text_that_has_no_secrets_changes_nothing() {
        let keys = keys(0);
        let ticket = keys.encrypt(0, &CONTEXT, b"session").unwrap();
        for text in ["", "0", "0:00", "x:".repeat(3).as_str(), &format!("0:{}", "é".repeat(32))] {
            assert!(!keys.import(text), "{text}");
        }
        assert!(keys.decrypt(0, &CONTEXT, &ticket).is_some());
    }

    #[test]
    fn clock_that_is_set_back_changes_nothing() {
        let keys = keys(9 * PERIOD);
        let ticket = keys.encrypt(9 * PERIOD, &CONTEXT, b"session").unwrap();
        assert!(keys.decrypt(0, &CONTEXT, &ticket).is_some());
    }
}
