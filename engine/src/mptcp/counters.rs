//! Counters of MPTCP events, named after Linux's `MPTcpExt`.

use super::message::FallbackReason;

macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident => $name:literal,)*) => {
        /// How often each event happened on this core since the start.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub struct MptcpCounters {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl MptcpCounters {
            /// Every counter with the name that `nstat` users know, or one in its manner.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
                [$(($name, self.$field),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Connections established with MPTCP as initiator.
    capable_active => "MPTcpExtMPCapableSYNACKRX",
    /// Connections established with MPTCP as listener.
    capable_passive => "MPTcpExtMPCapableACKRX",
    /// Connections that became regular TCP.
    fallback => "MPTcpExtMPFallback",
    /// Of those: MPTCP was not asked for on this side.
    fallback_disabled => "MPTcpExtFallbackDisabled",
    /// The peer's SYN or SYN/ACK had no usable MP_CAPABLE.
    fallback_peer_not_capable => "MPTcpExtFallbackPeerNotCapable",
    /// MP_CAPABLE SYNs got no answer; a plain SYN did.
    fallback_syn_dropped => "MPTcpExtFallbackSynDropped",
    /// The SYNs of both sides crossed.
    fallback_simultaneous_open => "MPTcpExtFallbackSimultaneousOpen",
    /// The third ACK or the first data came without MP_CAPABLE or DSS.
    fallback_options_stripped => "MPTcpExtFallbackOptionsStripped",
    /// Data came without a mapping before multipath was confirmed.
    fallback_no_mapping => "MPTcpExtFallbackNoMapping",
    /// Data, or a DATA_FIN alone, was acknowledged without a DATA_ACK.
    fallback_no_data_ack => "MPTcpExtFallbackNoDataAck",
    /// A checksum failed on the only subflow, with contiguous data.
    fallback_checksum_failed => "MPTcpExtFallbackChecksumFailed",
    /// The peer sent an infinite mapping or MP_FAIL.
    fallback_peer => "MPTcpExtFallbackByPeer",
    /// Fallbacks that the state of the connection did not allow; the subflow was reset.
    fallback_refused => "MPTcpExtMPFallbackRefused",
    /// Subflows established by MP_JOIN.
    joined => "MPTcpExtMPJoinEstablished",
    /// MP_JOINs that a limit or the state of the connection forbade.
    join_rejected => "MPTcpExtMPJoinRejected",
    /// Infinite mappings announced to the peer.
    infinite_map_sent => "MPTcpExtInfiniteMapTx",
    /// DSS checksums that failed.
    data_checksum_errors => "MPTcpExtDataCsumErr",
    /// Data without a valid mapping.
    bad_mapping => "MPTcpExtDSSNotMatching",
    /// Bytes that arrived ahead of order at data level.
    out_of_order_bytes => "MPTcpExtOFOQueue",
    /// Bytes that had arrived before.
    duplicate_bytes => "MPTcpExtDuplicateData",
    /// Bytes outside the receive window, dropped.
    beyond_window_bytes => "MPTcpExtDataBeyondWindow",
    /// Pieces dropped because they would open one hole too many.
    too_many_holes => "MPTcpExtTooManyHoles",
    /// DATA_ACKs for data never sent, ignored.
    bad_data_ack => "MPTcpExtBadDataAck",
    /// DATA_FINs that contradict what was received, ignored.
    bad_data_fin => "MPTcpExtBadDataFin",
    /// ADD_ADDR received.
    add_addr_received => "MPTcpExtAddAddr",
    /// ADD_ADDR sent, repetitions included.
    add_addr_sent => "MPTcpExtAddAddrTx",
    /// Echoed ADD_ADDR received.
    echo_add_received => "MPTcpExtEchoAdd",
    /// Echoed ADD_ADDR sent.
    echo_add_sent => "MPTcpExtEchoAddTx",
    /// ADD_ADDR dropped: wrong HMAC, over a limit, or no use.
    add_addr_dropped => "MPTcpExtAddAddrDrop",
    /// REMOVE_ADDR received.
    remove_addr_received => "MPTcpExtRmAddr",
    /// REMOVE_ADDR sent.
    remove_addr_sent => "MPTcpExtRmAddrTx",
    /// Subflows closed because the peer removed the address and it answered no probe.
    remove_subflow => "MPTcpExtRmSubflow",
    /// MP_PRIO sent.
    priority_sent => "MPTcpExtMPPrioTx",
    /// MP_PRIO received.
    priority_received => "MPTcpExtMPPrioRx",
    /// MP_FAIL sent.
    fail_sent => "MPTcpExtMPFailTx",
    /// MP_FAIL received.
    fail_received => "MPTcpExtMPFailRx",
    /// MP_FASTCLOSE sent.
    fastclose_sent => "MPTcpExtMPFastcloseTx",
    /// MP_FASTCLOSE received.
    fastclose_received => "MPTcpExtMPFastcloseRx",
    /// MP_FASTCLOSE with a wrong key, ignored.
    fastclose_bad_key => "MPTcpExtMPFastcloseBadKey",
    /// Bytes granted a second time because a path stalled, ended or lost them.
    reinjected_bytes => "MPTcpExtReinjectedBytes",
    /// Times the head of the window was repeated on a faster path.
    opportunistic_retransmissions => "MPTcpExtOpportunisticRetrans",
    /// Data-level retransmission timeouts.
    data_timeouts => "MPTcpExtRetrans",
    /// Probes of a closed data window.
    window_probes => "MPTcpExtWindowProbes",
    /// Subflows that went stale.
    subflow_stale => "MPTcpExtSubflowStale",
    /// Stale subflows that recovered.
    subflow_recover => "MPTcpExtSubflowRecover",
    /// Connections that waited for a join after their last subflow.
    break_before_make => "MPTcpExtBreakBeforeMake",
    /// A bounded queue of a connection was full and a piece of work was put off or dropped.
    queue_full => "MPTcpExtQueueFull",
}

impl MptcpCounters {
    /// Counts a connection that became regular TCP, by its reason too.
    pub(crate) const fn count_fallback(&mut self, reason: FallbackReason) {
        self.fallback += 1;
        let of_reason = match reason {
            FallbackReason::Disabled => &mut self.fallback_disabled,
            FallbackReason::PeerNotCapable => &mut self.fallback_peer_not_capable,
            FallbackReason::SynDropped => &mut self.fallback_syn_dropped,
            FallbackReason::SimultaneousOpen => &mut self.fallback_simultaneous_open,
            FallbackReason::OptionsStripped => &mut self.fallback_options_stripped,
            FallbackReason::NoMapping => &mut self.fallback_no_mapping,
            FallbackReason::NoDataAck | FallbackReason::NoDataFinAck => {
                &mut self.fallback_no_data_ack
            }
            FallbackReason::ChecksumFailed => &mut self.fallback_checksum_failed,
            FallbackReason::PeerFellBack => &mut self.fallback_peer,
        };
        *of_reason += 1;
    }
}
