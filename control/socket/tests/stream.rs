//! A connection, blocking and not: what read(2), write(2) and their family promise (tcp(7)).

mod support;

use braid_socket::{BraidListener, BraidStream};
use std::io::{Read, Write};
use support::{address, connected, engine};

#[test]
fn bytes_go_both_ways_and_end() {
    let (mut client, mut server) = connected();
    client.write_all(b"question").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(server.read(&mut buffer).unwrap(), 8);
    assert_eq!(&buffer[..8], b"question");
    server.write_all(b"answer").unwrap();
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
    assert_eq!(client.read(&mut buffer).unwrap(), 0);
}

#[test]
fn names_are_those_of_the_connection() {
    engine();
    let address = address();
    let listener = BraidListener::bind(address).unwrap();
    let client = BraidStream::connect(address).unwrap();
    let (server, from) = listener.accept().unwrap();
    assert_eq!(client.peer_address().unwrap(), address);
    assert_eq!(server.local_address().unwrap(), address);
    assert_eq!(client.local_address().unwrap(), from);
    assert_eq!(listener.local_address().unwrap(), address);
}
