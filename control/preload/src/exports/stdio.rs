//! Streams of stdio over sockets, and dprintf(3). The C library reads and writes its own streams by
//! internal calls that nobody sees, so a socket of the engine, and one that may yet become the
//! engine's, gets a stream with functions of ours (fopencookie(3)).

use super::{descriptors, is_ours, stream};
use crate::candidate;
use crate::outcome::{answer, check, set_errno};
use crate::real::{self, File, VaList};
use braid_socket::{Errno, calls};
use libc::{c_char, c_int, c_void, off64_t, size_t, ssize_t};
use std::mem::offset_of;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// `cookie_io_functions_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Functions {
    read: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut c_char, size_t) -> ssize_t>,
    write: Option<unsafe extern "C-unwind" fn(*mut c_void, *const c_char, size_t) -> ssize_t>,
    seek: Option<unsafe extern "C-unwind" fn(*mut c_void, *mut off64_t, c_int) -> c_int>,
    close: Option<unsafe extern "C-unwind" fn(*mut c_void) -> c_int>,
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
    fn __fpending(file: *mut File) -> size_t;
    fn __fpurge(file: *mut File);
    fn fwide(file: *mut File, mode: c_int) -> c_int;
    fn vasprintf(text: *mut *mut c_char, format: *const c_char, list: *mut VaList) -> c_int;
    fn __vasprintf_chk(
        text: *mut *mut c_char,
        flag: c_int,
        format: *const c_char,
        list: *mut VaList,
    ) -> c_int;
    static mut stdin: *mut File;
    static mut stdout: *mut File;
    static mut stderr: *mut File;
}

/// The cookie is the descriptor itself.
fn number(cookie: *mut c_void) -> RawFd {
    RawFd::try_from(cookie.addr()).unwrap_or(-1)
}

// The functions go by what the descriptor is at the time: a candidate may have become the engine's, and
// 0 to 2 may have become anything.

unsafe extern "C-unwind" fn read_stream(
    cookie: *mut c_void,
    into: *mut c_char,
    count: size_t,
) -> ssize_t {
    // SAFETY: the C library passes a buffer of its own.
    unsafe { stream::read(number(cookie), into.cast(), count) }
}

unsafe extern "C-unwind" fn write_stream(
    cookie: *mut c_void,
    from: *const c_char,
    count: size_t,
) -> ssize_t {
    let mut written = 0;
    while written < count {
        // SAFETY: the C library passes a buffer of its own, of which this is the rest.
        let sent =
            unsafe { stream::write(number(cookie), from.add(written).cast(), count - written) };
        match usize::try_from(sent) {
            Ok(sent) if sent > 0 => written += sent,
            // Less than all of it is a failure to the C library.
            _ => break,
        }
    }
    written.cast_signed()
}

/// As on every socket; the C library then goes on without (fflush(3) between reading and writing).
unsafe extern "C-unwind" fn seek_stream(_: *mut c_void, _: *mut off64_t, _: c_int) -> c_int {
    set_errno(libc::ESPIPE);
    -1
}

unsafe extern "C-unwind" fn close_stream(cookie: *mut c_void) -> c_int {
    // SAFETY: no pointer is passed.
    unsafe { descriptors::close(number(cookie)) }
}

const FUNCTIONS: Functions = Functions {
    read: Some(read_stream),
    write: Some(write_stream),
    seek: Some(seek_stream),
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
unsafe extern "C-unwind" fn fdopen(fd: c_int, mode: *const c_char) -> *mut File {
    if is_ours(fd) || candidate::may_be(fd) {
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
unsafe extern "C-unwind" fn fclose(file: *mut File) -> c_int {
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

/// The standard streams that have functions of ours.
static REPLACED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// The descriptor has become a socket of the engine. If it is one of the standard streams', that
/// stream gets functions of ours, and what waited to be written in the one before.
pub(super) fn follow(fd: RawFd) {
    // SAFETY: the C library's own variables, which programs change by assignment as well.
    let (stream, mode) = match fd {
        libc::STDIN_FILENO => (&raw mut stdin, c"r"),
        libc::STDOUT_FILENO => (&raw mut stdout, c"w"),
        libc::STDERR_FILENO => (&raw mut stderr, c"w"),
        _ => return,
    };
    let replaced = usize::try_from(fd).ok().and_then(|fd| REPLACED.get(fd));
    if replaced.is_none_or(|replaced| replaced.swap(true, Ordering::Relaxed)) {
        return;
    }
    // SAFETY: the stream is open, or null; what is pending lies between its pointers.
    unsafe {
        let before = *stream;
        let new = open(fd, mode.as_ptr());
        if new.is_null() {
            return;
        }
        if fd == libc::STDERR_FILENO {
            libc::setvbuf(new, ptr::null_mut(), libc::_IONBF, 0);
            // A stream of bytes already: perror(3) would otherwise write to a copy of the descriptor.
            fwide(new, -1);
        }
        *stream = new;
        if !before.is_null() && mode == c"w" {
            let pending = __fpending(before);
            let [_, _, _, write_base, ..] = (*before.cast::<Stream>()).pointers;
            libc::fwrite(write_base.cast(), 1, pending, new);
            __fpurge(before);
        }
    }
}

/// Standard streams that were sockets of the engine when the program started (inetd(8)) get functions
/// of ours. Called once, before main().
pub(crate) fn replace_standard_streams() {
    for fd in libc::STDIN_FILENO..=libc::STDERR_FILENO {
        if is_ours(fd) {
            follow(fd);
        }
    }
}

/// A text that the C library has allocated.
struct Text(*mut c_char, usize);

impl Text {
    /// What `print` makes: where, and how many bytes. Errors: its own.
    fn new(print: impl FnOnce(*mut *mut c_char) -> c_int) -> Result<Self, Errno> {
        let mut text = ptr::null_mut();
        let length = check(print(&raw mut text))?;
        Ok(Self(text, usize::try_from(length).unwrap_or(0)))
    }

    /// Sends all of it, or fails. How many bytes that is.
    fn send(&self, fd: RawFd) -> Result<c_int, Errno> {
        let mut sent = 0;
        while sent < self.1 {
            // SAFETY: the C library has written that many bytes there.
            let rest = unsafe { crate::arguments::bytes(self.0.add(sent).cast(), self.1 - sent) }?;
            sent += calls::send_one(fd, rest, 0)?;
        }
        Ok(c_int::try_from(sent).unwrap_or(c_int::MAX))
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: it came from malloc(3), and is nobody else's.
        unsafe { libc::free(self.0.cast()) };
    }
}

/// dprintf(3) with a list. `variadic` has the other form.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn vdprintf(
    fd: c_int,
    format: *const c_char,
    list: *mut VaList,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            return answer(|| Text::new(|text| vasprintf(text, format, list))?.send(fd));
        }
        real::vdprintf(fd, format, list)
    }
}

/// The same as `_FORTIFY_SOURCE` has it.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn __vdprintf_chk(
    fd: c_int,
    flag: c_int,
    format: *const c_char,
    list: *mut VaList,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        if is_ours(fd) {
            return answer(|| {
                Text::new(|text| __vasprintf_chk(text, flag, format, list))?.send(fd)
            });
        }
        real::__vdprintf_chk(fd, flag, format, list)
    }
}
