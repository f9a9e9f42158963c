//! Second names of functions in glibc, by which old programs call them. `__poll` is not among them:
//! by that name `braid_socket` reaches the C library's own, past ours.

use super::{descriptors, options, poll, sockets, stream};
use libc::{c_int, c_long, c_void, fd_set, size_t, sockaddr, socklen_t, ssize_t, timeval};

macro_rules! aliases {
    ($($alias:ident = $function:path, ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $alias($($argument: $type),*) -> $result {
                // SAFETY: the caller's promise.
                unsafe { $function($($argument),*) }
            }
        )*
    };
}

aliases! {
    __read = stream::read, (fd: c_int, buffer: *mut c_void, count: size_t) -> ssize_t;
    __write = stream::write, (fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t;
    __send = stream::send, (fd: c_int, buffer: *const c_void, count: size_t, flags: c_int) -> ssize_t;
    __close = descriptors::close, (fd: c_int) -> c_int;
    __dup2 = descriptors::dup2, (fd: c_int, to: c_int) -> c_int;
    __connect = sockets::connect, (fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int;
    __fcntl = options::fcntl, (fd: c_int, command: c_int, argument: c_long) -> c_int;
    __select = poll::select, (count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int;
}
