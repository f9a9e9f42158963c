//! Values as people write them in a configuration: sizes, times, networks, link addresses, users.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use braid_engine::stack::Prefix;
use braid_engine::wire::ethernet::MacAddress;
use nix::unistd::{Uid, User};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::cli::size::Size;

/// A value written as a string, or as a whole number where the type knows what that means.
trait Written: Sized {
    /// What should have been written.
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Result<Self, String>;

    fn from_number(_number: u64) -> Option<Self> {
        None
    }
}

/// Reads a [`Written`]; the deserializer adds the line to the error.
struct Reader<T>(std::marker::PhantomData<T>);

impl<T: Written> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        u64::try_from(number)
            .ok()
            .and_then(T::from_number)
            .ok_or_else(|| E::custom(format!("{number} is not {}", T::EXPECTED)))
    }
}

macro_rules! deserialize_written {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Reader(std::marker::PhantomData))
            }
        }
    )*};
}

deserialize_written!(Bytes, Time, Network, LinkAddress, UserId);

/// A size in bytes: `65536`, `"64KiB"`, `"4MiB"`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

impl Written for Bytes {
    const EXPECTED: &'static str = "a size, such as 65536, \"64KiB\" or \"4MiB\"";

    fn from_text(text: &str) -> Result<Self, String> {
        Size::from_str(text)
            .map(|Size(bytes)| Self(bytes))
            .map_err(|error| format!("\"{text}\" is no size: {error}"))
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

/// A span of time: `"20us"`, `"500ms"`, `"5s"`, `"2min"`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

impl Time {
    /// The time that `text` means, if it means one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::from_text(text).ok()
    }
}

impl Written for Time {
    const EXPECTED: &'static str =
        "a time with its unit, such as \"20us\", \"500ms\", \"5s\" or \"2min\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let wrong = || format!("\"{text}\" is not {}", Self::EXPECTED);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let time = match unit.trim_start() {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "min" => Duration::from_secs(number.checked_mul(60).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        };
        Ok(Self(time))
    }
}

/// An address with the length of its network's prefix: `"10.0.0.2/24"`, `"fd00::2/64"`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) address: IpAddr,
    pub(super) length: u8,
}

impl Network {
    /// The addresses that share the prefix.
    pub(super) fn prefix(self) -> Option<Prefix> {
        Prefix::new(self.address, self.length)
    }
}

impl Written for Network {
    const EXPECTED: &'static str =
        "an address with the length of its prefix, such as \"10.0.0.2/24\" or \"fd00::2/64\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not {}", Self::EXPECTED);
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let network = Self {
            address: address.parse().map_err(|_| wrong())?,
            length: length.parse().map_err(|_| wrong())?,
        };
        network.prefix().map(|_| network).ok_or_else(wrong)
    }
}

/// The Ethernet address of one interface: `"02:00:5e:10:00:01"`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkAddress(pub(super) MacAddress);

impl Written for LinkAddress {
    const EXPECTED: &'static str = "an Ethernet address, such as \"02:00:5e:10:00:01\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not {}", Self::EXPECTED);
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or_else(wrong)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        let mac = MacAddress(octets);
        if mac.is_unicast() {
            Ok(Self(mac))
        } else {
            Err(format!(
                "\"{text}\" is a group address or zero: write that of a single interface, \
                 such as \"02:00:5e:10:00:01\""
            ))
        }
    }
}

/// A user of this host, by name or number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct UserId(pub(super) u32);

impl Written for UserId {
    const EXPECTED: &'static str = "a user's name or number, such as \"www-data\" or 33";

    fn from_text(text: &str) -> Result<Self, String> {
        match User::from_name(text) {
            Ok(Some(user)) => Ok(Self(user.uid.as_raw())),
            Ok(None) => Err(format!(
                "there is no user \"{text}\" on this host: write a user that /etc/passwd has, \
                 or a number"
            )),
            Err(error) => Err(format!("cannot look up the user \"{text}\": {error}")),
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number)
            .ok()
            .map(|number| Self(Uid::from_raw(number).as_raw()))
    }
}
