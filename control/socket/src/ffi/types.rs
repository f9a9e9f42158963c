//! The structs of `braid.h`. They are those of [`crate::abi`], spelt with C's own types, for the
//! header is generated from this file.
#![allow(non_camel_case_types, reason = "the names of C")]

use crate::abi;
use libc::sockaddr_storage;
use std::mem::offset_of;

/// What TCP_MP_SUBFLOWS gives first. Entries follow at `header_size`, each `entry_size` bytes from the
/// one before.
#[repr(C)]
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
#[repr(C)]
pub struct tcp_mp_subflow {
    /// Its id, for TCP_MP_REMOVE_SUBFLOW and TCP_MP_PRIORITY.
    pub id: u32,
    /// Its state, by the numbers of TCP_ESTABLISHED (1) and so on.
    pub state: u32,
    /// TCP_MP_SUBFLOW_INITIAL and so on.
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
    pub local: sockaddr_storage,
    /// Its remote end.
    pub remote: sockaddr_storage,
}

/// What TCP_MP_ADD_SUBFLOW takes.
#[repr(C)]
pub struct tcp_mp_add_subflow {
    /// From where; port 0: any.
    pub local: sockaddr_storage,
    /// To where; port 0: that of the connection.
    pub remote: sockaddr_storage,
    /// 1: as a backup.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

/// What TCP_MP_PRIORITY takes.
#[repr(C)]
pub struct tcp_mp_priority {
    /// The subflow's id.
    pub id: u32,
    /// TCP_MP_PRIORITY_PREFERRED and so on.
    pub priority: u32,
}

/// What TCP_MP_PATH_MANAGER takes and gives.
#[repr(C)]
pub struct tcp_mp_path_manager {
    /// fullmesh, signal, ondemand or manual, with a zero behind it.
    pub name: [std::ffi::c_char; 16],
    /// Of ondemand: bytes after which further subflows are opened.
    pub threshold: u64,
}

/// The address of a socket of AF_MULTIPATH: up to eight addresses, v4 and v6 mixed. Its length is 8
/// bytes and 128 for each.
#[repr(C)]
pub struct sockaddr_multipath {
    /// AF_MULTIPATH.
    pub family: u16,
    /// Addresses that follow, 1 to 8.
    pub count: u16,
    /// Zero.
    pub reserved: u32,
    /// The addresses.
    pub addresses: [sockaddr_storage; 8],
}

macro_rules! same {
    ($($name:ident: $in_abi:path { $($field:ident)* })*) => {
        const _: () = {
            $(
                assert!(size_of::<$name>() == size_of::<$in_abi>());
                $(assert!(offset_of!($name, $field) == offset_of!($in_abi, $field));)*
            )*
        };
    };
}

same! {
    tcp_mp_subflows_header: abi::options::tcp_mp_subflows_header { header_size entry_size total copied }
    tcp_mp_subflow: abi::options::tcp_mp_subflow {
        id state flags share_tx share_rx srtt_us cwnd bytes_sent bytes_received retransmissions local remote
    }
    tcp_mp_add_subflow: abi::options::tcp_mp_add_subflow { local remote flags }
    tcp_mp_priority: abi::options::tcp_mp_priority { id priority }
    tcp_mp_path_manager: abi::options::tcp_mp_path_manager { name threshold }
    sockaddr_multipath: abi::sockaddr_multipath { family count addresses }
}
