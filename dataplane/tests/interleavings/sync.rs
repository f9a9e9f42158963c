//! What `src/reassembly_ring/sync.rs` offers, made of loom's parts.

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{Ordering, fence};

/// An atomic of loom's, every access of which loom tries to put before and after every other.
///
/// Loom remembers the last access to an object alone, so a load may hide an earlier one of another
/// thread. Each access therefore touches `touched` first, by an operation that depends on all others
/// of its kind and orders nothing.
macro_rules! atomics {
    ($($name:ident of $integer:ty)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name {
            touched: loom::sync::atomic::AtomicU32,
            value: loom::sync::atomic::$name,
        }

        impl $name {
            pub(crate) fn new(value: $integer) -> Self {
                Self {
                    touched: loom::sync::atomic::AtomicU32::new(0),
                    value: loom::sync::atomic::$name::new(value),
                }
            }

            fn touch(&self) -> &loom::sync::atomic::$name {
                self.touched.fetch_add(0, Ordering::Relaxed);
                &self.value
            }

            pub(crate) fn load(&self, order: Ordering) -> $integer {
                self.touch().load(order)
            }

            pub(crate) fn store(&self, value: $integer, order: Ordering) {
                self.touch().store(value, order);
            }

            pub(crate) fn swap(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().swap(value, order)
            }

            pub(crate) fn fetch_add(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_add(value, order)
            }
        }
    )*};
}

atomics!(AtomicU32 of u32 AtomicUsize of usize);
