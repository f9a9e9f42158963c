//! Sequence numbers where they wrap: at 0, 2^31, 2^32, 2^63 and 2^64.

use braid_engine::sequence::{DataSequenceNumber, SequenceNumber};
use proptest::prelude::*;

const POINTS_32: [u32; 4] = [0, 1 << 31, u32::MAX, 12345];
const POINTS_64: [u64; 6] = [0, 1 << 31, 1 << 32, 1 << 63, u64::MAX, 12345];

/// Runs the same checks on both types, at each wrap and `near` it.
macro_rules! order_and_distance {
    ($name:ident, $number:ident, $points:ident, $unsigned:ty, $signed:ty) => {
        #[test]
        fn $name() {
            let near: [$unsigned; 4] = [1, 2, 1000, (1 << (<$unsigned>::BITS - 1)) - 1];
            for point in $points {
                for nudge in [0, 1, 2, <$unsigned>::MAX] {
                    let here = $number(point.wrapping_add(nudge));
                    for distance in near {
                        let there = here + distance;
                        assert!(here.is_before(there), "{here:?} before {there:?}");
                        assert!(there.is_after(here) && !here.is_after(there));
                        assert!(!there.is_before(here));
                        assert_eq!(there - here, distance as $signed);
                        assert_eq!(here - there, -(distance as $signed));
                        assert_eq!(there - distance, here);
                        assert_eq!(here.latest(there), there);
                        assert_eq!(there.latest(here), there);
                        assert_eq!(here.earliest(there), here);
                        assert_eq!(there.earliest(here), here);
                        assert_eq!(there.offset_from(here), distance);
                        assert_eq!(here.offset_from(there), 0);
                        assert!(here.is_within(here, there), "the start is within");
                        assert!(!there.is_within(here, there), "the end is not");
                        assert!((there - 1).is_within(here, there));
                        assert!(!(here - 1).is_within(here, there));
                        let mut moved = here;
                        moved += distance;
                        assert_eq!(moved, there);
                    }
                    assert!(!here.is_before(here) && !here.is_after(here));
                    assert!(!here.is_within(here, here), "an empty range holds nothing");
                    assert_eq!(here - here, 0);
                }
            }
        }
    };
}

order_and_distance!(
    subflow_numbers_at_every_wrap,
    SequenceNumber,
    POINTS_32,
    u32,
    i32
);
order_and_distance!(
    data_numbers_at_every_wrap,
    DataSequenceNumber,
    POINTS_64,
    u64,
    i64
);

#[test]
fn short_form_is_the_lower_half() {
    assert_eq!(DataSequenceNumber(0x1234_5678_9abc_def0).low(), 0x9abc_def0);
    assert_eq!(DataSequenceNumber(u64::MAX).low(), u32::MAX);
}

#[test]
fn short_form_expands_to_the_nearest_number() {
    let expand = |near: u64, low: u32| DataSequenceNumber(near).expand(low).0;
    assert_eq!(expand(0x1_0000_0005, 9), 0x1_0000_0009);
    // Over the wrap of the lower half, both ways.
    assert_eq!(expand(0x1_ffff_fff0, 5), 0x2_0000_0005);
    assert_eq!(expand(0x2_0000_0005, 0xffff_fff0), 0x1_ffff_fff0);
    // Over the wrap of the whole, both ways.
    assert_eq!(expand(u64::MAX, 3), 3);
    assert_eq!(expand(3, u32::MAX), u64::MAX);
    // At 2^31 and 2^63.
    assert_eq!(expand(0x7fff_ffff, 0x8000_0000), 0x8000_0000);
    assert_eq!(expand(0x8000_0000, 0x7fff_ffff), 0x7fff_ffff);
    assert_eq!(expand((1 << 63) - 1, 0), 1 << 63);
    assert_eq!(expand(1 << 63, u32::MAX), (1 << 63) - 1);
    // Exactly half the space away there are two nearest; the earlier one is taken.
    assert_eq!(expand(1 << 32, 0x8000_0000), 0x8000_0000);
}

proptest! {
    #[test]
    fn expanding_recovers_what_is_near(
        point in prop::sample::select(POINTS_64.to_vec()),
        nudge in any::<i16>(),
        distance in any::<i32>(),
    ) {
        let reference = DataSequenceNumber(point.wrapping_add_signed(nudge.into()));
        let number = DataSequenceNumber(reference.0.wrapping_add_signed(distance.into()));
        prop_assert_eq!(reference.expand(number.low()), number);
        prop_assert_eq!(number - reference, i64::from(distance));
    }
}
