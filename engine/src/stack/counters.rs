//! Counters of the stack, named after Linux's `Ip`, `Icmp`, `Tcp` and `TcpExt`.

use crate::mptcp::counters::MptcpCounters;

macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident => $name:literal,)*) => {
        /// How often each event happened on this core since the start.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub struct StackCounters {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl StackCounters {
            /// Every counter with the name that `nstat` users know, or one in its manner.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$(($name, self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Frames received.
    frames_received => "LinkInFrames",
    /// Frames sent.
    frames_sent => "LinkOutFrames",
    /// Frames by a port without an interface, or whose link is down.
    no_interface => "LinkInNoInterface",
    /// Frames to the link address of somebody else.
    other_host => "LinkInOtherHost",
    /// Frames of a protocol that is not understood, or too short for their header.
    link_errors => "LinkInErrors",
    /// Links that went down or came back, each time.
    link_changes => "LinkChanges",
    /// Frames made anew because none of the pool was free, those of the start among them.
    pool_empty => "FramePoolEmpty",
    /// Frames that the stack sent to itself.
    loopback_frames => "LinkLoopbackFrames",
    /// Frames for which the loopback had no room; they go with the next turn.
    loopback_full => "LinkLoopbackFull",
    /// Frames handed over to the worker that their flow belongs to, which counts them again.
    steered_frames => "SteeredFrames",
    /// Frames of a flow of another worker, dropped because it had letters waiting.
    steered_dropped => "SteeredFramesDropped",
    /// Frames of other workers, dropped because their port had no room for long.
    relayed_dropped => "RelayedFramesDropped",
    /// Times that the ring to another worker had no room for the next letter, which waits.
    letters_refused => "LettersRefused",
    /// Letters to workers that are gone.
    letters_dropped => "LettersDropped",
    /// Segments with data dropped before they were acknowledged, because the ring to their home was
    /// full.
    reassembly_ring_full => "ReassemblyRingFull",
    /// IP packets received.
    ip_received => "IpInReceives",
    /// IP packets with a malformed header.
    ip_header_errors => "IpInHdrErrors",
    /// IP packets to an address that is not this host's.
    ip_address_errors => "IpInAddrErrors",
    /// IP packets with an impossible source address.
    ip_martians => "IpExtInMartians",
    /// IP fragments, dropped.
    ip_fragments => "IpReasmFails",
    /// IP packets of a protocol that is not understood.
    ip_unknown_protocols => "IpInUnknownProtos",
    /// Packets dropped because the neighbour they go to does not answer.
    neighbor_unreachable => "IpOutNeighborUnreachable",
    /// Packets of the stack's own dropped because its queues were full.
    control_queue_full => "IpOutControlQueueFull",
    /// Neighbours that were not remembered because the cache was full of others in use.
    neighbor_table_full => "IpNeighborTableFull",
    /// ARP packets received.
    arp_received => "ArpIn",
    /// ARP packets and neighbour messages that were malformed.
    neighbor_errors => "NeighborInErrors",
    /// ICMP messages received.
    icmp_received => "IcmpInMsgs",
    /// ICMP messages that were malformed.
    icmp_errors => "IcmpInErrors",
    /// Echo requests received.
    echo_requests => "IcmpInEchos",
    /// Echo replies sent.
    echo_replies => "IcmpOutEchoReps",
    /// Echo requests not answered because of the rate limit.
    echo_limited => "IcmpOutRateLimitHost",
    /// Echo requests not answered because the answer exceeds the MTU.
    echo_too_long => "EngineEchoTooLong",
    /// ICMP errors about no flow of this stack.
    icmp_no_flow => "TcpExtOutOfWindowIcmps",
    /// ICMP errors told to the subflow they quote.
    icmp_to_flow => "IcmpInDestUnreachs",
    /// Segments received, coalesced ones counted once.
    segments_received => "TcpInSegs",
    /// Segments that were joined to the one before them.
    segments_coalesced => "EngineSegmentsCoalesced",
    /// Segments with a malformed header.
    segment_errors => "TcpInErrs",
    /// Segments whose checksum was wrong.
    checksum_errors => "TcpInCsumErrors",
    /// Segments dropped unacknowledged because their connection holds too much out of order.
    out_of_order_dropped => "TcpExtTCPOFODrop",
    /// Frames with segments sent, those to be split counted once.
    segments_sent => "TcpOutSegs",
    /// Of those, large ones that were sent as they lay in the send buffer.
    segments_lent => "EngineSegmentsLent",
    /// Segments that a large one was to be cut into, and for which the port had no room after all. TCP
    /// repeats them.
    segments_refused => "EngineSegmentsRefused",
    /// Segments not sent because their payload was gone or did not fit: an error of this engine.
    payload_missing => "EnginePayloadMissing",
    /// RST segments sent for segments that belong to no flow.
    resets_sent => "TcpOutRsts",
    /// Such RST segments not sent because of the rate limit.
    resets_limited => "TcpExtOutRstsLimited",
    /// Connections opened.
    active_opens => "TcpActiveOpens",
    /// Connections accepted from a peer's handshake.
    passive_opens => "TcpPassiveOpens",
    /// SYNs to listeners and SYNs with a token.
    syns_received => "TcpExtListenSyns",
    /// SYN/ACKs sent again.
    syn_ack_retransmissions => "TcpExtTCPSynAckRetrans",
    /// Half-open connections given up.
    syn_ack_timeouts => "TcpExtTCPTimeouts",
    /// SYNs answered with a cookie.
    cookies_sent => "TcpExtSyncookiesSent",
    /// Third ACKs with a genuine cookie.
    cookies_received => "TcpExtSyncookiesRecv",
    /// ACKs to a listener, of no flow and without a genuine cookie.
    cookies_failed => "TcpExtSyncookiesFailed",
    /// SYNs dropped because the queue of half-open connections was full.
    syn_queue_full => "TcpExtTCPReqQFullDrop",
    /// SYNs and third ACKs dropped because an accept queue was full.
    accept_queue_full => "TcpExtListenOverflows",
    /// Connections or subflows not made because a bound of the configuration was reached.
    table_full => "TcpExtTCPTableFull",
    /// Flows that entered TIME-WAIT.
    time_waits => "TcpExtTW",
    /// Flows forgotten before their TIME-WAIT was over because the table was full.
    time_wait_overflow => "TcpExtTCPTimeWaitOverflow",
    /// Flows opened anew out of TIME-WAIT.
    time_wait_reopened => "TcpExtTWRecycled",
    /// Answers of flows in TIME-WAIT that were not sent for the rate limit.
    time_wait_answers_limited => "TcpExtTCPACKSkippedTimeWait",
    /// MP_JOIN SYNs received.
    join_syns => "MPTcpExtMPJoinSynRx",
    /// MP_JOIN SYNs with a token of no connection.
    join_no_token => "MPTcpExtMPJoinNoTokenFound",
    /// MP_JOIN SYNs that home refused.
    join_refused => "MPTcpExtMPJoinSynRejected",
    /// Third ACKs of a join with the right HMAC.
    join_acks => "MPTcpExtMPJoinAckRx",
    /// Third ACKs of a join without an HMAC or with a wrong one.
    join_hmac_failures => "MPTcpExtMPJoinAckHMacFailure",
    /// MP_CAPABLE SYNs received.
    capable_syns => "MPTcpExtMPCapableSYNRX",
    /// Events not reported because nobody polled for them.
    events_lost => "EngineEventsLost",
}

/// The counters of one core.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Those of the stack.
    pub stack: StackCounters,
    /// Those of the connections it is home to.
    pub mptcp: MptcpCounters,
}

impl Counters {
    /// Every counter with its name, in a fixed order.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.iter()
    }

    /// Every counter with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.stack.iter().chain(self.mptcp.iter())
    }
}
