//! How a device is set up: what the operator asks, as far as the driver can.

use std::sync::Arc;

use super::error::DpdkError;
use super::offload::{LARGEST_SEGMENTED_FRAME, Offloads};
use super::options::DeviceOptions;
use super::spread::{Plan, queue_of_entry};
use super::{DeviceLink, DpdkDevice, DpdkPort};
use crate::sys::dpdk::Refusal;
use crate::sys::dpdk::device::{Abilities, Setup, Stopped};
use crate::sys::dpdk::pool::{CACHE, PAGE, Pool, Socket};
use crate::sys::dpdk::queue::{BURST, OUTGOING};

/// Ethernet header, two VLAN tags and the checksum of a frame.
const AROUND_PACKET: usize = 26;

/// The MTU of a device that was asked for none.
const USUAL_MTU: u16 = 1_500;

/// Bytes of a buffer beside the frame: its description, its headroom, and what a pool adds.
const AROUND_BUFFER: usize = 384;

/// Buffers of capsule's own pool. Devices hold some of them until they are set up anew.
pub(super) const CAPSULE_BUFFERS: usize = 4_095;

/// Bytes of each of them.
const CAPSULE_BUFFER: usize = 2_048;

/// Buffers that net_af_xdp puts into each of its rings, whatever it is asked for.
const AF_XDP_RING: usize = 2_048;

/// The largest packet that fits into one of its buffers as the kernel fills it, beside the description, two
/// headrooms, and Ethernet's header with a tag.
const AF_XDP_MTU: u16 = 3_502;

/// Sets the device up and starts it.
pub(super) fn open(options: &DeviceOptions) -> Result<DpdkDevice, DpdkError> {
    let refused = |action| {
        move |source: Refusal| DpdkError::Device {
            device: options.device.clone(),
            action,
            reason: source.to_string(),
        }
    };
    let stopped = Stopped::find(&options.device).map_err(refused("finding it"))?;
    let abilities = stopped.abilities().map_err(refused("asking what it can"))?;
    let queues = options.queues.get();
    judge(options, &abilities)?;
    let offloads = if options.offload {
        Offloads::of(&abilities)
    } else {
        Offloads::default()
    };
    let capabilities = offloads.capabilities(options.mtu);
    let plan = Plan::new(&abilities, queues, &options.hash_key);
    let socket = stopped.socket();
    let receive = pools(options, PoolSize::receive(options), socket)?;
    let transmit = pools(
        options,
        PoolSize::transmit(options, capabilities.max_frame),
        socket,
    )?;
    let setup = Setup {
        queues,
        mtu: (options.mtu != USUAL_MTU).then_some(options.mtu),
        receive_offloads: offloads.receive_flags(),
        transmit_offloads: offloads.transmit_flags(),
        hash: plan
            .hash
            .as_ref()
            .map(|(hashes, key)| (*hashes, key.as_slice())),
        receive_descriptors: options.receive_descriptors,
        transmit_descriptors: options.transmit_descriptors,
    };
    stopped
        .configure(&setup, &receive)
        .map_err(refused("setting it up"))?;
    optional(stopped.set_mtu(options.mtu)).map_err(refused("setting its MTU"))?;
    optional(stopped.set_promiscuous(options.promiscuous))
        .map_err(refused("making it promiscuous"))?;
    let ethernet_address = stopped
        .ethernet_address()
        .map_err(refused("reading its link address"))?;
    let device = stopped.start().map_err(refused("starting it"))?;
    if plan.table > 0 {
        device
            .set_table(plan.table, |entry| queue_of_entry(entry, queues))
            .map_err(refused("filling its table of queues"))?;
    }
    let device = Arc::new(device);
    let ports = device
        .queues(&transmit)
        .into_iter()
        .map(|pair| DpdkPort::new(pair, capabilities, options.is_tap()))
        .collect::<Result<_, _>>()
        .map_err(|error| DpdkError::Device {
            device: options.device.clone(),
            action: "making its ports",
            reason: error.to_string(),
        })?;
    Ok(DpdkDevice {
        name: options.device.clone(),
        driver: abilities.driver,
        ethernet_address,
        spread: plan.spread,
        link: DeviceLink(device),
        ports,
    })
}

/// A driver without such a function leaves things as they are.
fn optional(result: Result<(), Refusal>) -> Result<(), Refusal> {
    match result {
        Err(refusal) if refusal.is_unsupported() => Ok(()),
        other => other,
    }
}

/// Whether the device can what is asked.
fn judge(options: &DeviceOptions, abilities: &Abilities) -> Result<(), DpdkError> {
    let possible = abilities
        .max_receive_queues
        .min(abilities.max_transmit_queues);
    let asked = options.queues.get();
    if asked > possible {
        return Err(DpdkError::Queues {
            device: options.device.clone(),
            driver: abilities.driver.clone(),
            asked,
            possible,
        });
    }
    let max_mtu = if options.is_af_xdp() {
        abilities.max_mtu.min(AF_XDP_MTU)
    } else {
        abilities.max_mtu
    };
    if options.mtu > max_mtu {
        return Err(DpdkError::Mtu {
            device: options.device.clone(),
            driver: abilities.driver.clone(),
            asked: options.mtu,
            possible: max_mtu,
        });
    }
    Ok(())
}

/// Bytes of a buffer into which a device receives. Many NICs count buffers in units of 1 KiB and
/// round down, and most drivers ask for 2 KiB at least; net_af_packet copies slots of its ring, of
/// which it asks that they fit whatever they hold.
fn receive_buffer(options: &DeviceOptions) -> usize {
    const UNIT: usize = 1_024;
    let frame = usize::from(options.mtu) + AROUND_PACKET;
    let slot = options
        .argument("framesz")
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or(0);
    // Lengths of buffers, with the room before the frame, are of 16 bits.
    frame
        .max(slot)
        .next_multiple_of(UNIT)
        .clamp(2 * UNIT, 63 * UNIT)
}

/// What a buffer of a pool holds.
#[derive(Copy, Clone)]
enum Buffer {
    /// A frame of at most so many bytes.
    Frame(usize),
    /// What a page does, with no gap between one and the next. The driver of net_af_xdp asks for that
    /// without saying so: it tells the kernel of as much memory as its buffers take, and what is sent from a
    /// buffer behind the end of that is lost and holds up the queue.
    Page,
}

/// Buffers of one pool.
#[derive(Copy, Clone)]
struct PoolSize {
    count: usize,
    buffer: Buffer,
}

impl PoolSize {
    /// Of a pool of which `needed` buffers may be in use at a time, beside those in the caches of
    /// threads: the worker's, and that of the one which starts the device.
    fn new(needed: usize, buffer: Buffer) -> Self {
        let count = (needed + 4 * CACHE).next_power_of_two() - 1;
        Self { count, buffer }
    }

    fn receive(options: &DeviceOptions) -> Self {
        if options.is_af_xdp() {
            // What is sent is copied into buffers of this pool too.
            return Self::new(2 * AF_XDP_RING + BURST, Buffer::Page);
        }
        Self::new(
            usize::from(options.receive_descriptors) + BURST,
            Buffer::Frame(receive_buffer(options)),
        )
    }

    fn transmit(options: &DeviceOptions, bytes: usize) -> Self {
        Self::new(
            usize::from(options.transmit_descriptors) + BURST + OUTGOING,
            Buffer::Frame(bytes),
        )
    }

    /// Bytes of a buffer, with what is around its frame.
    fn bytes(self) -> usize {
        match self.buffer {
            Buffer::Frame(bytes) => bytes + AROUND_BUFFER,
            Buffer::Page => PAGE,
        }
    }

    fn memory(self) -> u64 {
        (self.count * self.bytes()) as u64
    }
}

/// Bytes of memory that these devices take at most, with capsule's own pool.
pub(super) fn memory(devices: &[DeviceOptions]) -> u64 {
    let capsule = (CAPSULE_BUFFERS * (CAPSULE_BUFFER + AROUND_BUFFER)) as u64;
    let queues = devices.iter().map(|device| {
        let frame = if device.offload {
            LARGEST_SEGMENTED_FRAME
        } else {
            usize::from(device.mtu) + AROUND_PACKET
        };
        let pair = PoolSize::receive(device).memory() + PoolSize::transmit(device, frame).memory();
        u64::from(device.queues.get()) * pair
    });
    // And what the environment, the rings and the drivers take.
    let rest = 16 << 20;
    capsule + queues.sum::<u64>() + rest
}

/// A pool of this size for each pair of queues.
fn pools(options: &DeviceOptions, size: PoolSize, socket: Socket) -> Result<Vec<Pool>, DpdkError> {
    let made = || match size.buffer {
        Buffer::Frame(bytes) => Pool::new(size.count, bytes, socket),
        Buffer::Page => Pool::of_pages(size.count, socket),
    };
    let refused = |source: Refusal| DpdkError::Memory {
        device: options.device.clone(),
        count: size.count,
        bytes: size.bytes(),
        reason: source.to_string(),
    };
    (0..options.queues.get())
        .map(|_| made().map_err(refused))
        .collect()
}
