//! How links behave, as people write it: delays, chances of loss, rates.

use std::str::FromStr;
use std::time::Duration;

/// How long a link may take one way: with more, a run would be given up while its handshake is
/// under way.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// The slowest link, in bits a second: one frame of full size a second, or a little more.
const LOWEST_RATE: u64 = 16_000;

/// How long something takes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delay(pub(super) Duration);

/// A chance in parts per million.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss(pub(super) u32);

/// Bits a second.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) u64);

/// What one of them should have looked like.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write {0}")]
pub(super) struct LinkError(&'static str);

impl FromStr for Delay {
    type Err = LinkError;

    /// Reads a whole number with the unit `us`, `ms` or `s`.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        const ERROR: LinkError =
            LinkError("a whole number with a unit, of 5s at most, such as 500us, 20ms or 1s");
        let (number, unit) = split(text);
        let number = number.parse().map_err(|_| ERROR)?;
        let delay = match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            _ => return Err(ERROR),
        };
        (delay <= LONGEST_DELAY).then_some(Self(delay)).ok_or(ERROR)
    }
}

impl FromStr for Loss {
    type Err = LinkError;

    /// Reads a number of at most four decimals, with or without a `%` after it.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        const ERROR: LinkError =
            LinkError("a percentage below 100, with four decimals at most, such as 1% or 0.05%");
        let number = text.strip_suffix('%').unwrap_or(text);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 4 {
            return Err(ERROR);
        }
        let parts: u32 = format!("{whole}{decimals:0<4}")
            .parse()
            .map_err(|_| ERROR)?;
        (parts < 1_000_000).then_some(Self(parts)).ok_or(ERROR)
    }
}

impl FromStr for Rate {
    type Err = LinkError;

    /// Reads a whole number with an optional unit: K, M and G are powers of 1,000, and `bit` may
    /// follow.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        const ERROR: LinkError =
            LinkError("a whole number of bits a second, of 16K at least, such as 500K, 100M or 1G");
        let (number, unit) = split(text);
        let number: u64 = number.parse().map_err(|_| ERROR)?;
        let unit = unit.to_ascii_lowercase();
        let factor = match unit.strip_suffix("bit").unwrap_or(&unit) {
            "" => 1,
            "k" => 1_000,
            "m" => 1_000_000,
            "g" => 1_000_000_000,
            _ => return Err(ERROR),
        };
        number
            .checked_mul(factor)
            .filter(|&rate| rate >= LOWEST_RATE)
            .map(Self)
            .ok_or(ERROR)
    }
}

/// The leading digits, and what follows them.
fn split(text: &str) -> (&str, &str) {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_them_is_read() {
        for (text, micros) in [
            ("0ms", 0),
            ("500us", 500),
            ("20ms", 20_000),
            ("5s", 5_000_000),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Delay(Duration::from_micros(micros))),
                "{text}"
            );
        }
        for (text, parts) in [
            ("0", 0),
            ("1", 10_000),
            ("1%", 10_000),
            ("0.05%", 500),
            ("2.5", 25_000),
            ("99.9999%", 999_999),
        ] {
            assert_eq!(text.parse(), Ok(Loss(parts)), "{text}");
        }
        for (text, bits) in [
            ("16000", 16_000),
            ("500K", 500_000),
            ("100Mbit", 100_000_000),
            ("1g", 1_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Rate(bits)), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for text in [
            "", "20", "ms", "-1ms", "1.5ms", "20 ms", "20m", "6s", "5001ms",
        ] {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
        for text in [
            "",
            "%",
            "100",
            "1000%",
            "-1",
            ".5",
            "1.",
            "1e1",
            "0.00001",
            "NaN",
            "9999999999",
        ] {
            assert!(text.parse::<Loss>().is_err(), "{text}");
        }
        for text in [
            "",
            "0",
            "15999",
            "15K",
            "M",
            "1.5G",
            "1T",
            "1GB",
            "99999999999G",
            "-1M",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
