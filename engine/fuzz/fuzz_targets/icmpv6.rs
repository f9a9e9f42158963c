//! ICMPv6 messages with their checksum put right: quoted datagrams, neighbour discovery.
#![no_main]

use braid_engine::wire::ParseError;
use braid_engine::wire::icmpv6::{Icmpv6, emit_echo};
use braid_engine_fuzz::{PSEUDO_HEADER, mend_checksum};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut message = bytes.to_vec();
    let start = PSEUDO_HEADER.sum(message.len());
    mend_checksum(&mut message, 2, start);
    let parsed = Icmpv6::parse(&message, &PSEUDO_HEADER);
    assert_ne!(parsed, Err(ParseError::Checksum));
    let mut written = vec![0; message.len().max(64)];
    let length = match parsed {
        Ok(Icmpv6::Echo(echo)) => emit_echo(&echo, &PSEUDO_HEADER, &mut written),
        Ok(Icmpv6::Neighbour(neighbour)) => neighbour.emit(&PSEUDO_HEADER, &mut written),
        _ => return,
    };
    let length = length.expect("the buffer is long enough");
    assert_eq!(Icmpv6::parse(&written[..length], &PSEUDO_HEADER), parsed);
});
