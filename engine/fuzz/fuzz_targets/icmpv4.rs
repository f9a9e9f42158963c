//! ICMP messages with their checksum put right, quoted datagrams among them.
#![no_main]

use braid_engine::wire::ParseError;
use braid_engine::wire::checksum::Sum;
use braid_engine::wire::icmpv4::{Icmpv4, emit_echo};
use braid_engine_fuzz::mend_checksum;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut message = bytes.to_vec();
    mend_checksum(&mut message, 2, Sum::ZERO);
    let parsed = Icmpv4::parse(&message);
    assert_ne!(parsed, Err(ParseError::Checksum));
    if let Ok(Icmpv4::Echo(echo)) = parsed {
        let mut written = vec![0; echo.len()];
        assert_eq!(emit_echo(&echo, &mut written), Ok(message.len()));
        assert_eq!(Icmpv4::parse(&written), parsed);
    }
});
