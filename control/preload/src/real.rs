//! The functions behind ours, found once by dlsym(3) with RTLD_NEXT, so that other preloaded libraries
//! keep their turn. Before that, and where the C library lacks one, the system call itself.

use libc::{
    c_char, c_int, c_long, c_uint, c_ulong, c_void, epoll_event, fd_set, iovec, mmsghdr, msghdr,
    nfds_t, off_t, pid_t, pollfd, sigaction as action, sighandler_t, sigset_t, size_t, sockaddr,
    socklen_t, ssize_t, timespec, timeval,
};
use std::ffi::CStr;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Bytes of the kernel's signal set, as ppoll and its like are told.
const KERNEL_SIGSET: size_t = 8;

/// A stream of stdio.
pub(crate) type File = libc::FILE;

/// What a function is given of a `va_list`: on x86-64 and on 64-bit ARM a pointer.
pub(crate) type VaList = c_void;

/// ioctl: whether the next byte is the urgent one.
pub(crate) const SIOCATMARK: c_ulong = 0x8905;

macro_rules! system_call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the caller's promise; the system call takes the same arguments. The type is that of
        // the function around it.
        unsafe { libc::syscall(libc::$number $(, $argument)*) as _ }
    };
}

macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty { $otherwise:expr })*) => {
        #[derive(Debug)]
        struct Table { $($name: AtomicPtr<c_void>,)* }

        static TABLE: Table = Table { $($name: AtomicPtr::new(ptr::null_mut()),)* };

        /// Finds them all. Called once, before main().
        pub(crate) fn resolve() {
            $(
                // SAFETY: the name ends with a zero byte.
                let name = unsafe {
                    CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes())
                };
                // SAFETY: dlsym reads the name only.
                let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
                TABLE.$name.store(found, Ordering::Release);
            )*
            for behind in [&EXECL, &EXECLP, &EXECLE] {
                behind.find();
            }
        }

        $(
            /// The function of this name behind ours.
            ///
            /// # Safety
            ///
            /// That of the function.
            pub(crate) unsafe fn $name($($argument: $type),*) -> $result {
                let found = TABLE.$name.load(Ordering::Acquire);
                if found.is_null() {
                    return $otherwise;
                }
                // SAFETY: the C library declares the function so. Those with `...` take the one
                // argument there as they would take a named one, on every architecture of Linux
                // that Braid runs on.
                let function = unsafe {
                    mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn($($type),*) -> $result>(found)
                };
                // SAFETY: the caller's promise.
                unsafe { function($($argument),*) }
            }
        )*
    };
}

functions! {
    socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
        system_call!(SYS_socket, domain, kind, protocol)
    }
    bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        system_call!(SYS_bind, fd, address, length)
    }
    listen(fd: c_int, backlog: c_int) -> c_int { system_call!(SYS_listen, fd, backlog) }
    accept4(fd: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int {
        system_call!(SYS_accept4, fd, address, length, flags)
    }
    connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        system_call!(SYS_connect, fd, address, length)
    }
    shutdown(fd: c_int, how: c_int) -> c_int { system_call!(SYS_shutdown, fd, how) }
    getsockname(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
        system_call!(SYS_getsockname, fd, address, length)
    }
    getpeername(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
        system_call!(SYS_getpeername, fd, address, length)
    }
    setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, length: socklen_t) -> c_int {
        system_call!(SYS_setsockopt, fd, level, name, value, length)
    }
    getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut socklen_t) -> c_int {
        system_call!(SYS_getsockopt, fd, level, name, value, length)
    }
    read(fd: c_int, buffer: *mut c_void, count: size_t) -> ssize_t {
        system_call!(SYS_read, fd, buffer, count)
    }
    write(fd: c_int, buffer: *const c_void, count: size_t) -> ssize_t {
        system_call!(SYS_write, fd, buffer, count)
    }
    readv(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
        system_call!(SYS_readv, fd, vector, count)
    }
    writev(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t {
        system_call!(SYS_writev, fd, vector, count)
    }
    preadv2(fd: c_int, vector: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t {
        system_call!(SYS_preadv2, fd, vector, count, offset, 0, flags)
    }
    pwritev2(fd: c_int, vector: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t {
        system_call!(SYS_pwritev2, fd, vector, count, offset, 0, flags)
    }
    recvfrom(fd: c_int, buffer: *mut c_void, count: size_t, flags: c_int, address: *mut sockaddr, length: *mut socklen_t) -> ssize_t {
        system_call!(SYS_recvfrom, fd, buffer, count, flags, address, length)
    }
    recv(fd: c_int, buffer: *mut c_void, count: size_t, flags: c_int) -> ssize_t {
        system_call!(SYS_recvfrom, fd, buffer, count, flags, 0, 0)
    }
    sendto(fd: c_int, buffer: *const c_void, count: size_t, flags: c_int, address: *const sockaddr, length: socklen_t) -> ssize_t {
        system_call!(SYS_sendto, fd, buffer, count, flags, address, length)
    }
    send(fd: c_int, buffer: *const c_void, count: size_t, flags: c_int) -> ssize_t {
        system_call!(SYS_sendto, fd, buffer, count, flags, 0, 0)
    }
    recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
        system_call!(SYS_recvmsg, fd, message, flags)
    }
    sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
        system_call!(SYS_sendmsg, fd, message, flags)
    }
    recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int {
        system_call!(SYS_recvmmsg, fd, messages, count, flags, timeout)
    }
    sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
        system_call!(SYS_sendmmsg, fd, messages, count, flags)
    }
    __read_chk(fd: c_int, buffer: *mut c_void, count: size_t, size: size_t) -> ssize_t {
        { let _ = size; system_call!(SYS_read, fd, buffer, count) }
    }
    __recv_chk(fd: c_int, buffer: *mut c_void, count: size_t, size: size_t, flags: c_int) -> ssize_t {
        { let _ = size; system_call!(SYS_recvfrom, fd, buffer, count, flags, 0, 0) }
    }
    __recvfrom_chk(fd: c_int, buffer: *mut c_void, count: size_t, size: size_t, flags: c_int, address: *mut sockaddr, length: *mut socklen_t) -> ssize_t {
        { let _ = size; system_call!(SYS_recvfrom, fd, buffer, count, flags, address, length) }
    }
    __poll_chk(entries: *mut pollfd, count: nfds_t, timeout: c_int, size: size_t) -> c_int {
        { let _ = size; system_call!(SYS_poll, entries, count, timeout) }
    }
    __ppoll_chk(entries: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, size: size_t) -> c_int {
        { let _ = size; system_call!(SYS_ppoll, entries, count, timeout, mask, KERNEL_SIGSET) }
    }
    close(fd: c_int) -> c_int { system_call!(SYS_close, fd) }
    close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        system_call!(SYS_close_range, first, last, flags)
    }
    dup(fd: c_int) -> c_int { system_call!(SYS_dup, fd) }
    dup2(fd: c_int, to: c_int) -> c_int { system_call!(SYS_dup2, fd, to) }
    dup3(fd: c_int, to: c_int, flags: c_int) -> c_int { system_call!(SYS_dup3, fd, to, flags) }
    fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
        system_call!(SYS_fcntl, fd, command, argument)
    }
    ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
        system_call!(SYS_ioctl, fd, request, argument)
    }
    sendfile(out: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t {
        system_call!(SYS_sendfile, out, from, offset, count)
    }
    splice(from: c_int, from_offset: *mut off_t, to: c_int, to_offset: *mut off_t, count: size_t, flags: c_uint) -> ssize_t {
        system_call!(SYS_splice, from, from_offset, to, to_offset, count, flags)
    }
    poll(entries: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
        system_call!(SYS_poll, entries, count, timeout)
    }
    ppoll(entries: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        // The kernel writes the rest of the time into its argument.
        {
            // SAFETY: the caller's promise.
            let mut copy = unsafe { timeout.as_ref() }.copied();
            let timeout = copy.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
            system_call!(SYS_ppoll, entries, count, timeout, mask, KERNEL_SIGSET)
        }
    }
    select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int {
        system_call!(SYS_select, count, read, write, except, timeout)
    }
    pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        {
            // SAFETY: the caller's promise.
            let mut copy = unsafe { timeout.as_ref() }.copied();
            let timeout = copy.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
            let mask = [mask as usize, KERNEL_SIGSET];
            system_call!(SYS_pselect6, count, read, write, except, timeout, mask.as_ptr())
        }
    }
    epoll_create(size: c_int) -> c_int { system_call!(SYS_epoll_create, size) }
    epoll_create1(flags: c_int) -> c_int { system_call!(SYS_epoll_create1, flags) }
    epoll_ctl(set: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
        system_call!(SYS_epoll_ctl, set, operation, fd, event)
    }
    epoll_wait(set: c_int, events: *mut epoll_event, count: c_int, timeout: c_int) -> c_int {
        system_call!(SYS_epoll_wait, set, events, count, timeout)
    }
    epoll_pwait(set: c_int, events: *mut epoll_event, count: c_int, timeout: c_int, mask: *const sigset_t) -> c_int {
        system_call!(SYS_epoll_pwait, set, events, count, timeout, mask, KERNEL_SIGSET)
    }
    epoll_pwait2(set: c_int, events: *mut epoll_event, count: c_int, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        system_call!(SYS_epoll_pwait2, set, events, count, timeout, mask, KERNEL_SIGSET)
    }
    sigaction(signal: c_int, new: *const action, old: *mut action) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { __sigaction(signal, new, old) }
    }
    signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        early_handler(signal, handler, libc::SA_RESTART)
    }
    bsd_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        early_handler(signal, handler, libc::SA_RESTART)
    }
    ssignal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        early_handler(signal, handler, libc::SA_RESTART)
    }
    sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        early_handler(signal, handler, libc::SA_RESETHAND | libc::SA_NODEFER)
    }
    __sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        early_handler(signal, handler, libc::SA_RESETHAND | libc::SA_NODEFER)
    }
    sigset(signal: c_int, handler: sighandler_t) -> sighandler_t {
        early_handler(signal, handler, 0)
    }
    execve(path: *const c_char, arguments: *const *const c_char, environment: *const *const c_char) -> c_int {
        system_call!(SYS_execve, path, arguments, environment)
    }
    execv(path: *const c_char, arguments: *const *const c_char) -> c_int {
        no_such_function(path, arguments)
    }
    execvp(file: *const c_char, arguments: *const *const c_char) -> c_int {
        no_such_function(file, arguments)
    }
    execvpe(file: *const c_char, arguments: *const *const c_char, environment: *const *const c_char) -> c_int {
        { let _ = environment; no_such_function(file, arguments) }
    }
    fexecve(fd: c_int, arguments: *const *const c_char, environment: *const *const c_char) -> c_int {
        system_call!(SYS_execveat, fd, c"".as_ptr(), arguments, environment, libc::AT_EMPTY_PATH)
    }
    execveat(directory: c_int, path: *const c_char, arguments: *const *const c_char, environment: *const *const c_char, flags: c_int) -> c_int {
        system_call!(SYS_execveat, directory, path, arguments, environment, flags)
    }
    posix_spawn(child: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, arguments: *const *const c_char, environment: *const *const c_char) -> c_int {
        { let _ = (child, path, actions, attributes, arguments, environment); libc::ENOSYS }
    }
    posix_spawnp(child: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void, arguments: *const *const c_char, environment: *const *const c_char) -> c_int {
        { let _ = (child, file, actions, attributes, arguments, environment); libc::ENOSYS }
    }
    _exit(status: c_int) -> () {
        { let _: c_long = system_call!(SYS_exit_group, status); }
    }
    fdopen(fd: c_int, mode: *const c_char) -> *mut File {
        { let _ = (fd, mode); ptr::null_mut() }
    }
    fclose(file: *mut File) -> c_int { no_stream(file) }
    vdprintf(fd: c_int, format: *const c_char, list: *mut VaList) -> c_int {
        { let _ = (fd, list); no_such_function(format, ptr::null()) }
    }
    __vdprintf_chk(fd: c_int, flag: c_int, format: *const c_char, list: *mut VaList) -> c_int {
        { let _ = (fd, flag, list); no_such_function(format, ptr::null()) }
    }
    sockatmark(fd: c_int) -> c_int {
        { let mut at_mark: c_int = 0; let failed: c_int = system_call!(SYS_ioctl, fd, SIOCATMARK, &raw mut at_mark);
          if failed < 0 { failed } else { at_mark } }
    }
}

/// A function with `...` behind ours: it is never called, only jumped to.
#[derive(Debug)]
pub(crate) struct Behind {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

/// execl(3).
pub(crate) static EXECL: Behind = Behind::new(c"execl");
/// execlp(3).
pub(crate) static EXECLP: Behind = Behind::new(c"execlp");
/// execle(3).
pub(crate) static EXECLE: Behind = Behind::new(c"execle");

impl Behind {
    const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            found: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn find(&self) {
        // SAFETY: dlsym reads the name only.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.found.store(found, Ordering::Release);
    }

    /// Where it begins, or something that fails with ENOSYS.
    pub(crate) fn address(&self) -> *const c_void {
        if self.found.load(Ordering::Acquire).is_null() {
            // A constructor of another library, before ours.
            self.find();
        }
        let found = self.found.load(Ordering::Acquire);
        if found.is_null() {
            missing as extern "C" fn() -> c_int as *const c_void
        } else {
            found
        }
    }
}

extern "C" fn missing() -> c_int {
    no_such_function(ptr::null(), ptr::null())
}

unsafe extern "C" {
    /// sigaction(2) by the C library's own name for it, which no preloaded library stands before.
    fn __sigaction(signal: c_int, new: *const action, old: *mut action) -> c_int;
}

/// signal(2), by a constructor of another library, before ours.
fn early_handler(signal: c_int, handler: sighandler_t, flags: c_int) -> sighandler_t {
    // SAFETY: all-zero is a valid action; both are live.
    unsafe {
        let mut old: action = mem::zeroed();
        let new = action {
            sa_sigaction: handler,
            sa_flags: flags,
            ..old
        };
        if __sigaction(signal, &raw const new, &raw mut old) < 0 {
            libc::SIG_ERR
        } else {
            old.sa_sigaction
        }
    }
}

fn no_such_function(_: *const c_char, _: *const *const c_char) -> c_int {
    crate::outcome::set_errno(libc::ENOSYS);
    -1
}

fn no_stream(_: *mut File) -> c_int {
    crate::outcome::set_errno(libc::ENOSYS);
    -1
}
