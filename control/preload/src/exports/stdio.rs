//! Streams of stdio over sockets. The C library reads and writes its own streams by internal calls
//! that nobody sees, so a socket of the engine gets a stream with functions of ours (fopencookie(3)).

use super::is_ours;
use crate::outcome::{answer, check, set_errno};
use crate::real::{self, File};
use braid_socket::calls;
use libc::{c_char, c_int, c_void, off64_t, size_t, ssize_t};
use std::mem::offset_of;
use std::os::fd::RawFd;
use std::ptr;

/// `cookie_io_functions_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Functions {
    read: Option<unsafe extern "C" fn(*mut c_void, *mut c_char, size_t) -> ssize_t>,
    write: Option<unsafe extern "C" fn(*mut c_void, *const c_char, size_t) -> ssize_t>,
    seek: Option<unsafe extern "C" fn(*mut c_void, *mut off64_t, c_int) -> c_int>,
    close: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
}

/// The beginning of glibc's `struct _IO_FILE`, whose layout its ABI fixes (bits/types/struct_FILE.h).
#[repr(C)]
struct Stream {
    flags: c_int,
    pointers: [*mut c_char; 11],
    markers: *mut c_void,
    chain: *mut c_void,
    descriptor: c_int,
}

const _: () = assert!(offset_of!(Stream, descriptor) == 112);

unsafe extern "C" {
    fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: Functions) -> *mut File;
    static mut stdin: *mut File;
    static mut stdout: *mut File;
}

/// The cookie is the descriptor itself.
fn number(cookie: *mut c_void) -> RawFd {
    RawFd::try_from(cookie.addr()).unwrap_or(-1)
}

unsafe extern "C" fn read_stream(cookie: *mut c_void, into: *mut c_char, count: size_t) -> ssize_t {
    // SAFETY: the C library passes a buffer of its own.
    let into = unsafe { crate::arguments::room(into.cast(), count) };
    answer(|| calls::receive_one(number(cookie), into?, 0))
}

unsafe extern "C" fn write_stream(
    cookie: *mut c_void,
    from: *const c_char,
    count: size_t,
) -> ssize_t {
    // SAFETY: the C library passes a buffer of its own.
    let bytes = unsafe { crate::arguments::bytes(from.cast(), count) };
    let sent = answer(|| calls::send_one(number(cookie), bytes?, 0));
    // Of such a function 0 is the failure.
    sent.max(0)
}

unsafe extern "C" fn close_stream(cookie: *mut c_void) -> c_int {
    answer(|| calls::close(number(cookie)))
}

const FUNCTIONS: Functions = Functions {
    read: Some(read_stream),
    write: Some(write_stream),
    seek: None,
    close: Some(close_stream),
};

/// # Safety
///
/// `mode` is a string.
unsafe fn open(fd: RawFd, mode: *const c_char) -> *mut File {
    let cookie = ptr::without_provenance_mut(usize::try_from(fd).unwrap_or(usize::MAX));
    // SAFETY: the caller's promise; the functions live as long as the program.
    let file = unsafe { fopencookie(cookie, mode, FUNCTIONS) };
    if !file.is_null() {
        // For fileno(3). The functions of a cookie are given the cookie, and never look here.
        // SAFETY: the stream is new, and laid out so.
        unsafe { (*file.cast::<Stream>()).descriptor = fd };
    }
    file
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdopen(fd: c_int, mode: *const c_char) -> *mut File {
    if is_ours(fd) {
        // SAFETY: no pointer is passed.
        if let Err(errno) = check(unsafe { real::fcntl(fd, libc::F_GETFD, 0) }) {
            set_errno(errno.get());
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        return unsafe { open(fd, mode) };
    }
    // SAFETY: the caller's promise.
    unsafe { real::fdopen(fd, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fclose(file: *mut File) -> c_int {
    // The stream of a candidate or of an epoll set is closed behind our back.
    if !file.is_null() {
        // SAFETY: the caller's promise.
        let fd = unsafe { libc::fileno(file) };
        if fd >= 0 && !is_ours(fd) && !crate::process::borrows_memory() {
            if crate::candidate::may_be(fd) {
                crate::candidate::lock().remove(fd);
            }
            crate::epoll_sets::forget(fd);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { real::fclose(file) }
}

/// Standard input and output that were sockets of the engine when the program started (inetd(8)) get
/// streams of ours. Called once, before main().
pub(crate) fn replace_standard_streams() {
    // SAFETY: no other thread runs yet, and nobody has used the streams.
    unsafe {
        if is_ours(libc::STDIN_FILENO) {
            stdin = open(libc::STDIN_FILENO, c"r".as_ptr());
        }
        if is_ours(libc::STDOUT_FILENO) {
            stdout = open(libc::STDOUT_FILENO, c"w".as_ptr());
        }
    }
}
