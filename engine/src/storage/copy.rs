//! Copies between an application's memory and a buffer's, of which many are long.

use core::hint::black_box;
use pulp::{Arch, Simd, WithSimd};

/// From so many bytes on the loop here is faster than the library's copy, which leaves copies of 8 KiB and
/// more to the processor's own instruction (`rep movsb`).
const LONG: usize = 8 << 10;

/// Bytes of a line of cache.
const LINE: usize = 64;

/// Copies `from` to `to`, as many bytes as both hold.
pub fn copy(to: &mut [u8], from: &[u8]) {
    let length = to.len().min(from.len());
    let (to, from) = (&mut to[..length], &from[..length]);
    if length < LONG {
        return to.copy_from_slice(from);
    }
    // Stores that cross lines of cache cost twice.
    let unaligned = to.as_ptr().align_offset(LINE).min(length);
    let (to_head, to) = to.split_at_mut(unaligned);
    let (from_head, from) = from.split_at(unaligned);
    to_head.copy_from_slice(from_head);
    Arch::new().dispatch(Blocks { to, from });
}

/// A loop of the widest vectors of the machine.
struct Blocks<'a> {
    to: &'a mut [u8],
    from: &'a [u8],
}

impl WithSimd for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // If the compiler knew the value, it would take the loop for a copy that the library is to do.
        let nothing = simd.splat_u8s(black_box(0));
        let (to, to_rest) = S::as_mut_simd_u8s(self.to);
        let (from, from_rest) = S::as_simd_u8s(self.from);
        for (to, from) in to.iter_mut().zip(from) {
            *to = simd.xor_u8s(*from, nothing);
        }
        to_rest.copy_from_slice(from_rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_copies_from_and_to_any_place_have_the_same_bytes() {
        let source: Vec<u8> = (0..3 * LONG).map(|n| (n % 251) as u8).collect();
        for length in [0, 1, LONG - 1, LONG, LONG + 1, 2 * LONG + 77] {
            for (at, start) in [(0, 0), (1, 0), (0, 1), (63, 65), (100, 3)] {
                let mut target = vec![0xee; at + length + 1];
                copy(&mut target[at..at + length], &source[start..start + length]);
                assert!(target[..at].iter().all(|byte| *byte == 0xee));
                assert!(target[at..at + length] == source[start..start + length]);
                assert_eq!(target[at + length], 0xee);
            }
        }
    }

    #[test]
    fn no_more_is_copied_than_both_hold() {
        let mut target = vec![0; LONG + 5];
        copy(&mut target, &vec![1; LONG]);
        assert_eq!(target.iter().filter(|byte| **byte == 1).count(), LONG);
        copy(&mut target[..LONG], &vec![2; LONG + 5]);
        assert_eq!(target.iter().filter(|byte| **byte == 2).count(), LONG);
    }
}
