//! Send and receive windows with their scales (RFC 7323 section 2) and the silly window syndrome
//! avoidance of the receiver (RFC 9293 section 3.8.6.2.2).

/// A window scale shift, at most 14.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct WindowScale(u8);

impl WindowScale {
    pub(super) const NONE: Self = Self(0);

    /// A larger shift than 14 is taken as 14 (RFC 7323 section 2.3).
    pub(super) fn new(shift: u8) -> Self {
        Self(shift.min(14))
    }

    /// The most bytes that scaling a window loses.
    const fn remainder(self) -> u32 {
        (1 << self.0) - 1
    }

    const fn decode(self, field: u16) -> u32 {
        (field as u32) << self.0
    }

    fn encode(self, bytes: u32) -> u16 {
        u16::try_from(bytes >> self.0).unwrap_or(u16::MAX)
    }
}

/// What the peer lets this side send.
#[derive(Copy, Clone, Debug)]
pub(super) struct SendWindow {
    scale: WindowScale,
    bytes: u32,
    largest: u32,
    /// SND.WL1 and SND.WL2: positions of the segment that brought the window.
    updated_by: (u64, u64),
}

impl SendWindow {
    pub(super) const fn new(scale: WindowScale) -> Self {
        Self {
            scale,
            bytes: 0,
            largest: 0,
            updated_by: (0, 0),
        }
    }

    pub(super) const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// MAX.SND.WND of RFC 5961 section 5.
    pub(super) const fn largest(&self) -> u32 {
        self.largest
    }

    pub(super) const fn set_scale(&mut self, scale: WindowScale) {
        self.scale = scale;
    }

    /// Takes the window of a SYN, which is never scaled.
    pub(super) fn set_unscaled(&mut self, field: u16, sequence: u64, acknowledgment: u64) {
        self.bytes = field.into();
        self.largest = self.largest.max(self.bytes);
        self.updated_by = (sequence, acknowledgment);
    }

    /// Takes the window of a segment unless an earlier one brought a later window. Returns true
    /// when the window changed.
    pub(super) fn update(&mut self, field: u16, sequence: u64, acknowledgment: u64) -> bool {
        let (by_sequence, by_acknowledgment) = self.updated_by;
        let newer = by_sequence < sequence
            || (by_sequence == sequence && by_acknowledgment <= acknowledgment);
        if !newer {
            return false;
        }
        self.updated_by = (sequence, acknowledgment);
        let bytes = self.scale.decode(field);
        let changed = bytes != self.bytes;
        self.bytes = bytes;
        self.largest = self.largest.max(bytes);
        changed
    }
}

/// What this side lets the peer send.
#[derive(Copy, Clone, Debug)]
pub(super) struct ReceiveWindow {
    scale: WindowScale,
    offered: u32,
    largest: u32,
    /// Position up to which data was ever promised to be taken: never moves left, even
    /// where the field's scaling rounds a later promise down.
    edge: u64,
    /// The right edge as the peer was told last.
    advertised: u64,
}

impl ReceiveWindow {
    /// A window of `bytes` whose left edge is `next`.
    pub(super) fn new(bytes: u32, next: u64) -> Self {
        Self {
            scale: WindowScale::NONE,
            offered: bytes,
            largest: bytes,
            edge: next.saturating_add(bytes.into()),
            advertised: next.saturating_add(bytes.into()),
        }
    }

    pub(super) const fn set_scale(&mut self, scale: WindowScale) {
        self.scale = scale;
    }

    pub(super) const fn edge(&self) -> u64 {
        self.edge
    }

    /// The largest window offered so far, in bytes.
    pub(super) const fn largest(&self) -> u32 {
        self.largest
    }

    pub(super) fn offer(&mut self, bytes: u32) {
        self.offered = bytes;
        self.largest = self.largest.max(bytes);
    }

    /// The field of a SYN.
    pub(super) fn unscaled_field(&self) -> u16 {
        WindowScale::NONE.encode(self.offered)
    }

    /// The field to send now. The right edge moves in steps of a segment or half the buffer, so
    /// that the peer is not invited to send small ones.
    pub(super) fn field(&self, next: u64, segment: u32) -> u16 {
        let promised = u32::try_from(self.advertised.saturating_sub(next)).unwrap_or(u32::MAX);
        // What the scale cuts off must not leave a little less than a segment.
        let step = segment.saturating_add(self.scale.remainder());
        let step = step.min(self.largest / 2).max(1);
        let opens_by = self.offered.saturating_sub(promised);
        let bytes = if opens_by > 0 && opens_by < step {
            promised
        } else {
            self.offered
        };
        self.scale.encode(bytes)
    }

    /// Remembers the promise that a sent field makes.
    pub(super) fn advertised(&mut self, next: u64, field: u16) {
        let edge = next.saturating_add(self.scale.decode(field).into());
        self.advertised = edge;
        self.edge = self.edge.max(edge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_never_moves_left_and_small_openings_wait() {
        let mut window = ReceiveWindow::new(10_000, 1);
        let field = window.field(5_001, 1_000);
        assert_eq!(field, 10_000);
        window.offer(5_000);
        assert_eq!(window.field(5_001, 1_000), 5_000);
        window.advertised(5_001, 5_000);
        assert_eq!(window.edge(), 10_001);
        window.offer(5_999);
        assert_eq!(
            window.field(5_001, 1_000),
            5_000,
            "opens by less than a segment"
        );
        window.offer(6_000);
        assert_eq!(window.field(5_001, 1_000), 6_000);
        window.advertised(5_001, 6_000);
        assert_eq!(window.edge(), 11_001);
        window.offer(0);
        window.advertised(5_001, window.field(5_001, 1_000));
        assert_eq!(window.edge(), 11_001);
    }

    #[test]
    fn a_scaled_field_rounds_down_and_saturates() {
        let mut window = ReceiveWindow::new(1_000_000_000, 1);
        window.set_scale(WindowScale::new(7));
        assert_eq!(window.field(1, 1_460), u16::MAX);
        window.offer(255);
        assert_eq!(window.field(1, 1_460), 1);
        assert_eq!(window.unscaled_field(), 255);
    }

    #[test]
    fn an_older_segment_does_not_change_the_send_window() {
        let mut window = SendWindow::new(WindowScale::new(2));
        window.set_unscaled(100, 0, 1);
        assert!(window.update(100, 10, 5));
        assert_eq!(window.bytes(), 400);
        assert!(!window.update(1, 9, 6));
        assert!(!window.update(1, 10, 4));
        assert_eq!(window.bytes(), 400);
        assert!(window.update(0, 10, 5));
        assert_eq!((window.bytes(), window.largest()), (0, 400));
    }
}
