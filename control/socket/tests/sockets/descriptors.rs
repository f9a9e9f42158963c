//! dup(2), numbers used again, and descriptors that this process does not know.

use crate::support::connected;
use braid_socket::{BraidStream, calls, descriptor};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

#[test]
fn a_copy_keeps_the_connection_open() {
    let (client, server) = connected();
    let copy = client.try_clone().unwrap();
    drop(client);
    (&copy).write_all(b"x").unwrap();
    assert_eq!((&server).read(&mut [0; 4]).unwrap(), 1);
    drop(copy);
    assert_eq!((&server).read(&mut [0; 4]).unwrap(), 0);
}

#[test]
fn a_number_used_again_is_the_new_socket() {
    let (client, server) = connected();
    let number = client.as_raw_fd();
    drop(client);
    assert!(descriptor::find(number).is_none());
    drop(server);
    for _ in 0..200 {
        let (client, server) = connected();
        (&client).write_all(b"y").unwrap();
        assert_eq!((&server).read(&mut [0; 4]).unwrap(), 1);
    }
}

#[test]
fn an_unknown_descriptor_is_recognised_by_its_peer() {
    let (client, server) = connected();
    (&client).write_all(b"before").unwrap();
    assert_eq!(server.peek(&mut [0; 8]).unwrap(), 6);
    // As after exec or SCM_RIGHTS: a descriptor, and no knowledge of it.
    let copy = server.as_fd().try_clone_to_owned().unwrap();
    assert!(descriptor::find(copy.as_raw_fd()).is_none());
    let adopted = BraidStream::from(copy);
    let mut buffer = [0; 16];
    assert_eq!((&adopted).read(&mut buffer).unwrap(), 6);
    assert_eq!(&buffer[..6], b"before");
    (&adopted).write_all(b"after").unwrap();
    assert_eq!((&client).read(&mut buffer).unwrap(), 5);
    drop(server);
    (&adopted).write_all(b"!").unwrap();
    assert_eq!((&client).read(&mut buffer).unwrap(), 1);
}

#[test]
fn dup_onto_a_socket_replaces_it() {
    let (client, server) = connected();
    let (other, _rest) = connected();
    let (from, onto) = (client.as_raw_fd(), other.into_raw_fd());
    // SAFETY: `onto` was given up by its owner.
    let replaced = unsafe { OwnedFd::from_raw_fd(onto) };
    calls::close_marks(onto);
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::dup2(from, onto) }, onto);
    descriptor::duplicate(from, onto).unwrap();
    let copy = BraidStream::from(replaced);
    (&copy).write_all(b"z").unwrap();
    assert_eq!((&server).read(&mut [0; 4]).unwrap(), 1);
}
