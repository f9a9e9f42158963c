//! Hints to the processor to fetch lines of cache before they are needed; nothing where it has none.

/// Has the lines of `value` fetched, which this thread is about to read.
pub(super) fn prefetch_to_read<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for line in lines(value) {
        // SAFETY: a prefetch neither reads nor writes as far as the program can tell, nor does it fault.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Has the lines of `value` fetched for this thread alone, which is about to write them.
pub(super) fn prefetch_to_write<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for line in lines(value) {
        // SAFETY: a prefetch neither reads nor writes as far as the program can tell, nor does it fault, and
        // processors without this one take it for no operation. The intrinsic becomes the other prefetch
        // where the target's features do not promise this one.
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Where the lines of `value` begin, which begins with one.
#[cfg(target_arch = "x86_64")]
fn lines<T>(value: &T) -> impl Iterator<Item = *const i8> {
    let start = std::ptr::from_ref(value).cast::<i8>();
    (0..size_of::<T>())
        .step_by(64)
        .map(move |offset| start.wrapping_add(offset))
}
