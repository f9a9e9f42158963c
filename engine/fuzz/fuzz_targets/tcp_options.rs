//! TCP options; the first byte stands for the control bits of the segment.
#![no_main]

use braid_engine::wire::tcp::TcpFlags;
use braid_engine::wire::tcp_option::TcpOptions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, bytes)) = bytes.split_first() else {
        return;
    };
    let flags = TcpFlags::from_bits_retain(*flags);
    let options = TcpOptions::parse(bytes, flags);
    let length = options.len();
    assert!(
        length <= bytes.len().next_multiple_of(4),
        "nothing is made up"
    );
    let mut written = vec![0; length];
    assert_eq!(options.emit(&mut written), Ok(length));
    if !braid_engine_fuzz::has_capable_of_version_0(&options) {
        assert_eq!(TcpOptions::parse(&written, flags), options);
    }
});
