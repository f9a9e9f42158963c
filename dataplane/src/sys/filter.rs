//! Instructions of classic BPF, of which the programs of sockets are made (the kernel's
//! networking/filter.rst).
//!
//! A program has an accumulator A and an index X of 32 bits. It ends with a number: for a filter, how
//! many bytes of the packet are kept. A load past the end of the packet ends it with zero.

/// One step of a program.
pub(crate) type Instruction = libc::sock_filter;

/// Which socket packets of this type, as `sll_pkttype` has it, are seen by: one that somebody here
/// sends.
pub(crate) const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;

/// A = the EtherType of the packet, without VLAN tags that the kernel has taken off.
pub(crate) const fn load_ether_type() -> Instruction {
    load_about(libc::SKF_AD_PROTOCOL)
}

/// A = the type of the packet, such as [`OUTGOING`].
pub(crate) const fn load_packet_type() -> Instruction {
    load_about(libc::SKF_AD_PKTTYPE)
}

const fn load_about(what: libc::c_int) -> Instruction {
    let place = libc::SKF_AD_OFF + what;
    statement(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        place.cast_unsigned(),
    )
}

/// A = the byte at `at`.
pub(crate) const fn load_byte(at: u32) -> Instruction {
    statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, at)
}

/// A = the two bytes at `at`.
pub(crate) const fn load_half(at: u32) -> Instruction {
    statement(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, at)
}

/// A = the four bytes at `at`.
pub(crate) const fn load_word(at: u32) -> Instruction {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at)
}

/// A = the four bytes at X.
pub(crate) const fn load_word_at_index() -> Instruction {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, 0)
}

/// X = the length of the IPv4 header that starts at `at`.
pub(crate) const fn index_past_ipv4(at: u32) -> Instruction {
    statement(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, at)
}

/// A = A * `by`, in 32 bits.
pub(crate) const fn multiply(by: u32) -> Instruction {
    statement(libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K, by)
}

/// A = A >> `by`.
pub(crate) const fn shift_right(by: u32) -> Instruction {
    statement(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, by)
}

/// Leaves out so many instructions.
pub(crate) const fn skip(count: u32) -> Instruction {
    statement(libc::BPF_JMP | libc::BPF_JA, count)
}

/// Leaves out so many instructions unless A is `value`.
pub(crate) const fn skip_unless(value: u32, count: u8) -> Instruction {
    jump(libc::BPF_JEQ, value, 0, count)
}

/// Leaves out so many instructions if A has any of the bits of `mask`.
pub(crate) const fn skip_if_any(mask: u32, count: u8) -> Instruction {
    jump(libc::BPF_JSET, mask, count, 0)
}

/// Ends with this number.
pub(crate) const fn end_with(value: u32) -> Instruction {
    statement(libc::BPF_RET | libc::BPF_K, value)
}

/// Ends with A.
pub(crate) const fn end_with_accumulator() -> Instruction {
    statement(libc::BPF_RET | libc::BPF_A, 0)
}

const fn statement(code: u32, value: u32) -> Instruction {
    instruction(code, value, 0, 0)
}

const fn jump(condition: u32, value: u32, if_so: u8, if_not: u8) -> Instruction {
    instruction(
        libc::BPF_JMP | condition | libc::BPF_K,
        value,
        if_so,
        if_not,
    )
}

const fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction {
        // No code takes more than a byte.
        code: code as u16,
        jt,
        jf,
        k,
    }
}
