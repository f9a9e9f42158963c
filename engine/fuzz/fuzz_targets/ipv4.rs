//! IPv4 headers with their checksum put right.
#![no_main]

use braid_engine::wire::checksum::Sum;
use braid_engine::wire::ipv4::Ipv4Header;
use braid_engine_fuzz::mend_checksum;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut datagram = bytes.to_vec();
    let header_len = datagram
        .first()
        .map_or(0, |first| usize::from(first & 0xf) * 4);
    let header_len = header_len.min(datagram.len());
    mend_checksum(&mut datagram[..header_len], 10, Sum::ZERO);
    if let Ok((header, payload)) = Ipv4Header::parse(&datagram) {
        assert!(datagram.get(payload.clone()).is_some());
        let mut written = vec![0; Ipv4Header::LEN];
        assert_eq!(
            header.emit(payload.len(), &mut written),
            Ok(Ipv4Header::LEN)
        );
        written.resize(Ipv4Header::LEN + payload.len(), 0);
        let range = Ipv4Header::LEN..written.len();
        assert_eq!(Ipv4Header::parse(&written), Ok((header, range)));
    }
});
