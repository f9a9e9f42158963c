//! Numbers of the socket API, as `braid.h` has them.
//!
//! The draft (draft-scharf-mptcp-api-01) gives names and no numbers: its options start at 1001 here,
//! those of RFC 6897 at 1021, above all that Linux has at IPPROTO_TCP.

/// getpeername and getsockname on a multipath-aware socket (the draft's section 5.2). Above every
/// errno of the kernel.
pub const EMULTIPATH: i32 = 1000;
/// The draft's address family (section 5.3).
pub const AF_MULTIPATH: u16 = 262;
/// Linux's protocol number for MPTCP sockets.
pub const IPPROTO_MPTCP: i32 = 262;
/// Level of the draft's, RFC 6897's and TCP's options.
pub const IPPROTO_TCP: i32 = 6;
/// Level of Linux's MPTCP options.
pub const SOL_MPTCP: i32 = 284;

/// int, get and set: asks for MPTCP, makes the socket aware; get after connect: whether it is in use.
pub const TCP_MP_ENABLE: i32 = 1001;
/// [`tcp_mp_subflows_header`](super::options::tcp_mp_subflows_header) and entries, get.
pub const TCP_MP_SUBFLOWS: i32 = 1002;
/// int, get and set: 1 bulk, 2 latency with overflow, 3 latency with hot standby.
pub const TCP_MP_PROFILE: i32 = 1003;
/// array of sockaddr, get and set: local addresses that the connection may use.
pub const TCP_MP_ADDRESSES: i32 = 1004;
/// u32, get: the connection's local token.
pub const TCP_MP_CONNID: i32 = 1005;
/// int, get and set: most subflows.
pub const TCP_MP_MAX_SUBFLOWS: i32 = 1006;
/// string, get and set: the scheduler.
pub const TCP_MP_SCHEDULER: i32 = 1007;
/// [`tcp_mp_add_subflow`](super::options::tcp_mp_add_subflow), set.
pub const TCP_MP_ADD_SUBFLOW: i32 = 1008;
/// u32 id, set.
pub const TCP_MP_REMOVE_SUBFLOW: i32 = 1009;
/// [`tcp_mp_path_manager`](super::options::tcp_mp_path_manager), get and set.
pub const TCP_MP_PATH_MANAGER: i32 = 1010;
/// [`tcp_mp_priority`](super::options::tcp_mp_priority), set.
pub const TCP_MP_PRIORITY: i32 = 1011;
/// int, get and set: subflows that each byte goes out on.
pub const TCP_MP_REDUNDANCY: i32 = 1012;

/// RFC 6897, 5.1: get and set.
pub const TCP_MULTIPATH_ENABLE: i32 = 1021;
/// RFC 6897, 5.2: binds to further local addresses.
pub const TCP_MULTIPATH_ADD: i32 = 1022;
/// RFC 6897, 5.2: gives local addresses up.
pub const TCP_MULTIPATH_REMOVE: i32 = 1023;
/// RFC 6897, 5.3: pairs of addresses in use.
pub const TCP_MULTIPATH_SUBFLOWS: i32 = 1024;
/// RFC 6897, 5.4: the local token.
pub const TCP_MULTIPATH_CONNID: i32 = 1025;

/// Linux, at SOL_MPTCP: `struct mptcp_info`.
pub const MPTCP_INFO: i32 = 1;
/// Linux, at SOL_MPTCP: `struct tcp_info` of each subflow.
pub const MPTCP_TCPINFO: i32 = 2;
/// Linux, at SOL_MPTCP: addresses of each subflow.
pub const MPTCP_SUBFLOW_ADDRS: i32 = 3;
/// Linux, at SOL_MPTCP: the three above in one.
pub const MPTCP_FULL_INFO: i32 = 4;
/// Linux, at IPPROTO_TCP: whether MPTCP is in use.
pub const TCP_IS_MPTCP: i32 = 43;
/// Linux, at IPPROTO_TCP: `struct tcp_info`.
pub const TCP_INFO: i32 = 11;

/// [`TCP_MP_PROFILE`]: every path filled.
pub const TCP_MP_PROFILE_BULK: i32 = 1;
/// [`TCP_MP_PROFILE`]: the fastest path, the next when it is full.
pub const TCP_MP_PROFILE_LATENCY: i32 = 2;
/// [`TCP_MP_PROFILE`]: one path, and one that stands by.
pub const TCP_MP_PROFILE_STANDBY: i32 = 3;

/// Flag of a subflow: the connection's first.
pub const TCP_MP_SUBFLOW_INITIAL: u32 = 1;
/// Flag of a subflow: used when no other is there.
pub const TCP_MP_SUBFLOW_BACKUP: u32 = 2;
/// Flag of a subflow: its handshake is complete.
pub const TCP_MP_SUBFLOW_JOINED: u32 = 4;
/// Flag of a subflow: it does not answer at present.
pub const TCP_MP_SUBFLOW_STALE: u32 = 8;
/// Flag of a subflow: made preferred by [`TCP_MP_PRIORITY`].
pub const TCP_MP_SUBFLOW_PREFERRED: u32 = 16;

/// [`tcp_mp_priority`](super::options::tcp_mp_priority): before all normal ones.
pub const TCP_MP_PRIORITY_PREFERRED: u32 = 1;
/// [`tcp_mp_priority`](super::options::tcp_mp_priority): as it was made.
pub const TCP_MP_PRIORITY_NORMAL: u32 = 2;
/// [`tcp_mp_priority`](super::options::tcp_mp_priority): only when no other is there.
pub const TCP_MP_PRIORITY_BACKUP: u32 = 3;
