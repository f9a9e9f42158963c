//! Sizes as people write them: `4096`, `64KiB`, `256MiB`, `1G`.

use std::str::FromStr;

/// A number of bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// What a size that cannot be read should have looked like.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a whole number of bytes, or one with a unit, such as 64KiB, 256MiB or 1G")]
pub struct SizeError;

impl FromStr for Size {
    type Err = SizeError;

    /// Reads a number with an optional unit: K, M, G or T with or without `iB` are powers of
    /// 1,024, with `B` alone powers of 1,000.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| SizeError)?;
        let unit = unit.trim_start().to_ascii_lowercase();
        let (prefix, base) = match unit.as_bytes() {
            [] | [b'b'] => return Ok(Self(number)),
            [prefix] | [prefix, b'i', b'b'] => (*prefix, 1_024_u64),
            [prefix, b'b'] => (*prefix, 1_000),
            _ => return Err(SizeError),
        };
        let power = match prefix {
            b'k' => 1,
            b'm' => 2,
            b'g' => 3,
            b't' => 4,
            _ => return Err(SizeError),
        };
        number
            .checked_mul(base.pow(power))
            .map(Self)
            .ok_or(SizeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_size_is_read() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4_096),
            ("17b", 17),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("256MiB", 256 << 20),
            ("1G", 1 << 30),
            ("3MB", 3_000_000),
            ("2t", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5G",
            "12Q",
            "1GiBs",
            "99999999999999999999",
            "20000000T",
        ] {
            assert_eq!(text.parse::<Size>(), Err(SizeError), "{text}");
        }
    }
}
