//! The ends of a process, and its change into another program: what they close is closed in order.
//! Children come by fork(2), which `guarded` and `braid_socket` prepare for, by vfork(2), whose child
//! is known by `process::borrows_memory`, and by posix_spawn(3), whose child never comes by here: what
//! its exec keeps is told the kernel before.

use crate::outcome::aside;
use crate::process::{mark_all_orderly, mark_closed_by_exec};
use crate::{epoll_sets, real};
use libc::{c_char, c_int, c_void, pid_t};

type Strings = *const *const c_char;

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn execve(
    path: *const c_char,
    arguments: Strings,
    environment: Strings,
) -> c_int {
    aside(mark_closed_by_exec);
    // SAFETY: the caller's promise, here and below.
    unsafe { real::execve(path, arguments, environment) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn execv(path: *const c_char, arguments: Strings) -> c_int {
    aside(mark_closed_by_exec);
    // SAFETY: as above.
    unsafe { real::execv(path, arguments) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn execvp(file: *const c_char, arguments: Strings) -> c_int {
    aside(mark_closed_by_exec);
    // SAFETY: as above.
    unsafe { real::execvp(file, arguments) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn execvpe(
    file: *const c_char,
    arguments: Strings,
    environment: Strings,
) -> c_int {
    aside(mark_closed_by_exec);
    // SAFETY: as above.
    unsafe { real::execvpe(file, arguments, environment) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn fexecve(fd: c_int, arguments: Strings, environment: Strings) -> c_int {
    aside(mark_closed_by_exec);
    // SAFETY: as above.
    unsafe { real::fexecve(fd, arguments, environment) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn execveat(
    directory: c_int,
    path: *const c_char,
    arguments: Strings,
    environment: Strings,
    flags: c_int,
) -> c_int {
    aside(mark_closed_by_exec);
    // SAFETY: as above.
    unsafe { real::execveat(directory, path, arguments, environment, flags) }
}

macro_rules! spawns {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $name(
                child: *mut pid_t,
                path: *const c_char,
                actions: *const c_void,
                attributes: *const c_void,
                arguments: Strings,
                environment: Strings,
            ) -> c_int {
                aside(epoll_sets::share_over_exec);
                // SAFETY: as above.
                unsafe { real::$name(child, path, actions, attributes, arguments, environment) }
            }
        )*
    };
}

spawns! { posix_spawn posix_spawnp }

fn end(status: c_int) -> ! {
    mark_all_orderly();
    loop {
        // SAFETY: it ends the process.
        unsafe { real::_exit(status) };
    }
}

#[unsafe(no_mangle)]
extern "C-unwind" fn _exit(status: c_int) -> ! {
    end(status)
}

#[unsafe(no_mangle)]
extern "C-unwind" fn _Exit(status: c_int) -> ! {
    end(status)
}
