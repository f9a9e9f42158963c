//! A hint to the processor to fetch memory that is about to be used; nothing where it has none.

/// Bytes of a line of cache.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Has the lines of so many bytes from `start` on fetched. Any address will do, for nothing is read.
pub(crate) fn prefetch(start: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        let before = start.addr() % LINE;
        let first = start.wrapping_sub(before).cast();
        for offset in (0..before + bytes).step_by(LINE) {
            let line: *const i8 = first;
            // SAFETY: a prefetch neither reads nor writes as far as the program can tell, nor does it fault.
            unsafe {
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                    line.wrapping_add(offset),
                );
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, bytes);
}
