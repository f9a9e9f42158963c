//! The pcapng format (draft-ietf-opsawg-pcapng): blocks of 32-bit words, each with its length at
//! both ends.

use std::io::{self, Write};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const LINKTYPE_ETHERNET: u16 = 1;
/// The longest packet that Wireshark reads.
const SNAP_LENGTH: u32 = 262_144;

const OPTION_END: u16 = 0;
const OPTION_INTERFACE_NAME: u16 = 2;
const OPTION_TIMESTAMP_RESOLUTION: u16 = 9;
const OPTION_PACKET_FLAGS: u16 = 2;

/// Timestamps count units of 10 to the power of minus this.
const NANOSECONDS: u8 = 9;

/// Which way a captured frame went.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    fn flags(self) -> u32 {
        match self {
            Self::Inbound => 1,
            Self::Outbound => 2,
        }
    }
}

/// A block being put together.
#[derive(Debug, Default)]
struct Block(Vec<u8>);

impl Block {
    fn start(&mut self, kind: u32) {
        self.0.clear();
        self.word(kind);
        self.word(0);
    }

    fn half(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn word(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.half(code);
        self.half(u16::try_from(value.len()).unwrap_or(0));
        self.bytes(value);
    }

    fn end(&mut self) -> io::Result<&[u8]> {
        let length = u32::try_from(self.0.len() + 4).map_err(io::Error::other)?;
        self.word(length);
        self.0[4..8].copy_from_slice(&length.to_le_bytes());
        Ok(&self.0)
    }
}

/// A pcapng file being written, in one section.
#[derive(Debug)]
pub(super) struct PcapngWriter<W> {
    output: W,
    block: Block,
    interfaces: u32,
}

impl<W: Write> PcapngWriter<W> {
    /// Begins the file.
    pub(super) fn new(mut output: W) -> io::Result<Self> {
        let mut block = Block::default();
        block.start(SECTION_HEADER);
        block.word(BYTE_ORDER_MAGIC);
        block.half(1);
        block.half(0);
        // The length of the section is not known: minus one, in 64 bits.
        block.word(u32::MAX);
        block.word(u32::MAX);
        output.write_all(block.end()?)?;
        Ok(Self {
            output,
            block,
            interfaces: 0,
        })
    }

    /// Describes one more interface and says its number.
    pub(super) fn interface(&mut self, name: &str) -> io::Result<u32> {
        let block = &mut self.block;
        block.start(INTERFACE_DESCRIPTION);
        block.half(LINKTYPE_ETHERNET);
        block.half(0);
        block.word(SNAP_LENGTH);
        block.option(OPTION_INTERFACE_NAME, name.as_bytes());
        block.option(OPTION_TIMESTAMP_RESOLUTION, &[NANOSECONDS]);
        block.option(OPTION_END, &[]);
        self.output.write_all(block.end()?)?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    /// Writes one frame, `nanos` after the epoch of Unix.
    pub(super) fn packet(
        &mut self,
        interface: u32,
        nanos: u64,
        direction: Direction,
        frame: &[u8],
    ) -> io::Result<()> {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let block = &mut self.block;
        block.start(ENHANCED_PACKET);
        block.word(interface);
        let [high, low] = [nanos >> 32, nanos & u64::from(u32::MAX)];
        block.word(u32::try_from(high).map_err(io::Error::other)?);
        block.word(u32::try_from(low).map_err(io::Error::other)?);
        block.word(length);
        block.word(length);
        block.bytes(frame);
        block.option(OPTION_PACKET_FLAGS, &direction.flags().to_le_bytes());
        block.option(OPTION_END, &[]);
        self.output.write_all(block.end()?)
    }

    /// Hands everything written so far to the system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    /// The blocks of a file by type, checked for equal lengths at both ends.
    fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let length = word(file, 4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(file, length - 4) as usize, length);
            blocks.push((word(file, 0), &file[8..length - 4]));
            file = &file[length..];
        }
        blocks
    }

    #[test]
    fn a_file_holds_its_interfaces_and_frames() {
        let mut file = Vec::new();
        let mut writer = PcapngWriter::new(&mut file).unwrap();
        assert_eq!(writer.interface("link0").unwrap(), 0);
        assert_eq!(writer.interface("a").unwrap(), 1);
        let nanos = 0x0123_4567_89ab_cdef;
        writer
            .packet(1, nanos, Direction::Outbound, &[1, 2, 3, 4, 5])
            .unwrap();
        writer
            .packet(0, nanos, Direction::Inbound, &[9; 65_589])
            .unwrap();
        writer.flush().unwrap();
        let blocks = blocks(&file);
        let kinds: Vec<u32> = blocks.iter().map(|block| block.0).collect();
        assert_eq!(
            kinds,
            [
                SECTION_HEADER,
                INTERFACE_DESCRIPTION,
                INTERFACE_DESCRIPTION,
                ENHANCED_PACKET,
                ENHANCED_PACKET,
            ]
        );
        assert_eq!(word(blocks[0].1, 0), BYTE_ORDER_MAGIC);
        let body = blocks[3].1;
        assert_eq!(
            [0, 4, 8, 12, 16].map(|at| word(body, at)),
            [1, 0x0123_4567, 0x89ab_cdef, 5, 5]
        );
        assert_eq!(body[20..28], [1, 2, 3, 4, 5, 0, 0, 0]);
        assert_eq!(word(body, 32), 2, "outbound");
        assert_eq!(word(blocks[4].1, 12), 65_589);
    }
}
