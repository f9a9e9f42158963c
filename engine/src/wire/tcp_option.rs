//! TCP options (RFC 9293 section 3.2; window scale and timestamps RFC 7323; SACK RFC 2018).

use super::EmitError;
use super::cursor::{Reader, Writer};
use super::mptcp_option::MptcpOption;
use super::tcp::TcpFlags;
use crate::sequence::SequenceNumber;
use arrayvec::ArrayVec;

/// The bytes that options can take in one segment.
pub const OPTION_SPACE: usize = 40;

/// At most this many MPTCP options are kept of one segment; further ones are ignored.
pub const MAX_MPTCP_OPTIONS: usize = 4;

/// A run of bytes that the receiver holds out of order: `start..end`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SackBlock {
    /// First sequence number of the run.
    pub start: SequenceNumber,
    /// The sequence number just past the run.
    pub end: SequenceNumber,
}

/// The timestamps option.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the clock value echoed; meaningful with ACK.
    pub echo: u32,
}

/// Every option of a segment that this implementation knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TcpOptions {
    /// Maximum segment size; on SYN only.
    pub maximum_segment_size: Option<u16>,
    /// Window scale shift, at most 14; on SYN only.
    pub window_scale: Option<u8>,
    /// SACK may be sent to the sender of this option; on SYN only.
    pub sack_permitted: bool,
    /// Blocks held out of order; the most recent first.
    pub sack: ArrayVec<SackBlock, 4>,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// The MPTCP options in the order of the segment.
    pub mptcp: ArrayVec<MptcpOption, MAX_MPTCP_OPTIONS>,
}

const KIND_END: u8 = 0;
const KIND_NO_OPERATION: u8 = 1;
const KIND_MAXIMUM_SEGMENT_SIZE: u8 = 2;
const KIND_WINDOW_SCALE: u8 = 3;
const KIND_SACK_PERMITTED: u8 = 4;
const KIND_SACK: u8 = 5;
const KIND_TIMESTAMPS: u8 = 8;
const KIND_MPTCP: u8 = 30;

/// The largest window scale (RFC 7323 section 2.3); a larger one counts as this.
const MAX_WINDOW_SCALE: u8 = 14;

const MAXIMUM_SEGMENT_SIZE_LEN: usize = 4;
const WINDOW_SCALE_LEN: usize = 3;
const SACK_PERMITTED_LEN: usize = 2;
const TIMESTAMPS_LEN: usize = 10;
const SACK_HEADER_LEN: usize = 2;
const SACK_BLOCK_LEN: usize = 8;

impl TcpOptions {
    /// Reads all options of a segment with these control bits.
    ///
    /// Never fails: unknown options and those of a wrong length are skipped, and a length that
    /// leads nowhere ends the reading. Options that have their place on a SYN only are read off
    /// any segment; receivers look at them on a SYN only.
    pub fn parse(bytes: &[u8], flags: TcpFlags) -> Self {
        let mut options = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some(kind) = reader.u8().ok().filter(|&kind| kind != KIND_END) {
            if kind == KIND_NO_OPERATION {
                continue;
            }
            let Ok(length) = reader.u8() else { break };
            let Some(content_len) = usize::from(length).checked_sub(2) else {
                break;
            };
            let Ok(content) = reader.slice(content_len) else {
                break;
            };
            options.read(kind, content, flags);
        }
        options
    }

    /// Takes in one option; one of a wrong length is left out.
    fn read(&mut self, kind: u8, content: &[u8], flags: TcpFlags) {
        match (kind, content) {
            (KIND_MAXIMUM_SEGMENT_SIZE, &[high, low]) => {
                self.maximum_segment_size = Some(u16::from_be_bytes([high, low]));
            }
            (KIND_WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
            (KIND_SACK_PERMITTED, &[]) => self.sack_permitted = true,
            (KIND_SACK, _) if content.len().is_multiple_of(SACK_BLOCK_LEN) => {
                self.read_sack(content);
            }
            (KIND_TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([a, b, c, d]),
                    echo: u32::from_be_bytes([e, f, g, h]),
                });
            }
            (KIND_MPTCP, _) => {
                if let Ok(option) = MptcpOption::parse(content, flags) {
                    // Past the limit the option is ignored, as MAX_MPTCP_OPTIONS states.
                    let _ = self.mptcp.try_push(option);
                }
            }
            _ => {}
        }
    }

    fn read_sack(&mut self, content: &[u8]) {
        self.sack.clear();
        for &[a, b, c, d, e, f, g, h] in content.as_chunks::<SACK_BLOCK_LEN>().0 {
            let block = SackBlock {
                start: SequenceNumber(u32::from_be_bytes([a, b, c, d])),
                end: SequenceNumber(u32::from_be_bytes([e, f, g, h])),
            };
            if self.sack.try_push(block).is_err() {
                break;
            }
        }
    }

    /// Bytes of all options without padding.
    fn unpadded_len(&self) -> usize {
        let fixed = |present: bool, length: usize| if present { length } else { 0 };
        fixed(
            self.maximum_segment_size.is_some(),
            MAXIMUM_SEGMENT_SIZE_LEN,
        ) + fixed(self.window_scale.is_some(), WINDOW_SCALE_LEN)
            + fixed(self.sack_permitted, SACK_PERMITTED_LEN)
            + fixed(self.timestamps.is_some(), TIMESTAMPS_LEN)
            + self.mptcp.iter().map(MptcpOption::len).sum::<usize>()
            + self.sack_len()
    }

    fn sack_len(&self) -> usize {
        match self.sack.len() {
            0 => 0,
            blocks => SACK_HEADER_LEN + blocks * SACK_BLOCK_LEN,
        }
    }

    /// Bytes that all options take in the header, padded to a multiple of 4.
    ///
    /// More than [`OPTION_SPACE`] cannot be emitted; whoever fills the options sees to it, by
    /// [`Self::sack_blocks_that_fit`] among others.
    pub fn len(&self) -> usize {
        self.unpadded_len().next_multiple_of(4)
    }

    /// True when the segment has no option.
    pub fn is_empty(&self) -> bool {
        self.unpadded_len() == 0
    }

    /// How many SACK blocks fit beside all other options, of those that are in `sack` or not.
    pub fn sack_blocks_that_fit(&self) -> usize {
        let others = self.unpadded_len() - self.sack_len();
        let room = OPTION_SPACE.saturating_sub(others + SACK_HEADER_LEN) / SACK_BLOCK_LEN;
        room.min(self.sack.capacity())
    }

    /// Writes all options to the front of `buffer` and returns [`Self::len`].
    ///
    /// Padding goes where it brings timestamps to a multiple of 4, the layout that fast paths of
    /// receivers look for (RFC 7323 appendix A), as far as it costs nothing; on a SYN the options
    /// then stand as Linux writes them.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let length = self.len();
        let mut padding = length - self.unpadded_len();
        let mut writer = Writer::new(buffer);
        if let Some(size) = self.maximum_segment_size {
            writer.array([KIND_MAXIMUM_SEGMENT_SIZE, MAXIMUM_SEGMENT_SIZE_LEN as u8])?;
            writer.u16(size)?;
        }
        if self.sack_permitted {
            writer.array([KIND_SACK_PERMITTED, SACK_PERMITTED_LEN as u8])?;
        }
        if let Some(timestamps) = self.timestamps {
            if !self.sack_permitted && padding >= 2 {
                writer.repeat(KIND_NO_OPERATION, 2)?;
                padding -= 2;
            }
            writer.array([KIND_TIMESTAMPS, TIMESTAMPS_LEN as u8])?;
            writer.u32(timestamps.value)?;
            writer.u32(timestamps.echo)?;
        }
        if let Some(shift) = self.window_scale {
            if padding > 0 {
                writer.u8(KIND_NO_OPERATION)?;
                padding -= 1;
            }
            writer.array([
                KIND_WINDOW_SCALE,
                WINDOW_SCALE_LEN as u8,
                shift.min(MAX_WINDOW_SCALE),
            ])?;
        }
        for option in &self.mptcp {
            option.write(&mut writer)?;
        }
        if !self.sack.is_empty() {
            writer.array([KIND_SACK, self.sack_len() as u8])?;
            for block in &self.sack {
                writer.u32(block.start.0)?;
                writer.u32(block.end.0)?;
            }
        }
        writer.repeat(KIND_NO_OPERATION, padding)?;
        Ok(length)
    }
}
