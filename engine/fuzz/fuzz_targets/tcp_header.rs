//! TCP headers.
#![no_main]

use braid_engine::wire::tcp::TcpHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|segment: &[u8]| {
    if let Ok((header, header_len)) = TcpHeader::parse(segment) {
        assert!((20..=60).contains(&header_len) && header_len <= segment.len());
        let mut written = [0; 60];
        let length = header
            .emit(&mut written)
            .expect("what fitted once fits again");
        assert!(length <= header_len);
        if !braid_engine_fuzz::has_capable_of_version_0(&header.options) {
            assert_eq!(TcpHeader::parse(&written), Ok((header, length)));
        }
    }
});
