//! IPv6 headers with extension headers.
#![no_main]

use braid_engine::wire::ipv6::Ipv6Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut datagram = bytes.to_vec();
    if datagram.len() >= Ipv6Header::LEN {
        // Version and length as they must be in three of four cases, so that the search goes to
        // what follows.
        let shape = datagram[4];
        datagram[0] = 0x60 | datagram[0] & 0xf;
        if shape % 4 != 0 {
            let length = (datagram.len() - Ipv6Header::LEN) as u16;
            datagram[4..6].copy_from_slice(&length.to_be_bytes());
        }
    }
    if let Ok((header, payload)) = Ipv6Header::parse(&datagram) {
        assert!(datagram.get(payload.clone()).is_some());
        let mut written = vec![0; Ipv6Header::LEN];
        assert_eq!(
            header.emit(payload.len(), &mut written),
            Ok(Ipv6Header::LEN)
        );
        written.resize(Ipv6Header::LEN + payload.len(), 0);
        let range = Ipv6Header::LEN..written.len();
        assert_eq!(Ipv6Header::parse(&written), Ok((header, range)));
    }
});
