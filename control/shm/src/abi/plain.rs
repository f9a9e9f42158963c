//! Structs of fixed size: written to bytes and read from them field by field, in the order and at
//! the offsets of `repr(C)`, without padding and without `unsafe`.

/// A type with one representation in bytes, valid for any bytes.
pub trait Plain: Sized {
    /// Bytes it takes.
    const BYTES: usize;

    /// Writes it at the start of `into`, as far as that reaches.
    fn write(&self, into: &mut [u8]);

    /// Reads it from the start of `from`; bytes that are missing are zero.
    fn read(from: &[u8]) -> Self;
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Plain for $integer {
            const BYTES: usize = size_of::<$integer>();

            fn write(&self, into: &mut [u8]) {
                for (to, byte) in into.iter_mut().zip(self.to_ne_bytes()) {
                    *to = byte;
                }
            }

            fn read(from: &[u8]) -> Self {
                let mut bytes = [0; size_of::<$integer>()];
                for (to, byte) in bytes.iter_mut().zip(from) {
                    *to = *byte;
                }
                Self::from_ne_bytes(bytes)
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 i32 i64);

impl<T: Plain, const N: usize> Plain for [T; N] {
    const BYTES: usize = T::BYTES * N;

    fn write(&self, into: &mut [u8]) {
        for (item, to) in self.iter().zip(into.chunks_mut(T::BYTES)) {
            item.write(to);
        }
    }

    fn read(from: &[u8]) -> Self {
        std::array::from_fn(|n| T::read(from.get(n * T::BYTES..).unwrap_or_default()))
    }
}

/// Declares a `repr(C)` struct with all its fields public, and its [`Plain`]; that it has no padding
/// is checked at compile time.
macro_rules! plain {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $crate::abi::Plain for $name {
            const BYTES: usize = size_of::<$name>();

            fn write(&self, into: &mut [u8]) {
                $($crate::abi::Plain::write(
                    &self.$field,
                    into.get_mut(std::mem::offset_of!($name, $field)..).unwrap_or_default(),
                );)*
            }

            fn read(from: &[u8]) -> Self {
                Self {
                    $($field: $crate::abi::Plain::read(
                        from.get(std::mem::offset_of!($name, $field)..).unwrap_or_default(),
                    ),)*
                }
            }
        }

        impl $name {
            /// Bytes of the struct, in memory and in a message.
            pub const BYTES: usize = size_of::<$name>();

            /// The struct as bytes.
            pub fn to_bytes(&self) -> [u8; size_of::<$name>()] {
                let mut bytes = [0; size_of::<$name>()];
                $crate::abi::Plain::write(self, &mut bytes);
                bytes
            }

            /// The struct at the start of `bytes`, if they are enough.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                (bytes.len() >= Self::BYTES).then(|| $crate::abi::Plain::read(bytes))
            }
        }

        const _: () = assert!(
            size_of::<$name>() == 0 $(+ <$type as $crate::abi::Plain>::BYTES)*,
            "a struct of the ABI has padding",
        );
    )*};
}

pub(crate) use plain;
