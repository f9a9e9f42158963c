//! A peer that knows the keys and lies: segments whose options are changed on their way, sound in
//! form and wrong in meaning. Nothing may panic, run for ever or stay behind.

mod stack_support;

use braid_engine::random::Random;
use braid_engine::sequence::DataSequenceNumber;
use braid_engine::stack::StackConfig;
use braid_engine::time::Duration;
use braid_engine::wire::checksum::Sum;
use braid_engine::wire::ip::Protocol;
use braid_engine::wire::mptcp_option::{DataNumber, Dss, DssMapping, Key, MptcpOption};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader, set_checksum};
use braid_engine::wire::tcp_option::OPTION_SPACE;
use core::net::SocketAddr;
use stack_support::raw::Seen;
use stack_support::{Network, PLAIN, Sent, Side, pattern, v4};

/// Distances at which numbers of 16, 32 and 64 bits go wrong.
const DISTANCES: [u64; 12] = [
    1,
    2,
    1_000,
    1 << 16,
    1 << 20,
    1 << 31,
    1 << 32,
    1 << 63,
    u64::MAX,
    u64::MAX - 999,
    u64::MAX - (1 << 16),
    u64::MAX - (1 << 31),
];

fn astray(number: DataNumber, random: &mut Random) -> DataNumber {
    let distance = DISTANCES[random.below(DISTANCES.len() as u64) as usize];
    match number {
        DataNumber::Long(number) if random.below(4) == 0 => DataNumber::Short(number.low()),
        DataNumber::Long(number) => DataNumber::Long(number + distance),
        DataNumber::Short(low) => DataNumber::Short(low.wrapping_add(distance as u32)),
    }
}

fn bend_mapping(mapping: &mut DssMapping, random: &mut Random) {
    match random.below(6) {
        0 => mapping.length = random.next_u32() as u16,
        1 => mapping.length = [0, 1, u16::MAX][random.below(3) as usize],
        2 => mapping.subflow_offset = random.next_u32(),
        3 => mapping.subflow_offset = mapping.subflow_offset.wrapping_add(random.below(3) as u32),
        4 => mapping.checksum = mapping.checksum.xor(Some(random.next_u32() as u16)),
        _ => mapping.data_sequence = astray(mapping.data_sequence, random),
    }
}

fn bend_dss(dss: &mut Dss, random: &mut Random) {
    match random.below(4) {
        0 => dss.data_ack = dss.data_ack.map(|number| astray(number, random)),
        1 => dss.data_fin ^= dss.mapping.is_some(),
        2 => dss.data_ack = None,
        _ => {
            if let Some(mapping) = &mut dss.mapping {
                bend_mapping(mapping, random);
            }
        }
    }
}

/// An option that nobody asked for.
fn unasked(random: &mut Random) -> MptcpOption {
    let number = random.next_u64();
    let address_id = random.below(5) as u8;
    let address = [
        v4(Side::Client, random.below(4) as u8),
        v4(Side::Server, random.below(4) as u8),
        [224, 0, 0, 1].into(),
        [0, 0, 0, 0].into(),
    ][random.below(4) as usize];
    match random.below(7) {
        0 => MptcpOption::Fail {
            data_sequence: DataSequenceNumber(number),
        },
        1 => MptcpOption::Fastclose {
            receiver_key: Key(number),
        },
        2 => MptcpOption::RemoveAddress {
            address_ids: [address_id, 0, 77].into_iter().collect(),
        },
        3 => MptcpOption::Priority {
            backup: number & 1 == 0,
        },
        4 => MptcpOption::JoinAck {
            hmac: [number as u8; 20],
        },
        5 => MptcpOption::Dss(Dss {
            data_ack: None,
            mapping: Some(DssMapping {
                data_sequence: DataNumber::Long(DataSequenceNumber(number)),
                subflow_offset: 0,
                length: 1,
                checksum: None,
            }),
            data_fin: true,
        }),
        _ => MptcpOption::AddAddress {
            address_id,
            address,
            port: (number & 1 == 0).then_some(number as u16),
            hmac: (number & 2 == 0).then_some(number),
        },
    }
}

fn bend(header: &mut TcpHeader, random: &mut Random) {
    let options = &mut header.options.mptcp;
    match random.below(6) {
        0 => options.clear(),
        1 => {
            options.clear();
            options.push(unasked(random));
        }
        2 => {
            let option = unasked(random);
            if options.try_push(option).is_err() {
                options.clear();
            }
        }
        _ => {
            for option in options.iter_mut() {
                if let MptcpOption::Dss(dss) = option {
                    bend_dss(dss, random);
                }
            }
        }
    }
    if header.options.len() > OPTION_SPACE {
        header.options.mptcp.clear();
    }
}

/// Writes the segment anew with other options.
fn rewrite(sent: &mut Sent, change: impl FnOnce(&mut TcpHeader)) {
    let seen = Seen::of(sent);
    let (Some(mut header), Some(ip)) = (seen.tcp(), seen.ip.as_ref()) else {
        return;
    };
    if header.flags.contains(TcpFlags::SYN) {
        return;
    }
    let data = seen.payload[header.header_len()..].to_vec();
    change(&mut header);
    let length = header.header_len();
    let mut segment = vec![0; length + data.len()];
    header.emit(&mut segment).expect("the options fit");
    segment[length..].copy_from_slice(&data);
    let pseudo = braid_engine::wire::checksum::PseudoHeader::new(
        ip.source(),
        ip.destination(),
        Protocol::Tcp,
    );
    let pseudo = pseudo.expect("one family");
    set_checksum(&mut segment[..length], &pseudo, Sum::of(&data), data.len());
    let ethernet = sent.bytes[..14].to_vec();
    let mut bytes =
        stack_support::raw::ip_frame(ip.source(), ip.destination(), Protocol::Tcp, &segment);
    bytes[..14].copy_from_slice(&ethernet);
    sent.bytes = bytes;
}

/// Both sides send and read for a while, then close.
fn live_and_close(network: &mut Network, random: &mut Random) {
    let (client, server) = network.establish(SocketAddr::new(v4(Side::Server, 0), 80));
    let bytes = pattern(30_000, 1);
    for turn in 0..150 {
        let now = network.now;
        let some = &bytes[..random.below(30_000) as usize];
        // Whatever the calls say: the lies may have ended the connection.
        let _ = network.client.stack.send(now, client, some);
        let _ = network.server.stack.send(now, server, some);
        let _ = network.client.stack.recv(now, client, &mut [0; 30_000]);
        let _ = network.server.stack.recv(now, server, &mut [0; 30_000]);
        if turn == 120 && random.below(2) == 0 {
            network.client.stack.close(now, client);
        }
        network.run_for(Duration::from_millis(9));
    }
    let now = network.now;
    network.client.stack.close(now, client);
    network.server.stack.close(now, server);
}

#[test]
fn lies_in_options_leave_nothing_behind() {
    for seed in 0..200 {
        eprintln!("seed {seed}");
        let mut random = Random::from_u64(seed);
        let links = 1 + random.below(4) as u8;
        let checksum = random.below(3) == 0;
        let late = random.below(3) == 0;
        let config = || StackConfig {
            checksum,
            message_delay: late.then_some((Duration::from_micros(1), Duration::from_millis(4))),
            send_buffer: 128 << 10,
            receive_buffer: 128 << 10,
            ..StackConfig::default()
        };
        let mut network = Network::with(config(), config(), links, PLAIN);
        network.full_paths(links, false);
        network.listen();
        let rate = 1 + random.below(100);
        let liar = [Side::Client, Side::Server][random.below(2) as usize];
        let both = random.below(4) == 0;
        let mut lies = random.fork("lies");
        network.filter = Box::new(move |side, sent| {
            if (both || side == liar) && lies.below(1_000) < rate {
                rewrite(sent, |header| bend(header, &mut lies));
            }
            true
        });
        live_and_close(&mut network, &mut random);
        // A subflow whose peer never closes goes by its own timers.
        network.run_for(Duration::from_secs(1_800));
        for (name, host) in [("client", &network.client), ("server", &network.server)] {
            assert_eq!(host.stack.connection_count(), 0, "{name}");
            assert_eq!(host.stack.subflow_count(), 0, "{name}");
            assert_eq!(host.stack.flow_counts(), (0, 0), "{name}");
            assert_eq!(host.counter("EnginePayloadMissing"), 0, "{name}");
        }
    }
}
