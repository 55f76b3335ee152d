//! Reads from a buffer that may not be complete yet.

use std::ops::Range;

use crate::SniffError;

/// A read position in a buffer. Reads past the end return [`SniffError::Incomplete`].
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    /// Returns the position in the outermost cursor's buffer.
    pub fn position(&self) -> usize {
        self.position
    }

    pub fn rest(&self) -> &'a [u8] {
        &self.data[self.position..]
    }

    /// Returns the range of the rest in the outermost cursor's buffer.
    pub fn range(&self) -> Range<usize> {
        self.position..self.data.len()
    }

    pub fn is_empty(&self) -> bool {
        self.position == self.data.len()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], SniffError> {
        let taken = self.rest().get(..count).ok_or(SniffError::Incomplete)?;
        self.position += count;
        Ok(taken)
    }

    /// Takes `count` bytes, or the rest if it is shorter.
    pub fn take_up_to(&mut self, count: usize) -> &'a [u8] {
        let taken = &self.rest()[..count.min(self.rest().len())];
        self.position += taken.len();
        taken
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SniffError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, SniffError> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, SniffError> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, SniffError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes `count` bytes as a cursor of their own.
    pub fn sub_cursor(&mut self, count: usize) -> Result<Self, SniffError> {
        let start = self.position;
        self.take(count)?;
        Ok(Self { data: &self.data[..self.position], position: start })
    }

    /// Takes `expected`. The first byte that differs is a mismatch, even if the rest is shorter than
    /// `expected`.
    pub fn expect(&mut self, expected: &[u8]) -> Result<(), SniffError> {
        let rest = self.rest();
        let count = expected.len().min(rest.len());
        if rest[..count] != expected[..count] {
            return Err(SniffError::Mismatch);
        }
        self.take(expected.len()).map(drop)
    }

    /// Takes the bytes before `delimiter`, at most `max`, and drops `delimiter`.
    pub fn take_until(&mut self, delimiter: u8, max: usize) -> Result<&'a [u8], SniffError> {
        self.take_while(|byte| byte != delimiter, delimiter, max)
    }

    /// Takes bytes, at most `max`, while `accepted` returns true for them, and drops the `delimiter` after
    /// them. Any other byte after them is a mismatch.
    pub fn take_while(
        &mut self,
        accepted: impl Fn(u8) -> bool,
        delimiter: u8,
        max: usize,
    ) -> Result<&'a [u8], SniffError> {
        let rest = self.rest();
        match rest.iter().take(max + 1).position(|&byte| !accepted(byte)) {
            Some(length) if rest[length] == delimiter => {
                self.position += length + 1;
                Ok(&rest[..length])
            }
            None if rest.len() <= max => Err(SniffError::Incomplete),
            _ => Err(SniffError::Mismatch),
        }
    }
}
