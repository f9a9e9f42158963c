//! Values of the options of Multipath TCP, as programs lay them out. Whatever has another size or
//! meaning is EINVAL.

use std::net::{IpAddr, SocketAddr};

use braid_engine::mptcp::connection::MAX_REDUNDANCY;
use braid_engine::mptcp::path_manager::{MAX_SUBFLOWS, PathManagement};
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::{Profile, SubflowPriority};
use braid_shm::abi::options::{tcp_mp_add_subflow, tcp_mp_path_manager, tcp_mp_priority};
use braid_shm::abi::{
    Plain, SocketAddressStorage, TCP_MP_PRIORITY_BACKUP, TCP_MP_PRIORITY_NORMAL,
    TCP_MP_PRIORITY_PREFERRED,
};

use super::super::value;

/// Flag of `tcp_mp_add_subflow`: as a backup.
const AS_BACKUP: u32 = 1;

pub(super) fn profile(bytes: &[u8]) -> Result<Profile, i32> {
    u8::try_from(value::exact_int(bytes)?)
        .ok()
        .and_then(Profile::from_number)
        .ok_or(libc::EINVAL)
}

pub(super) fn max_subflows(bytes: &[u8]) -> Result<u8, i32> {
    from_one_to(MAX_SUBFLOWS, bytes)
}

pub(super) fn redundancy(bytes: &[u8]) -> Result<u8, i32> {
    from_one_to(MAX_REDUNDANCY.into(), bytes)
}

fn from_one_to(most: usize, bytes: &[u8]) -> Result<u8, i32> {
    u8::try_from(value::exact_int(bytes)?)
        .ok()
        .filter(|&number| (1..=most).contains(&usize::from(number)))
        .ok_or(libc::EINVAL)
}

pub(super) fn scheduler(bytes: &[u8]) -> Result<Scheduler, i32> {
    if bytes.len() > 16 {
        return Err(libc::EINVAL);
    }
    Scheduler::by_name(value::name(bytes)?).ok_or(libc::EINVAL)
}

pub(super) fn path_management(bytes: &[u8]) -> Result<PathManagement, i32> {
    let written: tcp_mp_path_manager = exact(bytes)?;
    PathManagement::by_name(value::name(&written.name)?, written.threshold).ok_or(libc::EINVAL)
}

/// Where a subflow is to lead.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct NewSubflow {
    /// `None`: what the route selects.
    pub(super) local: Option<SocketAddr>,
    /// `None`: the peer's first address.
    pub(super) remote: Option<SocketAddr>,
    pub(super) backup: bool,
}

pub(super) fn new_subflow(bytes: &[u8]) -> Result<NewSubflow, i32> {
    let written: tcp_mp_add_subflow = exact(bytes)?;
    if written.flags & !AS_BACKUP != 0 || written.reserved != 0 {
        return Err(libc::EINVAL);
    }
    Ok(NewSubflow {
        local: optional_address(&written.local)?,
        remote: optional_address(&written.remote)?,
        backup: written.flags & AS_BACKUP != 0,
    })
}

/// The address in a `sockaddr_storage`; none where the family is AF_UNSPEC.
fn optional_address(storage: &SocketAddressStorage) -> Result<Option<SocketAddr>, i32> {
    if family(&storage.0) == libc::AF_UNSPEC {
        return Ok(None);
    }
    let address = storage.address().ok_or(libc::EINVAL)?;
    Ok(Some(SocketAddr::new(
        address.ip().to_canonical(),
        address.port(),
    )))
}

pub(super) fn subflow_id(bytes: &[u8]) -> Result<u32, i32> {
    exact(bytes)
}

pub(super) fn rank(bytes: &[u8]) -> Result<(u32, SubflowPriority), i32> {
    let written: tcp_mp_priority = exact(bytes)?;
    let priority = match written.priority {
        TCP_MP_PRIORITY_PREFERRED => SubflowPriority::Preferred,
        TCP_MP_PRIORITY_NORMAL => SubflowPriority::Normal,
        TCP_MP_PRIORITY_BACKUP => SubflowPriority::Backup,
        _ => return Err(libc::EINVAL),
    };
    Ok((written.id, priority))
}

/// An entry of a list of local addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Address(IpAddr),
    /// Every address of the interface of that name.
    Interface(String),
}

/// A list of local addresses: an array of `sockaddr_storage`, or one `sockaddr_in` or
/// `sockaddr_in6` alone. One of AF_UNSPEC has the name of an interface behind its family. Ports
/// mean nothing.
pub(super) fn places(bytes: &[u8]) -> Result<Vec<Place>, i32> {
    if let 16 | 28 = bytes.len() {
        let storage = SocketAddressStorage::from_sockaddr(bytes).ok_or(libc::EINVAL)?;
        if storage.length() != bytes.len() {
            return Err(libc::EINVAL);
        }
        return Ok(vec![place(&storage.0)?]);
    }
    let (entries, rest) = bytes.as_chunks::<{ SocketAddressStorage::BYTES }>();
    if !rest.is_empty() {
        return Err(libc::EINVAL);
    }
    entries.iter().map(|entry| place(entry)).collect()
}

fn place(entry: &[u8]) -> Result<Place, i32> {
    if family(entry) == libc::AF_UNSPEC {
        let name = value::name(entry.get(2..).unwrap_or_default())?;
        return if name.is_empty() {
            Err(libc::EINVAL)
        } else {
            Ok(Place::Interface(name.to_owned()))
        };
    }
    SocketAddressStorage::from_sockaddr(entry)
        .and_then(|storage| storage.address())
        .map(|address| Place::Address(address.ip().to_canonical()))
        .ok_or(libc::EINVAL)
}

fn family(sockaddr: &[u8]) -> i32 {
    u16::read(sockaddr).into()
}

/// A struct of exactly its size.
fn exact<T: Plain>(bytes: &[u8]) -> Result<T, i32> {
    if bytes.len() == T::BYTES {
        Ok(T::read(bytes))
    } else {
        Err(libc::EINVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EINVAL: i32 = libc::EINVAL;

    fn storage(address: &str) -> SocketAddressStorage {
        SocketAddressStorage::new(address.parse().unwrap())
    }

    #[test]
    fn numbers_have_their_bounds() {
        assert_eq!(profile(&3i32.to_ne_bytes()), Ok(Profile::LatencyStandby));
        assert_eq!(profile(&4i32.to_ne_bytes()), Err(EINVAL));
        assert_eq!(profile(&257i32.to_ne_bytes()), Err(EINVAL));
        assert_eq!(profile(&1i64.to_ne_bytes()), Err(EINVAL));
        assert_eq!(max_subflows(&32i32.to_ne_bytes()), Ok(32));
        assert_eq!(max_subflows(&0i32.to_ne_bytes()), Err(EINVAL));
        assert_eq!(max_subflows(&33i32.to_ne_bytes()), Err(EINVAL));
        assert_eq!(redundancy(&(-1i32).to_ne_bytes()), Err(EINVAL));
    }

    #[test]
    fn names_are_known_ones() {
        assert_eq!(scheduler(b"blest"), Ok(Scheduler::Blest));
        assert_eq!(scheduler(b"blest\0\0\0"), Ok(Scheduler::Blest));
        assert_eq!(scheduler(b""), Err(EINVAL));
        assert_eq!(scheduler(b"minrtt\0..........."), Err(EINVAL));
        let mut manager = tcp_mp_path_manager {
            name: *b"ondemand\0\0\0\0\0\0\0\0",
            threshold: 9,
        };
        assert_eq!(
            path_management(&manager.to_bytes()),
            Ok(PathManagement::OnDemand { after_bytes: 9 })
        );
        assert_eq!(path_management(b"ondemand"), Err(EINVAL));
        manager.name = [b'x'; 16];
        assert_eq!(path_management(&manager.to_bytes()), Err(EINVAL));
    }

    #[test]
    fn a_subflow_may_leave_out_either_end() {
        let mut written = tcp_mp_add_subflow {
            local: storage("10.1.2.2:0"),
            remote: SocketAddressStorage::default(),
            flags: 1,
            reserved: 0,
        };
        let parsed = new_subflow(&written.to_bytes()).unwrap();
        assert_eq!(parsed.local, "10.1.2.2:0".parse().ok());
        assert_eq!(parsed.remote, None);
        assert!(parsed.backup);
        assert_eq!(new_subflow(&written.to_bytes()[..260]), Err(EINVAL));
        written.flags = 2;
        assert_eq!(new_subflow(&written.to_bytes()), Err(EINVAL));
        written.flags = 0;
        written.remote.0[..2].copy_from_slice(&77u16.to_ne_bytes());
        assert_eq!(new_subflow(&written.to_bytes()), Err(EINVAL));
    }

    #[test]
    fn places_are_addresses_and_interfaces() {
        let mut two = storage("10.1.1.2:80").0.to_vec();
        let mut interface = [0; 128];
        interface[2..6].copy_from_slice(b"eth1");
        two.extend_from_slice(&interface);
        let expected = vec![
            Place::Address("10.1.1.2".parse().unwrap()),
            Place::Interface("eth1".into()),
        ];
        assert_eq!(places(&two), Ok(expected));
        assert_eq!(places(&two[..130]), Err(EINVAL));
        assert_eq!(places(&[0; 128]), Err(EINVAL));
        assert_eq!(places(&[]), Ok(Vec::new()));
        let six = storage("[2001:db8::1]:0");
        let alone = Place::Address("2001:db8::1".parse().unwrap());
        assert_eq!(places(&six.0[..28]), Ok(vec![alone]));
        assert_eq!(places(&six.0[..16]), Err(EINVAL));
    }

    #[test]
    fn ranks_are_three() {
        for (priority, rank_of) in [
            (1, SubflowPriority::Preferred),
            (2, SubflowPriority::Normal),
            (3, SubflowPriority::Backup),
        ] {
            let written = tcp_mp_priority { id: 5, priority };
            assert_eq!(rank(&written.to_bytes()), Ok((5, rank_of)));
        }
        assert_eq!(rank(&[0; 8]), Err(EINVAL));
        assert_eq!(rank(&[1; 4]), Err(EINVAL));
        assert_eq!(subflow_id(&[0; 8]), Err(EINVAL));
    }
}
