//! The structs of socket options, as `braid.h` has them.

use super::{SocketAddressStorage, plain};

plain! {
    /// What TCP_MP_SUBFLOWS gives first; entries of [`tcp_mp_subflow`] follow at `header_size`, each
    /// `entry_size` bytes from the one before.
    pub struct tcp_mp_subflows_header {
        /// Bytes of this header.
        pub header_size: u32,
        /// Bytes of an entry.
        pub entry_size: u32,
        /// Subflows that there are.
        pub total: u32,
        /// Entries that fitted.
        pub copied: u32,
    }

    /// One subflow, as TCP_MP_SUBFLOWS tells it.
    pub struct tcp_mp_subflow {
        /// Its id, for TCP_MP_REMOVE_SUBFLOW and TCP_MP_PRIORITY.
        pub id: u32,
        /// Its state, by the numbers of Linux's `TCP_ESTABLISHED` (1) and so on.
        pub state: u32,
        /// `TCP_MP_SUBFLOW_INITIAL` and so on.
        pub flags: u32,
        /// Its share of what the connection sent, in parts per 10,000.
        pub share_tx: u32,
        /// Its share of what the connection received, in parts per 10,000.
        pub share_rx: u32,
        /// Smoothed round-trip time in microseconds.
        pub srtt_us: u32,
        /// Congestion window in bytes.
        pub cwnd: u32,
        /// Zero.
        pub reserved: u32,
        /// Bytes of payload sent.
        pub bytes_sent: u64,
        /// Bytes of payload received.
        pub bytes_received: u64,
        /// Segments sent again.
        pub retransmissions: u64,
        /// Its local end.
        pub local: SocketAddressStorage,
        /// Its remote end.
        pub remote: SocketAddressStorage,
    }

    /// What TCP_MP_ADD_SUBFLOW takes.
    pub struct tcp_mp_add_subflow {
        /// From where; port 0: any.
        pub local: SocketAddressStorage,
        /// To where; port 0: that of the connection.
        pub remote: SocketAddressStorage,
        /// 1: as a backup.
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
    }

    /// What TCP_MP_PRIORITY takes.
    pub struct tcp_mp_priority {
        /// The subflow's id.
        pub id: u32,
        /// `TCP_MP_PRIORITY_PREFERRED` and so on.
        pub priority: u32,
    }

    /// What TCP_MP_PATH_MANAGER takes and gives.
    pub struct tcp_mp_path_manager {
        /// fullmesh, signal, ondemand or manual, with a zero behind it.
        pub name: [u8; 16],
        /// Of ondemand: bytes after which further subflows are opened.
        pub threshold: u64,
    }
}

const _: () = {
    assert!(tcp_mp_subflows_header::BYTES == 16);
    assert!(tcp_mp_subflow::BYTES == 312);
    assert!(std::mem::offset_of!(tcp_mp_subflow, local) == 56);
    assert!(tcp_mp_add_subflow::BYTES == 264);
    assert!(tcp_mp_priority::BYTES == 8);
    assert!(tcp_mp_path_manager::BYTES == 24);
    assert!(super::sockaddr_multipath::BYTES == 1032);
};
