//! Functions that take `...`, which Rust can call but not define: a few instructions each, that either
//! make a `va_list` of their arguments for the function that takes one (dprintf(3)), or look on and
//! jump to the function behind ours with everything as it came (execl(3)). Only x86-64 has them; the C
//! library's own serve elsewhere, and what that means stands in the documentation of the crate.

use crate::outcome::aside;
use crate::process::mark_closed_by_exec;
use crate::real::{self, Behind};
use core::arch::naked_asm;
use libc::c_void;

/// A `va_list` as the ABI of x86-64 has it (System V ABI, AMD64 supplement, 3.5.7), built on the stack
/// above a copy of the registers: 176 bytes of registers, then the 24 of the list. Its first word says
/// how many bytes of registers named arguments have taken.
macro_rules! with_list {
    ($name:ident, $named:literal, $list_in:literal, $to:path) => {
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C-unwind" fn $name() {
            naked_asm!(
                // A thread may be cancelled in there, and unwinds through this.
                ".cfi_startproc",
                "sub rsp, 216",
                ".cfi_adjust_cfa_offset 216",
                "mov [rsp], rdi",
                "mov [rsp + 8], rsi",
                "mov [rsp + 16], rdx",
                "mov [rsp + 24], rcx",
                "mov [rsp + 32], r8",
                "mov [rsp + 40], r9",
                // How many vector registers have arguments: none, or look at all.
                "test al, al",
                "je 2f",
                "movaps [rsp + 48], xmm0",
                "movaps [rsp + 64], xmm1",
                "movaps [rsp + 80], xmm2",
                "movaps [rsp + 96], xmm3",
                "movaps [rsp + 112], xmm4",
                "movaps [rsp + 128], xmm5",
                "movaps [rsp + 144], xmm6",
                "movaps [rsp + 160], xmm7",
                "2:",
                concat!("mov dword ptr [rsp + 176], 8 * ", $named),
                "mov dword ptr [rsp + 180], 48",
                // What did not fit into registers stands behind the return address.
                "lea rax, [rsp + 224]",
                "mov [rsp + 184], rax",
                "mov [rsp + 192], rsp",
                concat!("lea ", $list_in, ", [rsp + 176]"),
                "call {to}",
                "add rsp, 216",
                ".cfi_adjust_cfa_offset -216",
                "ret",
                ".cfi_endproc",
                to = sym $to,
            )
        }
    };
}

with_list!(dprintf, "2", "rdx", super::stdio::vdprintf);
with_list!(__dprintf_chk, "3", "rcx", super::stdio::__vdprintf_chk);

/// Saves what carries arguments, asks `$before` where to go on, and goes there.
macro_rules! look_on {
    ($name:ident, $before:path) => {
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C-unwind" fn $name() {
            naked_asm!(
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "push r9",
                "push rax",
                "call {before}",
                "mov r11, rax",
                "pop rax",
                "pop r9",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "jmp r11",
                before = sym $before,
            )
        }
    };
}

fn before_exec(behind: &Behind) -> *const c_void {
    aside(|| {
        mark_closed_by_exec();
        behind.address()
    })
}

extern "C-unwind" fn before_execl() -> *const c_void {
    before_exec(&real::EXECL)
}

extern "C-unwind" fn before_execlp() -> *const c_void {
    before_exec(&real::EXECLP)
}

extern "C-unwind" fn before_execle() -> *const c_void {
    before_exec(&real::EXECLE)
}

look_on!(execl, before_execl);
look_on!(execlp, before_execlp);
look_on!(execle, before_execle);
