//! Unmodified programs under `braid exec`, with the kernel's behaviour as the oracle: each program in
//! `programs` runs once on this kernel's sockets and once on the engine's, and must print the same.

mod death;
#[expect(dead_code, reason = "the tests of the engine's sockets use more of it")]
#[path = "../sockets/support/engine.rs"]
mod engine;
mod far;
mod imports;
#[expect(dead_code, reason = "the tests of the engine's sockets use more of it")]
#[path = "../sockets/support/namespaces.rs"]
mod namespaces;
mod oracle;
#[path = "../sockets/support/preload.rs"]
mod preload;
mod strict;

use oracle::same_as_kernel;

/// One test for each program, named after it.
macro_rules! programs {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                same_as_kernel(stringify!($name));
            }
        )*
    };
}

programs! {
    accept_limit cancel close_range copies dup dup_over epoll_changes epoll_edge epoll_ends epoll_fair epoll_handler
    epoll_kept epoll_list epoll_masked epoll_nested epoll_none epoll_race epoll_readers epoll_renumbered epoll_same epoll_seen epoll_shared
    epoll_truth exec execl fork handler handler_sets listener listener_shutdown more names options passing pingpong
    poll_ends printed reconnect select_many send_queue spawn states streams threads vfork
}
