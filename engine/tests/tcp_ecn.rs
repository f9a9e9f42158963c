//! ECN (RFC 3168): asked for, answered, and obeyed once in a round trip.

mod tcp_support;

use braid_engine::tcp::{State, Tcb, TcbConfig};
use braid_engine::time::Duration;
use braid_engine::wire::tcp::TcpFlags;
use tcp_support::{ISS, Pair, Wire};

fn ecn() -> TcbConfig {
    TcbConfig {
        ecn: true,
        receive_window: 1 << 20,
        ..TcbConfig::default()
    }
}

/// Sends a segment of the trace on, marked.
fn marked(mut wire: Wire) -> Wire {
    wire.marked = true;
    wire
}

#[test]
fn a_mark_is_echoed_until_the_sender_says_that_it_reduced() {
    let mut pair = Pair::established(1, ecn(), TcbConfig::default());
    pair.write(0, 14_000);
    let sent = pair.flush(0);
    assert!(sent.iter().all(|wire| wire.ecn_capable));
    pair.run_for(Duration::from_millis(100));
    pair.drop = Some(Box::new(|from, _| from == 0));
    pair.write(0, 1_448);
    let lost = pair.flush(0);
    pair.drop = None;
    let before = pair.ends[0].tcb.progress().congestion_window;
    pair.deliver(1, marked(lost[0].clone()));
    let answer = pair.flush(1);
    assert!(answer.last().is_some_and(|wire| wire.has(TcpFlags::ECE)));
    pair.run_for(Duration::from_millis(100));
    let after = pair.ends[0].tcb.progress().congestion_window;
    assert!(after < before, "{after} < {before}");
    let threshold = pair.ends[0].tcb.progress().slow_start_threshold;
    assert!(threshold < before);
    assert_eq!(pair.ends[0].tcb.progress().retransmissions, 0);
    pair.write(0, 2 * 1_448);
    let next = pair.flush(0);
    let with_cwr: Vec<bool> = next.iter().map(|wire| wire.has(TcpFlags::CWR)).collect();
    assert_eq!(with_cwr, [true, false]);
    pair.trace = Some(Vec::new());
    pair.run_for(Duration::from_millis(100));
    let trace = pair.trace.take().unwrap_or_default();
    assert!(trace.iter().all(|(_, _, wire)| !wire.has(TcpFlags::ECE)));
    let last = pair.ends[0].tcb.progress().slow_start_threshold;
    assert_eq!(last, threshold, "one reduction");
    assert_eq!(pair.ends[1].received, 14_000 + 3 * 1_448);
}

#[test]
fn without_negotiation_marks_mean_nothing() {
    let plain = TcbConfig {
        ecn: false,
        ..ecn()
    };
    let mut pair = Pair::established(2, plain.clone(), plain);
    pair.drop = Some(Box::new(|from, _| from == 0));
    pair.write(0, 1_448);
    let lost = pair.flush(0);
    assert!(lost.iter().all(|wire| !wire.ecn_capable));
    pair.drop = None;
    pair.deliver(1, marked(lost[0].clone()));
    assert!(pair.flush(1).iter().all(|wire| !wire.has(TcpFlags::ECE)));
}

#[test]
fn a_second_syn_does_not_ask_and_pure_acknowledgments_are_not_capable() {
    let mut pair = Pair::new(3, ecn(), ecn());
    pair.drop = Some(Box::new(|_, _| true));
    let asks = TcpFlags::ECE | TcpFlags::CWR;
    assert!(pair.flush(0)[0].header.flags.contains(asks));
    pair.trace = Some(Vec::new());
    pair.run_for(Duration::from_millis(1_500));
    let trace = pair.trace.take().unwrap_or_default();
    let again = trace.iter().find(|(_, from, _)| *from == 0);
    assert_eq!(
        again.map(|(_, _, wire)| wire.header.flags),
        Some(TcpFlags::SYN)
    );
    let mut pair = Pair::established(4, ecn(), TcbConfig::default());
    pair.ends[0].tcb.request_ack();
    assert!(pair.flush(0).iter().all(|wire| !wire.ecn_capable));
}

#[test]
fn a_reflected_syn_flag_pair_is_no_agreement() {
    let mut pair = Pair::new(5, ecn(), ecn());
    pair.drop = Some(Box::new(|_, _| true));
    let syn = pair.flush(0)[0].header.clone();
    let mut reply = tcp_support::syn_ack_of(&ecn(), pair.now, &syn);
    reply.flags |= TcpFlags::ECE | TcpFlags::CWR;
    pair.deliver(0, Wire::bare(reply));
    let client: &Tcb = &pair.ends[0].tcb;
    assert_eq!(client.state(), State::Established);
    assert_eq!(client.initial_sequence(), ISS);
    pair.write(0, 100);
    assert!(pair.flush(0).iter().all(|wire| !wire.ecn_capable));
}
