//! Buffers, timeouts and the fields of IP, changed while data flows.

use crate::stack_support::{Side, v4};
use crate::{BOTH, Flow, on_all};
use braid_engine::socket::SocketError;
use braid_engine::stack::MAX_BUFFER;
use braid_engine::time::Duration;
use std::cell::RefCell;
use std::rc::Rc;

#[test]
fn buffers_shrink_and_grow_under_a_flow_of_data() {
    for from in BOTH {
        let (mut network, pair) = on_all(2);
        let to = match from {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let mut flow = Flow::new(from, pair, 4_000_000);
        for (step, size) in [16 << 10, 8 << 20, 64 << 10, 1 << 20]
            .into_iter()
            .enumerate()
        {
            flow.run_to(&mut network, 300_000 * (step + 1));
            let now = network.now;
            let sender = &mut network.host(from).stack;
            sender.set_send_buffer(now, pair.of(from), size).unwrap();
            let settings = sender.connection_settings(pair.of(from)).unwrap();
            assert_eq!(settings.send_buffer, size);
            let receiver = &mut network.host(to).stack;
            receiver.set_receive_buffer(now, pair.of(to), size).unwrap();
            let settings = receiver.connection_settings(pair.of(to)).unwrap();
            assert_eq!(settings.receive_buffer, size);
        }
        flow.finish(&mut network);
        for side in BOTH {
            assert_eq!(network.host(side).counter("MPTcpExtDataBeyondWindow"), 0);
        }
    }
}

#[test]
fn a_larger_send_buffer_wakes_its_writer() {
    let (mut network, pair) = on_all(1);
    network.run_for(Duration::from_millis(100));
    let now = network.now;
    let client = &mut network.client.stack;
    client.set_send_buffer(now, pair.client, 1).unwrap();
    let bytes = vec![7; 1 << 20];
    // The least there is.
    assert_eq!(client.send(now, pair.client, &bytes), Ok(8 << 10));
    assert_eq!(
        client.send(now, pair.client, &bytes),
        Err(SocketError::WouldBlock)
    );
    while client.poll_event().is_some() {}
    client.set_send_buffer(now, pair.client, 1 << 20).unwrap();
    let writable = braid_engine::stack::Event::Writable(pair.client);
    assert_eq!(client.poll_event(), Some(writable));
    assert!(client.send(now, pair.client, &bytes).unwrap() > 900_000);
    client
        .set_receive_buffer(now, pair.client, u32::MAX)
        .unwrap();
    let settings = client.connection_settings(pair.client).unwrap();
    assert_eq!(settings.receive_buffer, MAX_BUFFER);
}

#[test]
fn a_user_timeout_set_later_holds_for_subflows_there_are() {
    for side in BOTH {
        let (mut network, pair) = on_all(2);
        let timeout = Duration::from_secs(3);
        let now = network.now;
        let stack = &mut network.host(side).stack;
        stack
            .set_user_timeout(now, pair.of(side), Some(timeout))
            .unwrap();
        let settings = stack.connection_settings(pair.of(side)).unwrap();
        assert_eq!(settings.user_timeout, Some(timeout));
        assert_eq!(stack.send(now, pair.of(side), b"into the dark"), Ok(13));
        network.filter = Box::new(|_, _| false);
        let start = network.now;
        network.run_until(Duration::from_secs(20), |network| {
            network.host(side).stack.subflows(pair.of(side)).is_empty()
        });
        let taken = network.now.saturating_since(start);
        assert!((3..8).contains(&taken.as_secs()), "{taken:?}");
    }
}

#[test]
fn packets_carry_the_hop_limit_and_traffic_class_that_were_set() {
    let (mut network, pair) = on_all(2);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    network.filter = Box::new(move |side, sent| {
        if side == Side::Server && sent.bytes[12..14] == [8, 0] {
            log.borrow_mut().push((sent.bytes[15], sent.bytes[22]));
        }
        true
    });
    let now = network.now;
    let server = &mut network.server.stack;
    server.set_hop_limit(pair.server, Some(7)).unwrap();
    server.set_traffic_class(pair.server, 0xbb).unwrap();
    assert_eq!(
        server.set_hop_limit(pair.server, Some(0)),
        Err(SocketError::InvalidArgument)
    );
    assert!(server.set_nodelay(now, pair.server, true).is_ok());
    Flow::new(Side::Server, pair, 50_000).finish(&mut network);
    assert!(seen.borrow().len() > 10);
    assert!(
        seen.borrow().iter().all(|fields| *fields == (0xb8, 7)),
        "{:?}",
        seen.borrow()
    );
    assert!(network.server.stack.owns(v4(Side::Server, 0)));
}
