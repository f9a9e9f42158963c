//! Two stacks of smoltcp, over queues of frames.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use super::{BUFFER, Hosts, TRANSFER};

const PORT: u16 = 7;
/// Frames under way in each direction, as many as of a memory port.
const QUEUE: usize = 256;
/// With Ethernet's header.
const LARGEST: usize = 1_514;
/// Turns without a byte after which a transfer is given up.
const PATIENCE: u32 = 1_000_000;

/// One direction of the link: frames under way, and frames to be used again.
#[derive(Debug, Default)]
struct Queue {
    under_way: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

/// One end of the link.
#[derive(Debug)]
struct End {
    incoming: Rc<RefCell<Queue>>,
    outgoing: Rc<RefCell<Queue>>,
}

struct Arrived {
    frame: Vec<u8>,
    queue: Rc<RefCell<Queue>>,
}

struct Room(Rc<RefCell<Queue>>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        let result = take(&self.frame);
        self.queue.borrow_mut().spare.push(self.frame);
        result
    }
}

impl TxToken for Room {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = self.0.borrow_mut().spare.pop().unwrap_or_default();
        frame.resize(length, 0);
        let result = fill(&mut frame);
        self.0.borrow_mut().under_way.push_back(frame);
        result
    }
}

impl End {
    fn has_room(&self) -> bool {
        self.outgoing.borrow().under_way.len() < QUEUE
    }
}

impl Device for End {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Room;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Room)> {
        if !self.has_room() {
            return None;
        }
        let frame = self.incoming.borrow_mut().under_way.pop_front()?;
        let queue = Rc::clone(&self.incoming);
        Some((Arrived { frame, queue }, Room(Rc::clone(&self.outgoing))))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room> {
        self.has_room().then(|| Room(Rc::clone(&self.outgoing)))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LARGEST;
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}

struct Host {
    end: End,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

impl Host {
    fn new(number: u8, mut end: End) -> Self {
        let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, number]).into());
        let mut interface = Interface::new(config, &mut end, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // Its list has room for more than one.
            let _ = addresses.push(IpCidr::new(IpAddress::v4(10, 0, 0, number), 24));
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(tcp::Socket::new(buffer(), buffer()));
        Self {
            end,
            interface,
            sockets,
            socket,
        }
    }

    fn turn(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.end, &mut self.sockets);
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.socket)
    }
}

/// Two hosts with a connection.
pub struct Pair {
    client: Host,
    server: Host,
    start: time::Instant,
    bytes: Vec<u8>,
    into: Vec<u8>,
}

impl Pair {
    /// Two hosts, and a connection.
    ///
    /// # Errors
    ///
    /// When there is none after a while.
    pub fn new() -> Result<Self, String> {
        let [forth, back] = [(); 2].map(|()| Rc::new(RefCell::new(Queue::default())));
        let mut client = Host::new(
            1,
            End {
                incoming: Rc::clone(&back),
                outgoing: Rc::clone(&forth),
            },
        );
        let mut server = Host::new(
            2,
            End {
                incoming: forth,
                outgoing: back,
            },
        );
        server
            .socket()
            .listen(PORT)
            .map_err(|error| error.to_string())?;
        let there = (IpAddress::v4(10, 0, 0, 2), PORT);
        let socket = client.sockets.get_mut::<tcp::Socket<'_>>(client.socket);
        let connecting = socket.connect(client.interface.context(), there, 49_152);
        connecting.map_err(|error| error.to_string())?;
        let mut pair = Self {
            client,
            server,
            start: time::Instant::now(),
            bytes: (0..BUFFER).map(|n| n as u8).collect(),
            into: vec![0; BUFFER],
        };
        pair.transfer()?;
        Ok(pair)
    }

    fn now(&self) -> Instant {
        let elapsed = self.start.elapsed().as_micros();
        Instant::from_micros(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }
}

impl Hosts for Pair {
    fn transfer(&mut self) -> Result<(), String> {
        let (mut sent, mut received, mut idle) = (0, 0, 0);
        while received < TRANSFER {
            let before = received;
            if sent < TRANSFER && self.client.socket().can_send() {
                let rest = &self.bytes[..BUFFER.min(TRANSFER - sent)];
                let given = self.client.socket().send_slice(rest);
                sent += given.map_err(|error| error.to_string())?;
            }
            let now = self.now();
            self.client.turn(now);
            self.server.turn(now);
            if self.server.socket().can_recv() {
                let socket = self
                    .server
                    .sockets
                    .get_mut::<tcp::Socket<'_>>(self.server.socket);
                let taken = socket.recv_slice(&mut self.into);
                received += taken.map_err(|error| error.to_string())?;
            }
            idle = if received == before { idle + 1 } else { 0 };
            if idle > PATIENCE {
                return Err(format!("nothing moves after {received} bytes"));
            }
        }
        Ok(())
    }
}
