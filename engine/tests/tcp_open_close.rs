//! Handshakes, closing in every order, and what may and may not reset a connection.

mod tcp_support;

use braid_engine::tcp::time_wait::Reply;
use braid_engine::tcp::{Content, End, PlanKind, State, Tcb, TcbConfig};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use tcp_support::{ISS, Pair, Wire};

fn config() -> TcbConfig {
    TcbConfig::default()
}

fn ends(pair: &mut Pair) -> [Option<End>; 2] {
    let [first, second] = &mut pair.ends;
    [first.tcb.take_end(), second.tcb.take_end()]
}

#[test]
fn both_open_at_once() {
    for seed in 0..4 {
        let mut pair = Pair::new(seed, config(), config());
        pair.faults.loss_per_mille = if seed == 0 { 0 } else { 300 };
        pair.write(0, 10_000);
        pair.write(1, 5_000);
        pair.run_until(Duration::from_secs(300), |pair| {
            pair.ends[0].received == 5_000 && pair.ends[1].received == 10_000
        });
        assert_eq!(pair.states(), [State::Established; 2], "seed {seed}");
        assert!(pair.ends.iter().all(|end| end.established));
    }
}

#[test]
fn a_syn_is_repeated_with_backoff_and_then_given_up() {
    let settings = TcbConfig {
        syn_retries: 3,
        ..config()
    };
    let mut pair = Pair::new(1, settings, config());
    pair.trace = Some(Vec::new());
    pair.drop = Some(Box::new(|_, _| true));
    pair.run_for(Duration::from_secs(20));
    let seconds: Vec<u64> = pair
        .trace
        .iter()
        .flatten()
        .filter(|(_, from, _)| *from == 0)
        .map(|(at, _, wire)| {
            assert_eq!(wire.header.flags, TcpFlags::SYN);
            at.as_millis() / 1_000
        })
        .collect();
    assert_eq!(seconds, [1, 2, 4, 8]);
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::TimedOut));
}

#[test]
fn a_rst_refuses_only_if_it_acknowledges_the_syn() {
    let mut pair = Pair::new(2, config(), config());
    pair.drop = Some(Box::new(|_, _| true));
    pair.flush(0);
    let mut header = TcpHeader {
        flags: TcpFlags::RST | TcpFlags::ACK,
        acknowledgment: ISS + 2,
        ..TcpHeader::default()
    };
    pair.deliver(0, Wire::bare(header.clone()));
    assert_eq!(pair.ends[0].tcb.state(), State::SynSent);
    header.acknowledgment = ISS + 1;
    pair.deliver(0, Wire::bare(header));
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::Refused));
}

#[test]
fn unreachable_ends_a_handshake_and_nothing_later() {
    let mut pair = Pair::new(3, config(), config());
    pair.drop = Some(Box::new(|_, _| true));
    pair.flush(0);
    pair.ends[0].tcb.on_unreachable(true, ISS + 9);
    assert_eq!(
        pair.ends[0].tcb.state(),
        State::SynSent,
        "quotes what was never sent"
    );
    pair.ends[0].tcb.on_unreachable(false, ISS);
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::Unreachable));
    let mut pair = Pair::established(3, config(), config());
    pair.write(0, 100);
    pair.flush(0);
    pair.ends[0].tcb.on_unreachable(true, ISS + 1);
    pair.run_until(Duration::from_secs(1), |pair| pair.ends[1].received == 100);
}

#[test]
fn the_first_to_close_waits() {
    for first in [0, 1] {
        let mut pair = Pair::established(4, config(), config());
        pair.write(first, 3_000);
        pair.ends[first].tcb.close();
        pair.run_for(Duration::from_millis(200));
        assert!(pair.ends[1 - first].fin);
        assert_eq!(pair.ends[first].tcb.state(), State::FinWait2);
        assert_eq!(pair.ends[1 - first].tcb.state(), State::CloseWait);
        // Half closed: the other direction still carries data.
        pair.write(1 - first, 2_000);
        pair.run_for(Duration::from_millis(200));
        assert_eq!(pair.ends[first].received, 2_000);
        pair.ends[1 - first].tcb.close();
        pair.run_for(Duration::from_millis(200));
        let mut result = ends(&mut pair);
        assert_eq!(result[1 - first].take(), Some(End::Closed));
        assert!(matches!(result[first].take(), Some(End::TimeWait(_))));
        assert!(ends(&mut pair).iter().all(Option::is_none), "told once");
    }
}

#[test]
fn both_close_at_once() {
    for seed in 0..20 {
        let mut pair = Pair::established(seed, config(), config());
        pair.faults.loss_per_mille = if seed == 0 { 0 } else { 200 };
        pair.write(0, 5_000);
        pair.write(1, 5_000);
        pair.ends[0].tcb.close();
        pair.ends[1].tcb.close();
        pair.run_until(Duration::from_secs(600), |pair| {
            pair.ends
                .iter()
                .all(|end| end.fin && matches!(end.tcb.state(), State::TimeWait | State::Closed))
        });
        if seed == 0 {
            assert_eq!(pair.states(), [State::TimeWait; 2]);
        }
        assert!(pair.ends.iter().all(|end| end.received == 5_000));
    }
}

#[test]
fn closing_before_the_handshake_is_over() {
    let mut pair = Pair::new(5, config(), config());
    pair.ends[0].tcb.close();
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::Closed));
    assert!(pair.flush(0).is_empty());
    // In SYN-RECEIVED the FIN waits for the handshake.
    let mut pair = Pair::new(6, config(), config());
    pair.flush(0);
    pair.flush(1);
    pair.run_for(Duration::from_millis(10));
    assert_eq!(pair.states(), [State::SynReceived; 2]);
    pair.ends[0].tcb.close();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.states(), [State::FinWait2, State::CloseWait]);
}

#[test]
fn abort_resets_the_peer() {
    let mut pair = Pair::established(7, config(), config());
    pair.write(0, 1_000_000);
    pair.run_for(Duration::from_millis(50));
    pair.ends[0].tcb.abort();
    assert_eq!(
        pair.ends[0].tcb.take_end(),
        None,
        "the RST is still to be sent"
    );
    let sent = pair.flush(0);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].has(TcpFlags::RST));
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::Aborted));
    pair.run_for(Duration::from_millis(50));
    assert!(pair.ends[1].reset);
    assert_eq!(pair.ends[1].tcb.take_end(), Some(End::Reset));
}

fn segment_to_server(pair: &Pair, flags: TcpFlags, ahead: u32) -> TcpHeader {
    let server = &pair.ends[1].tcb;
    let mut header = TcpHeader {
        sequence: ISS + 1 + server.received_offset() as u32 + ahead,
        acknowledgment: ISS + 77 + 1 + server.sent_offset() as u32,
        flags,
        window: 1_000,
        ..TcpHeader::default()
    };
    header.options.timestamps = Some(braid_engine::wire::tcp_option::Timestamps {
        value: u32::MAX / 2,
        echo: 0,
    });
    header
}

#[test]
fn resets_and_syns_of_an_attacker_are_challenged_within_a_limit() {
    let plain = TcbConfig {
        timestamps: false,
        ..config()
    };
    let mut pair = Pair::established(8, plain, config());
    let challenge = |pair: &mut Pair, flags, ahead: u32| {
        let header = segment_to_server(pair, flags, ahead);
        pair.deliver(1, Wire::bare(header));
        assert_eq!(pair.ends[1].tcb.state(), State::Established);
        pair.flush(1)
    };
    let answer = challenge(&mut pair, TcpFlags::RST, 1);
    assert_eq!(answer.len(), 1, "RST in the window: challenge ACK");
    assert_eq!(answer[0].header.flags, TcpFlags::ACK);
    assert_eq!(answer[0].header.acknowledgment, ISS + 1);
    assert!(challenge(&mut pair, TcpFlags::RST, 1 << 30).is_empty());
    assert!(challenge(&mut pair, TcpFlags::RST, u32::MAX).is_empty());
    assert_eq!(challenge(&mut pair, TcpFlags::SYN, 0).len(), 1);
    assert_eq!(challenge(&mut pair, TcpFlags::SYN, 5_000).len(), 1);
    let sent: usize = (0..1_000)
        .map(|_| challenge(&mut pair, TcpFlags::SYN, 0).len())
        .sum();
    assert!(sent <= 8, "{sent} challenges");
    assert!(pair.ends[1].tcb.suppressed_challenges() >= 990);
    let header = segment_to_server(&pair, TcpFlags::RST, 0);
    pair.deliver(1, Wire::bare(header));
    assert_eq!(pair.ends[1].tcb.take_end(), Some(End::Reset));
}

#[test]
fn acknowledgments_outside_the_range_are_challenged_and_carry_no_data() {
    let plain = TcbConfig {
        timestamps: false,
        ..config()
    };
    let mut pair = Pair::established(9, plain, config());
    for acknowledgment in [ISS + 77 + 2, ISS + 77 + 1 + (1 << 30), ISS + 77 - (1 << 30)] {
        let mut header = segment_to_server(&pair, TcpFlags::ACK, 0);
        header.acknowledgment = acknowledgment;
        let mut wire = Wire::bare(header);
        wire.payload = vec![0xee; 10];
        pair.deliver(1, wire);
        assert_eq!(pair.ends[1].received, 0);
        assert_eq!(pair.flush(1).len(), 1);
    }
}

#[test]
fn segments_of_a_former_life_are_dropped_by_their_timestamps() {
    let mut pair = Pair::established(10, config(), config());
    pair.write(0, 100);
    pair.run_for(Duration::from_millis(100));
    let mut header = segment_to_server(&pair, TcpFlags::ACK, 0);
    let mut old = Wire::bare(header.clone());
    old.payload = vec![0xee; 10];
    let stamps = old.header.options.timestamps.as_mut().expect("timestamps");
    let tcb_recent = pair.flush(1);
    assert!(tcb_recent.is_empty());
    // The peer's clock was random: half the space before it is certainly old.
    let sent = {
        pair.write(0, 1);
        pair.flush(0)
    };
    let recent = sent[0].header.options.timestamps.expect("timestamps").value;
    stamps.value = recent.wrapping_sub(1_000);
    pair.deliver(1, old.clone());
    assert_eq!(pair.ends[1].received, 100);
    assert_eq!(pair.flush(1).len(), 1, "answered");
    header.options.timestamps = None;
    old.header = header;
    pair.deliver(1, old);
    assert_eq!(
        pair.ends[1].received, 100,
        "no timestamp where they were agreed on"
    );
    assert!(pair.flush(1).is_empty());
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.ends[1].received, 101);
}

#[test]
fn what_is_left_in_time_wait_answers_as_the_connection_would() {
    let mut pair = Pair::established(11, config(), config());
    pair.trace = Some(Vec::new());
    pair.ends[0].tcb.close();
    pair.run_for(Duration::from_millis(100));
    pair.ends[1].tcb.close();
    pair.run_for(Duration::from_millis(100));
    let Some(End::TimeWait(record)) = pair.ends[0].tcb.take_end() else {
        panic!("no TIME-WAIT");
    };
    let trace = pair.trace.take().unwrap_or_default();
    let fin = trace
        .iter()
        .filter(|(_, from, wire)| *from == 1 && wire.has(TcpFlags::FIN))
        .map(|(_, _, wire)| wire.header.clone())
        .next()
        .expect("a FIN");
    let Reply::Restart(answer) = record.on_segment(pair.now, &fin) else {
        panic!("a repeated FIN begins TIME-WAIT again");
    };
    assert_eq!(answer.acknowledgment, fin.sequence + 1);
    assert_eq!(answer.sequence, ISS + 2);
    let mut reset = fin.clone();
    reset.flags = TcpFlags::RST;
    assert_eq!(record.on_segment(pair.now, &reset), Reply::None);
    let mut syn = fin.clone();
    syn.flags = TcpFlags::SYN;
    syn.sequence = fin.sequence - 1_000;
    assert!(
        matches!(record.on_segment(pair.now, &syn), Reply::Ack(_)),
        "its timestamp is not newer, nor is its sequence number"
    );
    let stamps = syn.options.timestamps.as_mut().expect("timestamps");
    stamps.value += 1;
    let Reply::AllowReopen(least) = record.on_segment(pair.now, &syn) else {
        panic!("RFC 6191 lets it in");
    };
    assert!(least.is_after(answer.sequence));
}

#[test]
fn a_half_closed_connection_is_kept_or_not_as_asked() {
    let mut pair = Pair::established(12, config(), config());
    pair.ends[0].tcb.close();
    pair.run_for(Duration::from_secs(3_600));
    assert_eq!(pair.ends[0].tcb.state(), State::FinWait2);
    pair.ends[0]
        .tcb
        .set_fin_wait_timeout(Some(Duration::from_secs(60)));
    pair.run_for(Duration::from_secs(61));
    assert_eq!(pair.ends[0].tcb.take_end(), Some(End::TimedOut));
    assert!(pair.ends[1].reset);
}

#[test]
fn the_plan_says_how_often_the_syn_was_sent() {
    let now = Instant::from_millis(5);
    let mut tcb = Tcb::connect(config(), now, ISS, 0);
    for attempt in 0..3 {
        let at = tcb.next_timeout().unwrap_or(now);
        tcb.advance(at);
        let plan = tcb.plan(at).expect("a SYN");
        assert_eq!(plan.kind, PlanKind::Syn { attempt });
        tcb.commit(at, plan, Content::default());
        assert_eq!(tcb.plan(at), None);
    }
}
