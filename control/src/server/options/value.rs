//! Values of options as programs lay them out.

use std::time::Duration;

/// An `int`. Programs that pass more bytes get the first; fewer are EINVAL.
pub(super) fn int(value: &[u8]) -> Result<i32, i32> {
    value
        .first_chunk()
        .map(|bytes| i32::from_ne_bytes(*bytes))
        .ok_or(libc::EINVAL)
}

/// An `int` of exactly its size.
pub(super) fn exact_int(value: &[u8]) -> Result<i32, i32> {
    if value.len() == size_of::<i32>() {
        int(value)
    } else {
        Err(libc::EINVAL)
    }
}

/// An `int` as the answer to a caller with so much room; EINVAL where it does not fit.
pub(super) fn answer(number: i32, capacity: usize) -> Result<(i64, Vec<u8>), i32> {
    if capacity < size_of::<i32>() {
        return Err(libc::EINVAL);
    }
    Ok((0, of_int(number)))
}

/// An `int` that is a truth value.
pub(super) fn flag(value: &[u8]) -> Result<bool, i32> {
    int(value).map(|number| number != 0)
}

/// An `int` between two bounds; EINVAL outside.
pub(super) fn within(value: &[u8], least: i32, most: i32) -> Result<i32, i32> {
    int(value).and_then(|number| {
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(libc::EINVAL)
        }
    })
}

/// A number of seconds from 1 to 32,767, as keep-alive has them.
pub(super) fn seconds(value: &[u8]) -> Result<Duration, i32> {
    within(value, 1, 32_767).map(|seconds| Duration::from_secs(u64::from(seconds.unsigned_abs())))
}

/// A name, with or without a zero at its end.
pub(super) fn name(value: &[u8]) -> Result<&str, i32> {
    let end = value
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(value.len());
    let name = value.get(..end).unwrap_or_default();
    std::str::from_utf8(name).map_err(|_| libc::EINVAL)
}

/// The bytes of an `int`.
pub(super) fn of_int(number: i32) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

/// A size or count as an `int`; the largest one where it is larger.
pub(super) fn of_size(number: impl TryInto<i32>) -> Vec<u8> {
    of_int(number.try_into().unwrap_or(i32::MAX))
}

/// A name in 16 bytes, as TCP_CONGESTION gives it.
pub(super) fn of_name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_values_are_judged() {
        assert_eq!(int(&7i32.to_ne_bytes()), Ok(7));
        assert_eq!(int(&[1, 0, 0]), Err(libc::EINVAL));
        assert_eq!(within(&5i32.to_ne_bytes(), 0, 4), Err(libc::EINVAL));
        assert_eq!(seconds(&0i32.to_ne_bytes()), Err(libc::EINVAL));
        assert_eq!(name(b"cubic\0garbage"), Ok("cubic"));
        assert_eq!(name(b"reno"), Ok("reno"));
        assert_eq!(name(&[0xff, 0xfe]), Err(libc::EINVAL));
        assert_eq!(of_name("lia").len(), 16);
    }
}
