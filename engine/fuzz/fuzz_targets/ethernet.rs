//! Ethernet frames, and ARP and IP within them.
#![no_main]

use braid_engine::wire::IpPacket;
use braid_engine::wire::arp::ArpPacket;
use braid_engine::wire::ethernet::{EtherType, EthernetHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let Ok((header, start)) = EthernetHeader::parse(frame) else {
        assert!(frame.len() < EthernetHeader::LEN);
        return;
    };
    let mut written = [0; EthernetHeader::LEN];
    assert_eq!(header.emit(&mut written), Ok(start));
    assert_eq!(written, frame[..start]);
    let payload = &frame[start..];
    if header.ether_type == EtherType::Arp
        && let Ok(packet) = ArpPacket::parse(payload)
    {
        let mut written = [0; ArpPacket::LEN];
        assert_eq!(packet.emit(&mut written), Ok(ArpPacket::LEN));
        assert_eq!(written, payload[..ArpPacket::LEN]);
    }
    if let Ok(packet) = IpPacket::parse(header.ether_type, payload) {
        assert!(payload.get(packet.payload).is_some());
    }
});
