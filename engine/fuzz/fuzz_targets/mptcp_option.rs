//! MPTCP options; the first byte stands for the control bits of the segment.
#![no_main]

use braid_engine::wire::mptcp_option::MptcpOption;
use braid_engine::wire::tcp::TcpFlags;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, content)) = bytes.split_first() else {
        return;
    };
    let flags = TcpFlags::from_bits_retain(*flags);
    let Ok(option) = MptcpOption::parse(content, flags) else {
        return;
    };
    assert!(option.len() <= content.len() + 2, "nothing is made up");
    let mut written = vec![0; option.len()];
    assert_eq!(option.emit(&mut written), Ok(option.len()));
    if !matches!(option, MptcpOption::CapableSyn { version: 0, .. }) {
        assert_eq!(MptcpOption::parse(&written[2..], flags), Ok(option));
    }
});
