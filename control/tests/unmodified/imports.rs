//! What programs call: no function of theirs that has to do with descriptors goes past the library.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::preload::library;

/// Functions of the C library that read, write, wait for, copy, close or ask about descriptors, or end
/// or replace a process that has some, or install handlers that may.
const CONCERNED: &str = "\
    socket bind listen accept accept4 connect shutdown getsockname getpeername setsockopt getsockopt \
    read write readv writev preadv2 pwritev2 preadv64v2 pwritev64v2 send recv sendto recvfrom sendmsg \
    recvmsg sendmmsg recvmmsg __read_chk __recv_chk __recvfrom_chk sockatmark sendfile sendfile64 splice \
    close close_range closefrom dup dup2 dup3 fcntl fcntl64 ioctl poll ppoll __poll_chk __ppoll_chk \
    select pselect epoll_ctl epoll_wait epoll_pwait epoll_pwait2 fdopen fclose dprintf vdprintf \
    __dprintf_chk __vdprintf_chk execl execlp execle execv execve execvp execvpe fexecve execveat _exit \
    _Exit __read __write __send __close __dup2 __connect __fcntl __select sigaction signal bsd_signal \
    sysv_signal __sysv_signal ssignal sigset";

/// Programs of the tests, and what they do their input and output by.
const PROGRAMS: [&str; 14] = [
    "/usr/sbin/nginx",
    "/usr/bin/curl",
    "/usr/bin/python3",
    "/usr/bin/redis-server",
    "/usr/bin/redis-cli",
    "/usr/bin/redis-benchmark",
    "/usr/bin/iperf3",
    "/usr/bin/wrk",
    "/lib/x86_64-linux-gnu/libcurl.so.4",
    "/lib/x86_64-linux-gnu/libiperf.so.0",
    "/lib/x86_64-linux-gnu/libevent_core-2.1.so.7",
    "/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/lib/x86_64-linux-gnu/libssl.so.3",
    "/lib/x86_64-linux-gnu/libnghttp2.so.14",
];

/// The dynamic symbols of a file that are defined there, or not, without their versions.
fn symbols(file: &Path, which: &str) -> BTreeSet<String> {
    let output = Command::new("nm")
        .args(["-D", which])
        .arg(file)
        .output()
        .expect("this test needs nm of binutils");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .filter_map(|name| name.split('@').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_function_concerned_is_the_librarys() {
    let ours = symbols(&library(), "--defined-only");
    let concerned: BTreeSet<&str> = CONCERNED.split_whitespace().collect();
    // The others need instructions of x86-64.
    let elsewhere = !cfg!(target_arch = "x86_64");
    let missing: Vec<_> = concerned
        .iter()
        .filter(|name| !ours.contains(**name))
        .filter(|name| {
            let variadic = ["dprintf", "__dprintf_chk", "execl", "execlp", "execle"];
            !(elsewhere && variadic.contains(name))
        })
        .collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
}

/// Names that look as if they were concerned: a new one is to be judged, and listed here or served.
#[test]
fn programs_call_nothing_else_that_could_be_concerned() {
    let looks = [
        "sock",
        "recv",
        "send",
        "poll",
        "select",
        "accept",
        "connect",
        "splice",
        "exec",
        "dprintf",
        "closefrom",
        "close_range",
        "fdopen",
        "readv",
        "writev",
    ];
    // A pair is the kernel's; directories; what waits for processes and threads; a name's own.
    let harmless = [
        "socketpair",
        "fdopendir",
        "epoll_create",
        "epoll_create1",
        "preadv",
        "preadv64",
        "pwritev",
        "pwritev64",
        "process_vm_readv",
        "process_vm_writev",
    ];
    let of_c_library = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.is_file());
    let Some(of_c_library) = of_c_library else {
        eprintln!("skipped: the C library is somewhere else");
        return;
    };
    let of_c_library = symbols(of_c_library, "--defined-only");
    let ours = symbols(&library(), "--defined-only");
    let mut seen = 0;
    for program in PROGRAMS.map(Path::new).iter().filter(|path| path.is_file()) {
        let past: Vec<String> = symbols(program, "--undefined-only")
            .into_iter()
            .filter(|name| {
                of_c_library.contains(name) && looks.iter().any(|part| name.contains(part))
            })
            .filter(|name| {
                seen += usize::from(ours.contains(name));
                !ours.contains(name) && !harmless.contains(&name.as_str())
            })
            .collect();
        assert!(past.is_empty(), "{} calls {past:?}", program.display());
    }
    assert!(seen > 0, "no program of these is installed");
}
