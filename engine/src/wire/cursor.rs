//! Reading and writing of big-endian fields, one after the other, that cannot run past the end.

use super::{EmitError, ParseError};

/// Reads fields from the front of a slice.
#[derive(Copy, Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], ParseError> {
        let (slice, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(slice)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ParseError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ParseError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ParseError> {
        self.array().map(u64::from_be_bytes)
    }
}

/// Writes fields to the front of a slice.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(super) const fn new(buffer: &'a mut [u8]) -> Self {
        Self { rest: buffer }
    }

    pub(super) fn array<const N: usize>(&mut self, array: [u8; N]) -> Result<(), EmitError> {
        self.slice(&array)
    }

    pub(super) fn slice(&mut self, slice: &[u8]) -> Result<(), EmitError> {
        let (front, rest) = core::mem::take(&mut self.rest)
            .split_at_mut_checked(slice.len())
            .ok_or(EmitError::BufferTooShort)?;
        front.copy_from_slice(slice);
        self.rest = rest;
        Ok(())
    }

    /// Fills the next `count` bytes with `byte`.
    pub(super) fn repeat(&mut self, byte: u8, count: usize) -> Result<(), EmitError> {
        let (front, rest) = core::mem::take(&mut self.rest)
            .split_at_mut_checked(count)
            .ok_or(EmitError::BufferTooShort)?;
        front.fill(byte);
        self.rest = rest;
        Ok(())
    }

    pub(super) fn u8(&mut self, value: u8) -> Result<(), EmitError> {
        self.array(value.to_be_bytes())
    }

    pub(super) fn u16(&mut self, value: u16) -> Result<(), EmitError> {
        self.array(value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> Result<(), EmitError> {
        self.array(value.to_be_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> Result<(), EmitError> {
        self.array(value.to_be_bytes())
    }
}
