//! A device (`rte_ethdev`): what it can, how it is set up, what it says of itself.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use braid_engine::wire::ethernet::MacAddress;
use capsule_ffi as ffi;

use super::Refusal;
use super::pool::{Pool, Socket};
use super::queue::QueuePair;

/// What a driver says of a device.
#[derive(Clone, Debug)]
pub(crate) struct Abilities {
    /// The name of the driver.
    pub(crate) driver: String,
    /// The largest IP packet.
    pub(crate) max_mtu: u16,
    /// Receive queues at most.
    pub(crate) max_receive_queues: u16,
    /// Transmit queues at most.
    pub(crate) max_transmit_queues: u16,
    /// `RTE_ETH_RX_OFFLOAD_*`.
    pub(crate) receive_offloads: u64,
    /// `RTE_ETH_TX_OFFLOAD_*`.
    pub(crate) transmit_offloads: u64,
    /// Entries of the table from hashes to queues; 0 where there is none.
    pub(crate) table_size: u16,
    /// Bytes of the key of the hash; 0 where it cannot be set.
    pub(crate) key_size: u8,
    /// `RTE_ETH_RSS_*`.
    pub(crate) hashes: u64,
}

/// How a device is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup<'a> {
    /// Pairs of queues.
    pub(crate) queues: u16,
    /// The largest IP packet; `None` where the driver takes no wish.
    pub(crate) mtu: Option<u16>,
    /// `RTE_ETH_RX_OFFLOAD_*`.
    pub(crate) receive_offloads: u64,
    /// `RTE_ETH_TX_OFFLOAD_*`.
    pub(crate) transmit_offloads: u64,
    /// What the queue of a packet is hashed from, and with which key.
    pub(crate) hash: Option<(u64, &'a [u8])>,
    /// Packets that a receive queue holds.
    pub(crate) receive_descriptors: u16,
    /// Packets that a transmit queue holds.
    pub(crate) transmit_descriptors: u16,
}

/// The state of a link.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LinkState {
    /// Whether frames can pass.
    pub up: bool,
    /// Megabits a second; `None` where the device does not say.
    pub megabits: Option<u32>,
}

/// What a device has counted, as it can: many virtual ones count little.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Statistics {
    /// Packets lost because a receive queue was full.
    pub(crate) missed: u64,
    /// Packets that came in damaged.
    pub(crate) receive_errors: u64,
    /// Packets lost because the pool was empty.
    pub(crate) without_buffer: u64,
    /// Packets that could not be sent.
    pub(crate) transmit_errors: u64,
}

/// A device that has not been started yet. It is set up by capsule once already, without offloads.
#[derive(Debug)]
pub(crate) struct Stopped(u16);

/// A device that runs; it is stopped and closed when the last of its queues is gone, and whoever asks
/// for its link.
#[derive(Debug)]
pub(crate) struct Device {
    id: u16,
    orphans: Mutex<Vec<Orphan>>,
    /// Whether there are any, to be looked at before each burst.
    abandoned: AtomicBool,
}

/// The number of a receive queue that nobody has any more. Whoever has this has the queue.
#[derive(Debug)]
pub(super) struct Orphan(pub(super) u16);

impl Stopped {
    /// The device of this name: a PCI address, or that of a virtual device.
    pub(crate) fn find(name: &str) -> Result<Self, Refusal> {
        let name = CString::new(name).unwrap_or_default();
        let mut id = 0;
        // SAFETY: a string that ends in zero, and room for the number.
        Refusal::check(unsafe { ffi::rte_eth_dev_get_port_by_name(name.as_ptr(), &mut id) })?;
        Ok(Self(id))
    }

    /// What its driver says of it.
    pub(crate) fn abilities(&self) -> Result<Abilities, Refusal> {
        let mut info = ffi::rte_eth_dev_info::default();
        // SAFETY: writes the structure, of which the library has the same idea.
        Refusal::check(unsafe { ffi::rte_eth_dev_info_get(self.0, &mut info) })?;
        let driver = if info.driver_name.is_null() {
            String::new()
        } else {
            // SAFETY: a name that lives as long as the driver.
            unsafe { CStr::from_ptr(info.driver_name) }
                .to_string_lossy()
                .into_owned()
        };
        Ok(Abilities {
            driver,
            max_mtu: info.max_mtu,
            max_receive_queues: info.max_rx_queues,
            max_transmit_queues: info.max_tx_queues,
            receive_offloads: info.rx_offload_capa,
            transmit_offloads: info.tx_offload_capa,
            table_size: info.reta_size,
            key_size: info.hash_key_size,
            hashes: info.flow_type_rss_offloads,
        })
    }

    /// The memory that is nearest.
    pub(crate) fn socket(&self) -> Socket {
        // SAFETY: takes any number.
        Socket(unsafe { ffi::rte_eth_dev_socket_id(self.0) })
    }

    /// Its link address.
    pub(crate) fn ethernet_address(&self) -> Result<MacAddress, Refusal> {
        let mut address = ffi::rte_ether_addr::default();
        // SAFETY: writes the structure, of which the library has the same idea.
        Refusal::check(unsafe { ffi::rte_eth_macaddr_get(self.0, &mut address) })?;
        Ok(MacAddress(address.addr_bytes))
    }

    /// Sets the device up. `receive` has the pool of each receive queue.
    pub(crate) fn configure(&self, setup: &Setup<'_>, receive: &[Pool]) -> Result<(), Refusal> {
        let mut conf = ffi::rte_eth_conf::default();
        conf.rxmode.offloads = setup.receive_offloads;
        conf.txmode.offloads = setup.transmit_offloads;
        if let Some(mtu) = setup.mtu {
            conf.rxmode.mtu = u32::from(mtu);
        }
        let mut key = Vec::new();
        if let Some((hashes, bytes)) = setup.hash {
            key.extend_from_slice(bytes);
            conf.rxmode.mq_mode = ffi::rte_eth_rx_mq_mode::ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = hashes;
            if !key.is_empty() {
                conf.rx_adv_conf.rss_conf.rss_key = key.as_mut_ptr();
                conf.rx_adv_conf.rss_conf.rss_key_len = key.len() as u8;
            }
        }
        let queues = setup.queues;
        // SAFETY: the structure is whole, and the key in it outlives the call, which copies both.
        Refusal::check(unsafe { ffi::rte_eth_dev_configure(self.0, queues, queues, &conf) })?;
        let (mut receives, mut transmits) = (setup.receive_descriptors, setup.transmit_descriptors);
        // SAFETY: reads and writes the two numbers.
        Refusal::check(unsafe {
            ffi::rte_eth_dev_adjust_nb_rx_tx_desc(self.0, &mut receives, &mut transmits)
        })?;
        let socket = self.socket().0 as u32;
        for (queue, pool) in (0..queues).zip(receive) {
            // SAFETY: the pool exists as long as the process; null asks for the driver's defaults.
            Refusal::check(unsafe {
                ffi::rte_eth_rx_queue_setup(
                    self.0,
                    queue,
                    receives,
                    socket,
                    ptr::null(),
                    pool.as_ptr(),
                )
            })?;
            // SAFETY: as above.
            Refusal::check(unsafe {
                ffi::rte_eth_tx_queue_setup(self.0, queue, transmits, socket, ptr::null())
            })?;
        }
        Ok(())
    }

    /// Sets the largest IP packet by a call of its own.
    pub(crate) fn set_mtu(&self, mtu: u16) -> Result<(), Refusal> {
        // SAFETY: takes any numbers.
        Refusal::check(unsafe { ffi::rte_eth_dev_set_mtu(self.0, mtu) })?;
        Ok(())
    }

    /// Takes frames for every link address, or only for its own.
    pub(crate) fn set_promiscuous(&self, on: bool) -> Result<(), Refusal> {
        // SAFETY: takes any number.
        Refusal::check(unsafe {
            if on {
                ffi::rte_eth_promiscuous_enable(self.0)
            } else {
                ffi::rte_eth_promiscuous_disable(self.0)
            }
        })?;
        Ok(())
    }

    /// Starts it.
    pub(crate) fn start(self) -> Result<Device, Refusal> {
        // SAFETY: takes any number.
        Refusal::check(unsafe { ffi::rte_eth_dev_start(self.0) })?;
        Ok(Device {
            id: self.0,
            orphans: Mutex::default(),
            abandoned: AtomicBool::new(false),
        })
    }
}

impl Device {
    pub(super) fn id(&self) -> u16 {
        self.id
    }

    /// A receive queue is left by who had it.
    pub(super) fn leave(&self, orphan: Orphan) {
        self.orphans().push(orphan);
        self.abandoned.store(true, Ordering::Release);
    }

    /// Whether receive queues were left since they were last taken over.
    pub(super) fn has_orphans(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Takes over the receive queues that were left: they are the caller's alone.
    pub(super) fn adopt(&self) -> Vec<Orphan> {
        let mut orphans = self.orphans();
        self.abandoned.store(false, Ordering::Relaxed);
        std::mem::take(&mut orphans)
    }

    /// A panic while they are looked at leaves them whole.
    fn orphans(&self) -> MutexGuard<'_, Vec<Orphan>> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its pairs of queues, which build frames in the pool of the same place. To be called once.
    pub(crate) fn queues(self: &Arc<Self>, transmit: &[Pool]) -> Vec<QueuePair> {
        (0..)
            .zip(transmit)
            .map(|(number, &pool)| QueuePair::new(Arc::clone(self), number, pool))
            .collect()
    }

    /// Sends hashes by the table `queues`, which is repeated up to the size of the device's.
    pub(crate) fn set_table(&self, size: u16, queue: impl Fn(u16) -> u16) -> Result<(), Refusal> {
        const GROUP: u16 = ffi::RTE_ETH_RETA_GROUP_SIZE as u16;
        let groups: Vec<_> = (0..size.div_ceil(GROUP))
            .map(|group| {
                let mut entry = ffi::rte_eth_rss_reta_entry64::default();
                for (place, target) in entry.reta.iter_mut().enumerate() {
                    let at = group * GROUP + place as u16;
                    if at < size {
                        entry.mask |= 1 << place;
                        *target = queue(at);
                    }
                }
                entry
            })
            .collect();
        // SAFETY: as many groups as the size says; they are read only.
        Refusal::check(unsafe {
            ffi::rte_eth_dev_rss_reta_update(self.id, groups.as_ptr().cast_mut(), size)
        })?;
        Ok(())
    }

    /// The state of its link, without waiting for a change to settle.
    pub(crate) fn link(&self) -> LinkState {
        let mut link = MaybeUninit::<ffi::rte_eth_link>::zeroed();
        // SAFETY: writes the structure, of which the library has the same idea.
        let answer = unsafe { ffi::rte_eth_link_get_nowait(self.id, link.as_mut_ptr()) };
        // SAFETY: numbers, and zeroed before.
        let link = unsafe { link.assume_init() };
        LinkState {
            // A driver that cannot tell is taken at its frames.
            up: answer < 0 || link.link_status() != 0,
            megabits: (link.link_speed != 0 && link.link_speed != u32::MAX)
                .then_some(link.link_speed),
        }
    }

    /// What it has counted.
    pub(crate) fn statistics(&self) -> Statistics {
        let mut stats = ffi::rte_eth_stats::default();
        // SAFETY: writes the structure, of which the library has the same idea.
        if unsafe { ffi::rte_eth_stats_get(self.id, &mut stats) } != 0 {
            return Statistics::default();
        }
        Statistics {
            missed: stats.imissed,
            receive_errors: stats.ierrors,
            without_buffer: stats.rx_nombuf,
            transmit_errors: stats.oerrors,
        }
    }
}

impl Device {
    /// What its driver counts beside that, each with the driver's name for it; nothing where it counts
    /// nothing.
    pub(crate) fn extended_statistics(&self) -> Vec<(String, u64)> {
        // SAFETY: without room nothing is written, and the number of counters is returned.
        let count = unsafe { ffi::rte_eth_xstats_get(self.id, ptr::null_mut(), 0) };
        let Ok(room) = u32::try_from(count) else {
            return Vec::new();
        };
        let mut names = vec![ffi::rte_eth_xstat_name::default(); room as usize];
        let mut values = vec![ffi::rte_eth_xstat::default(); room as usize];
        // SAFETY: as many elements as told are there to be written.
        let (named, valued) = unsafe {
            (
                ffi::rte_eth_xstats_get_names(self.id, names.as_mut_ptr(), room),
                ffi::rte_eth_xstats_get(self.id, values.as_mut_ptr(), room),
            )
        };
        // A driver whose counters have become more meanwhile has written none.
        if named < 0 || named != valued || named.cast_unsigned() > room {
            return Vec::new();
        }
        let of = |value: &ffi::rte_eth_xstat| {
            let name = names.get(usize::try_from(value.id).ok()?)?.name;
            let name = name.iter().take_while(|&&byte| byte != 0);
            let name: Vec<u8> = name.map(|&byte| byte.cast_unsigned()).collect();
            Some((String::from_utf8_lossy(&name).into_owned(), value.value))
        };
        let written = usize::try_from(valued).unwrap_or_default();
        values.iter().take(written).filter_map(of).collect()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: the last of its queues is gone, so nobody is in a burst.
        unsafe {
            ffi::rte_eth_dev_stop(self.id);
            ffi::rte_eth_dev_close(self.id);
        }
    }
}
