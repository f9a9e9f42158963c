//! The options that programs set without knowing of Multipath TCP (tcp(7), socket(7), ip(7),
//! ipv6(7)); on a connection they apply to all subflows.

use std::time::Duration;

use braid_engine::congestion::ControllerKind;
use braid_engine::socket::{SocketError, SocketOptions};
use braid_engine::stack::ConnectionId;
use braid_engine::tcp::Keepalive;

use super::{Outcome, tcp_info, value};
use crate::server::control::Control;
use crate::server::host::{Turn, WorkerGone};
use crate::server::look::Seen;
use crate::server::socket::{Domain, State};
use crate::server::table::Key;
use braid_dataplane::application::errno;

/// Options that have no effect here and are given back as they were set, and those whose times
/// take effect only together with another one.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::server) struct Kept {
    reuse_address: bool,
    reuse_port: bool,
    out_of_band_inline: bool,
    priority: i32,
    quick_ack: bool,
    defer_accept: i32,
    fast_open: i32,
    maximum_segment: i32,
    syn_count: i32,
    linger_two: i32,
    window_clamp: i32,
    not_sent_low_water: i32,
    ipv6_only: bool,
    keepalive: bool,
    times: Keepalive,
}

impl Kept {
    /// SO_REUSEPORT.
    pub(in crate::server) fn reuse_port(&self) -> bool {
        self.reuse_port
    }

    /// IPV6_V6ONLY.
    pub(in crate::server) fn ipv6_only(&self) -> bool {
        self.ipv6_only
    }
}

impl Default for Kept {
    /// Linux's defaults.
    fn default() -> Self {
        Self {
            reuse_address: false,
            reuse_port: false,
            out_of_band_inline: false,
            priority: 0,
            quick_ack: true,
            defer_accept: 0,
            fast_open: 0,
            maximum_segment: 536,
            syn_count: 6,
            linger_two: 60,
            window_clamp: 0,
            not_sent_low_water: -1,
            ipv6_only: false,
            keepalive: false,
            times: Keepalive {
                idle: Duration::from_secs(7_200),
                interval: Duration::from_secs(75),
                count: 9,
            },
        }
    }
}

/// An option, by what it means.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Classic {
    Error,
    Type,
    Domain,
    Protocol,
    AcceptConnections,
    ReuseAddress,
    ReusePort,
    OutOfBandInline,
    Priority,
    SendBuffer,
    ReceiveBuffer,
    KeepAlive,
    KeepIdle,
    KeepInterval,
    KeepCount,
    Linger,
    BindToDevice,
    NoDelay,
    Cork,
    UserTimeout,
    Congestion,
    Info,
    MaximumSegment,
    QuickAck,
    DeferAccept,
    FastOpen,
    SynCount,
    LingerTwo,
    WindowClamp,
    NotSentLowWater,
    TypeOfService,
    TimeToLive,
    TrafficClass,
    HopLimit,
    Ipv6Only,
}

impl Classic {
    /// The option of that number.
    pub(super) fn of(level: i32, name: i32) -> Option<Self> {
        Some(match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => Self::Error,
            (libc::SOL_SOCKET, libc::SO_TYPE) => Self::Type,
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => Self::Domain,
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => Self::Protocol,
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => Self::AcceptConnections,
            (libc::SOL_SOCKET, libc::SO_REUSEADDR) => Self::ReuseAddress,
            (libc::SOL_SOCKET, libc::SO_REUSEPORT) => Self::ReusePort,
            (libc::SOL_SOCKET, libc::SO_OOBINLINE) => Self::OutOfBandInline,
            (libc::SOL_SOCKET, libc::SO_PRIORITY) => Self::Priority,
            (libc::SOL_SOCKET, libc::SO_SNDBUF) => Self::SendBuffer,
            (libc::SOL_SOCKET, libc::SO_RCVBUF) => Self::ReceiveBuffer,
            (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => Self::KeepAlive,
            (libc::SOL_SOCKET, libc::SO_LINGER) => Self::Linger,
            (libc::SOL_SOCKET, libc::SO_BINDTODEVICE) => Self::BindToDevice,
            (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => Self::KeepIdle,
            (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => Self::KeepInterval,
            (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => Self::KeepCount,
            (libc::IPPROTO_TCP, libc::TCP_NODELAY) => Self::NoDelay,
            (libc::IPPROTO_TCP, libc::TCP_CORK) => Self::Cork,
            (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => Self::UserTimeout,
            (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => Self::Congestion,
            (libc::IPPROTO_TCP, libc::TCP_INFO) => Self::Info,
            (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => Self::MaximumSegment,
            (libc::IPPROTO_TCP, libc::TCP_QUICKACK) => Self::QuickAck,
            (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT) => Self::DeferAccept,
            (libc::IPPROTO_TCP, libc::TCP_FASTOPEN) => Self::FastOpen,
            (libc::IPPROTO_TCP, libc::TCP_SYNCNT) => Self::SynCount,
            (libc::IPPROTO_TCP, libc::TCP_LINGER2) => Self::LingerTwo,
            (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP) => Self::WindowClamp,
            (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT) => Self::NotSentLowWater,
            (libc::IPPROTO_IP, libc::IP_TOS) => Self::TypeOfService,
            (libc::IPPROTO_IP, libc::IP_TTL) => Self::TimeToLive,
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => Self::TrafficClass,
            (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) => Self::HopLimit,
            (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => Self::Ipv6Only,
            _ => return None,
        })
    }
}

impl Classic {
    /// Whether what is in effect on a connection may be another than what was set.
    const fn is_decided_by_stack(self) -> bool {
        matches!(
            self,
            Self::SendBuffer | Self::ReceiveBuffer | Self::Congestion
        )
    }
}

/// What a connection is told of an option.
type Change = fn(&mut Turn<'_>, ConnectionId, &SocketOptions) -> Result<(), SocketError>;

impl Control {
    pub(super) fn set_classic(
        &mut self,
        key: Key,
        option: Classic,
        bytes: &[u8],
    ) -> Result<Outcome, WorkerGone> {
        let change = match self.record(key, option, bytes) {
            Ok(change) => change,
            Err(errno) => return Ok(Err(errno)),
        };
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let Some(change) = change else {
            return Ok(Ok((0, Vec::new())));
        };
        let options = socket.options.clone();
        let told = match socket.state {
            State::Connected { connection, .. } => self
                .hosts
                .call_home(connection, move |turn, id| change(turn, id, &options))?,
            State::Listening { ref listeners, .. } => self.set_listener_options(listeners, options),
            State::Open { .. } | State::Lost { .. } | State::Ending { .. } => Ok(()),
        };
        Ok(match told {
            // A connection that is over takes any option, as the kernel's does.
            Ok(()) | Err(SocketError::BadHandle) => Ok((0, Vec::new())),
            Err(error) => Err(errno(error)),
        })
    }

    /// Judges a value and keeps it in the socket. What a connection has to be told of it comes back.
    fn record(&mut self, key: Key, option: Classic, bytes: &[u8]) -> Result<Option<Change>, i32> {
        let ports: Vec<(String, String)> = self
            .config
            .ports
            .iter()
            .map(|port| (port.name.clone(), port.kind.interface().to_owned()))
            .collect();
        let largest_buffer = self.config.applications.buffer;
        let socket = self.sockets.get_mut(key).ok_or(libc::EBADF)?;
        let connected = socket.connection().is_some();
        let kept = &mut socket.kept;
        let options = &mut socket.options;
        let change: Change = match option {
            Classic::Error
            | Classic::Type
            | Classic::Domain
            | Classic::Protocol
            | Classic::AcceptConnections
            | Classic::Info => return Err(libc::ENOPROTOOPT),
            // SO_LINGER stands in the slot, where the application's side writes it.
            Classic::Linger => return Ok(None),
            Classic::ReuseAddress => {
                kept.reuse_address = value::flag(bytes)?;
                return Ok(None);
            }
            Classic::ReusePort => {
                kept.reuse_port = value::flag(bytes)?;
                return Ok(None);
            }
            Classic::OutOfBandInline => {
                kept.out_of_band_inline = value::flag(bytes)?;
                return Ok(None);
            }
            Classic::Priority => {
                kept.priority = value::within(bytes, 0, 6)?;
                return Ok(None);
            }
            Classic::QuickAck => {
                kept.quick_ack = value::flag(bytes)?;
                return Ok(None);
            }
            Classic::DeferAccept => {
                kept.defer_accept = value::int(bytes)?.max(0);
                return Ok(None);
            }
            Classic::FastOpen => {
                kept.fast_open = value::within(bytes, 0, i32::MAX)?;
                return Ok(None);
            }
            Classic::MaximumSegment => {
                kept.maximum_segment = value::within(bytes, 88, 32_767)?;
                options.maximum_segment = u16::try_from(kept.maximum_segment).ok();
                // Connections to come of a listener have it; on one that is there it changes nothing.
                |_, _, _| Ok(())
            }
            Classic::SynCount => {
                kept.syn_count = value::within(bytes, 1, 127)?;
                return Ok(None);
            }
            Classic::LingerTwo => {
                kept.linger_two = value::int(bytes)?;
                return Ok(None);
            }
            Classic::WindowClamp => {
                kept.window_clamp = value::within(bytes, 0, i32::MAX)?;
                return Ok(None);
            }
            Classic::NotSentLowWater => {
                kept.not_sent_low_water = value::int(bytes)?;
                return Ok(None);
            }
            Classic::Ipv6Only => {
                if socket.domain != Domain::Inet6 {
                    return Err(libc::ENOPROTOOPT);
                }
                if !matches!(socket.state, State::Open { bound: None }) {
                    return Err(libc::EINVAL);
                }
                kept.ipv6_only = value::flag(bytes)?;
                return Ok(None);
            }
            Classic::SendBuffer => {
                // The kernel doubles what it is asked for, and says so; programs count on that.
                options.send_buffer = Some(buffer(value::int(bytes)?, largest_buffer));
                |turn, connection, options| {
                    let bytes = options.send_buffer.unwrap_or_default();
                    turn.stack.set_send_buffer(turn.now, connection, bytes)
                }
            }
            Classic::ReceiveBuffer => {
                options.receive_buffer = Some(buffer(value::int(bytes)?, largest_buffer));
                |turn, connection, options| {
                    let bytes = options.receive_buffer.unwrap_or_default();
                    turn.stack.set_receive_buffer(turn.now, connection, bytes)
                }
            }
            Classic::KeepAlive | Classic::KeepIdle | Classic::KeepInterval | Classic::KeepCount => {
                match option {
                    Classic::KeepIdle => kept.times.idle = value::seconds(bytes)?,
                    Classic::KeepInterval => kept.times.interval = value::seconds(bytes)?,
                    Classic::KeepCount => {
                        kept.times.count = value::within(bytes, 1, 127)?.unsigned_abs();
                    }
                    _ => kept.keepalive = value::flag(bytes)?,
                }
                options.keepalive = kept.keepalive.then_some(kept.times);
                |turn, connection, options| {
                    turn.stack
                        .set_keepalive(turn.now, connection, options.keepalive)
                }
            }
            Classic::BindToDevice => {
                if connected {
                    return Err(libc::EISCONN);
                }
                let wanted = value::name(bytes)?;
                options.device = if wanted.is_empty() {
                    None
                } else {
                    let index = ports
                        .iter()
                        .position(|(name, interface)| name == wanted || interface == wanted)
                        .ok_or(libc::ENODEV)?;
                    u16::try_from(index).ok().map(braid_engine::stack::PortId)
                };
                return Ok(None);
            }
            Classic::NoDelay => {
                options.nodelay = value::flag(bytes)?;
                |turn, connection, options| {
                    turn.stack
                        .set_nodelay(turn.now, connection, options.nodelay)
                }
            }
            Classic::Cork => {
                options.cork = value::flag(bytes)?;
                |turn, connection, options| turn.stack.set_cork(turn.now, connection, options.cork)
            }
            Classic::UserTimeout => {
                let milliseconds = value::within(bytes, 0, i32::MAX)?.unsigned_abs();
                options.user_timeout =
                    (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()));
                |turn, connection, options| {
                    turn.stack
                        .set_user_timeout(turn.now, connection, options.user_timeout)
                }
            }
            Classic::Congestion => {
                let kind: ControllerKind = value::name(bytes)?.parse().map_err(|_| libc::ENOENT)?;
                options.congestion = Some(kind);
                |turn, connection, options| {
                    let kind = options.congestion.unwrap_or_default();
                    turn.stack.set_congestion(turn.now, connection, kind)
                }
            }
            Classic::TypeOfService | Classic::TrafficClass => {
                let class = value::within(bytes, -1, 255)?;
                options.traffic_class = u8::try_from(class).unwrap_or(0);
                |turn, connection, options| {
                    turn.stack
                        .set_traffic_class(connection, options.traffic_class)
                }
            }
            Classic::TimeToLive | Classic::HopLimit => {
                let limit = value::within(bytes, -1, 255)?;
                if limit == 0 {
                    return Err(libc::EINVAL);
                }
                options.hop_limit = u8::try_from(limit).ok();
                |turn, connection, options| turn.stack.set_hop_limit(connection, options.hop_limit)
            }
        };
        Ok(Some(change))
    }

    pub(super) fn get_classic(&mut self, key: Key, option: Classic) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let kept = socket.kept;
        let options = &socket.options;
        let stack = &self.config.stack;
        let settings = match socket.connection() {
            // Policy may have given it other buffers, and the command line another controller.
            Some(connection) if option.is_decided_by_stack() => self
                .hosts
                .call_home(connection, |turn, id| turn.stack.connection_settings(id))?,
            _ => None,
        };
        let flag = |flag: bool| value::of_int(flag.into());
        let data = match option {
            // The application's side takes the error from the slot; what is left is none.
            Classic::Error => value::of_int(0),
            Classic::Type => value::of_int(libc::SOCK_STREAM),
            Classic::Domain => value::of_int(socket.domain.number()),
            Classic::Protocol => value::of_int(match socket.protocol {
                0 => libc::IPPROTO_TCP,
                protocol => protocol,
            }),
            Classic::AcceptConnections => flag(matches!(socket.state, State::Listening { .. })),
            Classic::Linger => return Ok(Err(libc::ENOPROTOOPT)),
            Classic::ReuseAddress => flag(kept.reuse_address),
            Classic::ReusePort => flag(kept.reuse_port),
            Classic::OutOfBandInline => flag(kept.out_of_band_inline),
            Classic::Priority => value::of_int(kept.priority),
            Classic::QuickAck => flag(kept.quick_ack),
            Classic::DeferAccept => value::of_int(kept.defer_accept),
            Classic::FastOpen => value::of_int(kept.fast_open),
            Classic::SynCount => value::of_int(kept.syn_count),
            Classic::LingerTwo => value::of_int(kept.linger_two),
            Classic::WindowClamp => value::of_int(kept.window_clamp),
            Classic::NotSentLowWater => value::of_int(kept.not_sent_low_water),
            Classic::Ipv6Only => flag(kept.ipv6_only),
            Classic::SendBuffer => value::of_size(settings.map_or_else(
                || options.send_buffer.unwrap_or(stack.send_buffer),
                |settings| settings.send_buffer,
            )),
            Classic::ReceiveBuffer => value::of_size(settings.map_or_else(
                || options.receive_buffer.unwrap_or(stack.receive_buffer),
                |settings| settings.receive_buffer,
            )),
            Classic::KeepAlive => flag(kept.keepalive),
            Classic::KeepIdle => value::of_size(kept.times.idle.as_secs()),
            Classic::KeepInterval => value::of_size(kept.times.interval.as_secs()),
            Classic::KeepCount => value::of_size(kept.times.count),
            Classic::BindToDevice => options
                .device
                .and_then(|port| self.config.ports.get(usize::from(port.0)))
                .map_or_else(Vec::new, |port| {
                    let mut name = port.kind.interface().as_bytes().to_vec();
                    name.push(0);
                    name
                }),
            Classic::NoDelay => flag(options.nodelay),
            Classic::Cork => flag(options.cork),
            Classic::UserTimeout => {
                value::of_size(options.user_timeout.unwrap_or_default().as_millis())
            }
            Classic::Congestion => {
                let controller = settings.map_or_else(
                    || options.congestion.unwrap_or(stack.congestion),
                    |settings| settings.congestion,
                );
                value::of_name(controller.name())
            }
            Classic::Info => return self.tcp_info(key),
            Classic::MaximumSegment => return self.maximum_segment(key),
            Classic::TypeOfService | Classic::TrafficClass => {
                value::of_int(options.traffic_class.into())
            }
            Classic::TimeToLive | Classic::HopLimit => {
                value::of_int(options.hop_limit.unwrap_or(stack.hop_limit).into())
            }
        };
        Ok(Ok((0, data)))
    }

    /// TCP_INFO: of the first subflow, or of the oldest one that is there.
    fn tcp_info(&self, key: Key) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let without = match socket.state {
            State::Listening { .. } => tcp_info::LISTEN,
            _ => tcp_info::CLOSE,
        };
        let Some(connection) = socket.connection() else {
            return Ok(Ok((0, tcp_info::of_state(without))));
        };
        let seen = self.hosts.look_at(connection)?;
        let oldest = seen.as_ref().and_then(Seen::oldest_tcp);
        let info = seen
            .as_ref()
            .zip(oldest)
            .map(|(seen, oldest)| tcp_info::encode(&oldest, seen.now));
        Ok(Ok((0, info.unwrap_or_else(|| tcp_info::of_state(without)))))
    }

    /// What the first subflow sends in one segment; what was set, before there is one.
    fn maximum_segment(&self, key: Key) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let set = socket.kept.maximum_segment;
        let Some(connection) = socket.connection() else {
            return Ok(Ok((0, value::of_int(set))));
        };
        let seen = self.hosts.look_at(connection)?;
        let first = seen.as_ref().and_then(Seen::oldest_tcp);
        let size = first.map(|first| first.send_segment_size);
        Ok(Ok((
            0,
            size.map_or_else(|| value::of_int(set), value::of_size),
        )))
    }
}

/// A buffer as the kernel sizes it: twice what is asked for, of which no more counts than `most`, and
/// not less than its least. A number below zero is a large one.
fn buffer(asked: i32, most: u32) -> u32 {
    const LEAST: u32 = 8 << 10;
    let asked = asked.cast_unsigned().min(most);
    asked.saturating_mul(2).max(LEAST)
}
