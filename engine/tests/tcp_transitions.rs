//! The transition table of TCP: every state, every class of segment or call.

mod tcp_support;

use braid_engine::tcp::{End, State, TcbConfig};
use braid_engine::time::Duration;
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use braid_engine::wire::tcp_option::Timestamps;
use core::fmt::Write;
use tcp_support::{ISS, Pair, Wire};

const STATES: [State; 9] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

#[derive(Copy, Clone, Debug)]
enum Input {
    Syn,
    SynAck,
    AckOfAll,
    AckBeyond,
    AckOld,
    DataInWindow,
    DataAhead,
    DataOutOfWindow,
    Fin,
    RstExact,
    RstInWindow,
    RstOutside,
    Close,
    Abort,
    Exhausted,
}

const INPUTS: [Input; 15] = [
    Input::Syn,
    Input::SynAck,
    Input::AckOfAll,
    Input::AckBeyond,
    Input::AckOld,
    Input::DataInWindow,
    Input::DataAhead,
    Input::DataOutOfWindow,
    Input::Fin,
    Input::RstExact,
    Input::RstInWindow,
    Input::RstOutside,
    Input::Close,
    Input::Abort,
    Input::Exhausted,
];

const PEER_ISS: u32 = 77;

/// Brings end 0 to a state. From there on nothing reaches end 1.
fn reach(state: State) -> Pair {
    let config = TcbConfig {
        timestamps: false,
        ..TcbConfig::default()
    };
    let mut pair = match state {
        State::SynSent | State::SynReceived => Pair::new(1, config.clone(), config),
        _ => Pair::established(1, config.clone(), config),
    };
    let blocked = pair.delay * 3 / 2;
    match state {
        State::Closed | State::Established => {}
        State::SynSent => {
            pair.flush(0);
        }
        State::SynReceived => {
            pair.flush(1);
            pair.flush(0);
            pair.drop = Some(Box::new(|_, _| true));
            pair.run_for(blocked);
            pair.flush(0);
        }
        State::FinWait1 => {
            pair.drop = Some(Box::new(|_, _| true));
            pair.ends[0].tcb.close();
            pair.flush(0);
        }
        State::FinWait2 => {
            pair.ends[0].tcb.close();
            pair.run_for(Duration::from_millis(100));
        }
        State::CloseWait => {
            pair.ends[1].tcb.close();
            pair.run_for(Duration::from_millis(100));
        }
        State::Closing => {
            // The acknowledgment of the FIN is lost, the peer's FIN is not.
            pair.drop = Some(Box::new(|from, wire| from == 0 || !wire.has(TcpFlags::FIN)));
            pair.ends[0].tcb.close();
            pair.ends[1].tcb.close();
            pair.run_for(blocked);
        }
        State::LastAck => {
            pair.ends[1].tcb.close();
            pair.run_for(Duration::from_millis(100));
            pair.drop = Some(Box::new(|_, _| true));
            pair.ends[0].tcb.close();
            pair.flush(0);
        }
        State::TimeWait => {
            pair.ends[0].tcb.close();
            pair.run_for(Duration::from_millis(100));
            pair.ends[1].tcb.close();
            pair.run_for(Duration::from_millis(15));
        }
    }
    assert_eq!(pair.ends[0].tcb.state(), state);
    pair.drop = Some(Box::new(|_, _| true));
    pair
}

/// The segment of an input class for end 0 as it stands.
fn segment(pair: &Pair, input: Input) -> Wire {
    let tcb = &pair.ends[0].tcb;
    let synchronized = tcb.peer_initial_sequence().is_some();
    let fin_received = matches!(
        tcb.state(),
        State::CloseWait | State::Closing | State::LastAck | State::TimeWait
    );
    let fin_sent = matches!(
        tcb.state(),
        State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck | State::TimeWait
    );
    let next = ISS + PEER_ISS + u32::from(synchronized) + u32::from(fin_received);
    let all = ISS + 1 + u32::from(fin_sent);
    let mut header = TcpHeader {
        sequence: next,
        acknowledgment: all,
        flags: TcpFlags::ACK,
        window: 8_000,
        ..TcpHeader::default()
    };
    header.options.timestamps = None::<Timestamps>;
    let mut payload = Vec::new();
    let data: Vec<u8> = (0..10)
        .map(|offset| tcp_support::pattern(1, offset))
        .collect();
    match input {
        Input::Syn => {
            header.flags = TcpFlags::SYN;
            header.sequence = ISS + PEER_ISS;
        }
        Input::SynAck => {
            header.flags = TcpFlags::SYN | TcpFlags::ACK;
            header.sequence = ISS + PEER_ISS;
        }
        Input::AckOfAll => {}
        Input::AckBeyond => header.acknowledgment = all + 100,
        Input::AckOld => header.acknowledgment = all - 100_000_000,
        Input::DataInWindow => payload = data,
        Input::DataAhead => {
            header.sequence = next + 100;
            payload = data;
        }
        Input::DataOutOfWindow => {
            header.sequence = next + 100_000_000;
            payload = data;
        }
        Input::Fin => header.flags |= TcpFlags::FIN,
        Input::RstExact => header.flags |= TcpFlags::RST,
        Input::RstInWindow => {
            header.flags |= TcpFlags::RST;
            header.sequence = next + 100;
        }
        Input::RstOutside => {
            header.flags |= TcpFlags::RST;
            header.sequence = next + 100_000_000;
        }
        Input::Close | Input::Abort | Input::Exhausted => unreachable!("no segment"),
    }
    let mut wire = Wire::bare(header);
    wire.payload = payload;
    wire
}

fn describe(wire: &Wire) -> String {
    let mut text = String::new();
    for (flag, name) in [
        (TcpFlags::SYN, "SYN"),
        (TcpFlags::FIN, "FIN"),
        (TcpFlags::RST, "RST"),
        (TcpFlags::ACK, "ACK"),
    ] {
        if wire.has(flag) {
            if !text.is_empty() {
                text.push('/');
            }
            text.push_str(name);
        }
    }
    let _ = write!(text, " seq={}", wire.header.sequence - ISS);
    if wire.has(TcpFlags::ACK) {
        let _ = write!(
            text,
            " ack={}",
            wire.header.acknowledgment - (ISS + PEER_ISS)
        );
    }
    if !wire.header.options.sack.is_empty() {
        text.push_str(" sack");
    }
    text
}

fn name(end: &End) -> &'static str {
    match end {
        End::TimeWait(_) => "TimeWait",
        End::Closed => "Closed",
        End::Aborted => "Aborted",
        End::Reset => "Reset",
        End::Refused => "Refused",
        End::TimedOut => "TimedOut",
        End::Unreachable => "Unreachable",
    }
}

/// One row: the next state, what is sent, and the end if it is one.
fn transition(state: State, input: Input) -> String {
    let mut pair = reach(state);
    pair.flush(0);
    let mut sent = Vec::new();
    match input {
        Input::Close => pair.ends[0].tcb.close(),
        Input::Abort => pair.ends[0].tcb.abort(),
        Input::Exhausted => {
            pair.trace = Some(Vec::new());
            pair.run_for(Duration::from_secs(3_600));
            let trace = pair.trace.take().unwrap_or_default();
            let last = trace.into_iter().rfind(|(_, from, _)| *from == 0);
            sent.extend(last.map(|(_, _, wire)| wire));
        }
        _ => {
            let wire = segment(&pair, input);
            pair.deliver(0, wire);
        }
    }
    sent.extend(pair.flush(0));
    let sent: Vec<String> = sent.iter().map(describe).collect();
    let sent = if sent.is_empty() {
        "nothing".to_owned()
    } else {
        sent.join(", ")
    };
    let next = format!("{:?}", pair.ends[0].tcb.state());
    let end = pair.ends[0].tcb.take_end();
    let end = end.as_ref().map_or("", name);
    let input = format!("{input:?}");
    format!("{input:<16} -> {next:<12} {sent:<28} {end}")
        .trim_end()
        .to_owned()
}

#[test]
fn every_state_meets_every_input() {
    let mut table = String::new();
    for state in STATES {
        let _ = writeln!(table, "{state:?}");
        for input in INPUTS {
            let _ = writeln!(table, "  {}", transition(state, input));
        }
    }
    insta::assert_snapshot!(table);
}
