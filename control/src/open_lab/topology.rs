//! The network of the laboratory: namespaces, links, and the engine's configuration.

use std::fmt::Write;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

use braid_dataplane::port::AnyPort;
use braid_dataplane::port::impaired::{ImpairedPort, Impairments};
use braid_dataplane::worker::Clock;
use braid_engine::stack::FlowHash;
use braid_engine::testing::middlebox::Direction;
use braid_engine::wire::ethernet::MacAddress;

use super::{OpenLabError, Plan};
use crate::config::Config;
use crate::demo::linux::{PathRole, manage_paths, tune};
use crate::demo::ports::{add_veths, open_packet_sockets, open_taps, taps_are_usable, wire};
use crate::demo::{self, MemoryLinks};
use crate::lab::link::{Family, Link, Side, prefix};
use crate::lab::namespace::Namespace;
use crate::lab::netlink::RouteSocket;
use crate::server::{OpenPort, OpenPorts};

/// Namespaces and links, until it is dropped.
#[derive(Debug)]
pub(super) struct Topology {
    peer: Namespace,
    /// The engine's end of veth links is kept in here. With TAP devices it needs no namespace.
    engine: Option<Namespace>,
    /// The folder of the engine's socket.
    folder: TempDir,
    links: u8,
    family: Family,
}

impl Topology {
    /// Leaves the machine's network and makes another.
    pub(super) fn create(plan: &Plan) -> Result<Self, OpenLabError> {
        demo::isolate()?;
        // Programs talk to themselves by the loopback interface of where they are.
        RouteSocket::open()?.set_up("lo", true)?;
        let peer = Namespace::create()?;
        tune(&peer, plan.family, false)?;
        // Servers at well-known ports need no root; where that cannot be, they say so themselves.
        let _ = peer.set("net.ipv4.ip_unprivileged_port_start", "0");
        let engine = match taps_are_usable() {
            true => None,
            false => Some(Namespace::create()?),
        };
        let folder = tempfile::Builder::new()
            .prefix("braid-lab-")
            .tempdir()
            .map_err(OpenLabError::system("cannot make a temporary folder"))?;
        let links = u8::try_from(plan.links.len()).unwrap_or(u8::MAX);
        Ok(Self {
            peer,
            engine,
            folder,
            links,
            family: plan.family,
        })
    }

    /// Makes the links; gives the engine's configuration and its ports to them.
    pub(super) fn engine(&self, plan: &Plan) -> Result<(Config, OpenPorts), OpenLabError> {
        let impaired = plan
            .links
            .iter()
            .any(|link| *link != MemoryLinks::default());
        // Queues do not share what comes in, so a link of a rate has one, whose worker has it for all.
        let queues = if impaired {
            NonZeroU8::MIN
        } else {
            plan.workers
        };
        let ports = match &self.engine {
            // A link that is slow is slow by the frame, so none may be of many segments.
            None => open_taps(&self.peer, self.links, !impaired, queues)?,
            Some(engine) => {
                add_veths(engine, &self.peer, self.links)?;
                open_packet_sockets(engine, self.links, true, queues)?
            }
        };
        for link in Link::all(self.links) {
            link.configure(&self.peer, Side::Peer)?;
        }
        // The client follows what the server announces, as in the demonstration.
        let role = if plan.reverse {
            PathRole::Follow
        } else {
            PathRole::Announce
        };
        manage_paths(&self.peer, role, self.links, self.family)?;
        let clock = Clock::start();
        let ports = ports
            .into_iter()
            .zip(&plan.links)
            .zip(Link::all(self.links));
        let ports = ports.map(|((queues, &behaviour), link)| OpenPort {
            queues: queues
                .into_iter()
                .map(|queue| impair(queue, behaviour, link, clock))
                .collect(),
            mac: MacAddress([0x02, 0x62, 0x72, 2, 0, link.0]),
        });
        let ports = ports.collect();
        let config = Config::parse(&self.configuration(plan), Path::new("braid lab"))?;
        let ports = OpenPorts {
            ports,
            hash: FlowHash::default(),
            // They are in namespaces of the laboratory's own.
            interfaces: Vec::new(),
            probes: Vec::new(),
            pipelines: None,
            clock,
        };
        Ok((config, ports))
    }

    /// The engine's configuration; its ports are opened already.
    fn configuration(&self, plan: &Plan) -> String {
        let server = plan.reverse;
        let others = self.links - 1;
        let add_addr_accepted = if server { 0 } else { others };
        let socket = self.socket();
        let mut text = format!(
            "[engine]\nsocket = {:?}\nshutdown_timeout = \"1s\"\nworkers = {}\n\
             [limits]\nsubflows = {others}\nadd_addr_accepted = {add_addr_accepted}\n",
            socket.display().to_string(),
            plan.workers,
        );
        for link in Link::all(self.links) {
            let addresses = [Family::V4, Family::V6].map(|family| {
                let address = link.address(family, Side::Engine);
                format!("\"{address}/{}\"", prefix(family))
            });
            let name = link.interface();
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "[[port]]\nname = \"{name}\"\nkind = \"tap\"\ninterface = \"{name}\"\n\
                 addresses = [{}]\n",
                addresses.join(", ")
            );
            if server && link.0 > 1 {
                let address = link.address(self.family, Side::Engine);
                let _ = write!(
                    text,
                    "[[endpoint]]\nid = {}\naddress = \"{address}\"\nflags = [\"signal\"]\n",
                    link.0
                );
            }
        }
        text
    }

    /// Where the engine listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    /// The namespace in which Linux is the peer.
    pub(super) fn peer(&self) -> &Namespace {
        &self.peer
    }

    /// The address of one side on the first link.
    pub(super) fn address(&self, side: Side) -> IpAddr {
        Link(1).address(self.family, side)
    }

    /// The number of the link that an address of the engine is on.
    pub(super) fn link_of(&self, address: IpAddr) -> Option<u8> {
        let families = [Family::V4, Family::V6];
        Link::all(self.links)
            .find(|link| {
                families
                    .iter()
                    .any(|&family| link.address(family, Side::Engine) == address)
            })
            .map(|link| link.0)
    }
}

fn impair(port: AnyPort, behaviour: MemoryLinks, link: Link, clock: Clock) -> AnyPort {
    if behaviour == MemoryLinks::default() {
        return port;
    }
    let seed = u64::from(link.0);
    let impairments = Impairments {
        link: wire(behaviour),
        middleboxes: Vec::new(),
        direction: Direction::Forth,
        seed,
    };
    ImpairedPort::new(port, &impairments, clock)
        .with_inbound(wire(behaviour), seed)
        .into()
}
