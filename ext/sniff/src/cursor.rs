//! Reads from bytes that may not all be there yet.

use std::ops::Range;

use crate::Miss;

/// A place in some bytes. Running out of them is [`Miss::Incomplete`].
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    pub fn rest(&self) -> &'a [u8] {
        &self.data[self.position..]
    }

    /// Where the rest is, in what the outermost cursor reads.
    pub fn range(&self) -> Range<usize> {
        self.position..self.data.len()
    }

    pub fn is_empty(&self) -> bool {
        self.position == self.data.len()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Miss> {
        let taken = self.rest().get(..count).ok_or(Miss::Incomplete)?;
        self.position += count;
        Ok(taken)
    }

    /// Takes as many of `count` bytes as there are.
    pub fn take_some(&mut self, count: usize) -> &'a [u8] {
        let taken = &self.rest()[..count.min(self.rest().len())];
        self.position += taken.len();
        taken
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Miss> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, Miss> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, Miss> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Miss> {
        self.array().map(u32::from_be_bytes)
    }

    /// A cursor of its own for the next `count` bytes.
    pub fn part(&mut self, count: usize) -> Result<Self, Miss> {
        let start = self.position;
        self.take(count)?;
        Ok(Self { data: &self.data[..self.position], position: start })
    }

    /// Takes these bytes; others are foreign, even before all are there.
    pub fn expect(&mut self, expected: &[u8]) -> Result<(), Miss> {
        let rest = self.rest();
        let count = expected.len().min(rest.len());
        if rest[..count] != expected[..count] {
            return Err(Miss::Foreign);
        }
        self.take(expected.len()).map(drop)
    }

    /// Takes what stands before `end`, and `end` itself. At most `longest` bytes may stand there.
    pub fn until(&mut self, end: u8, longest: usize) -> Result<&'a [u8], Miss> {
        let rest = self.rest();
        match rest.iter().take(longest + 1).position(|&byte| byte == end) {
            Some(length) => {
                self.position += length + 1;
                Ok(&rest[..length])
            }
            None if rest.len() > longest => Err(Miss::Foreign),
            None => Err(Miss::Incomplete),
        }
    }
}
