//! Atomics of loom's for the models of all crates, which take them from here.
#![allow(dead_code, reason = "each model uses a part of them")]

pub(crate) use loom::sync::atomic::Ordering;

/// An atomic of loom's, every access of which loom tries to put before and after every other.
///
/// Loom remembers the last access to an object alone. Where a thread loads a word and then changes
/// it, its load hides an earlier load of another thread, and loom does not try the change before that
/// one. So each access touches `touched` first, by an operation that depends on all others of its kind and
/// orders nothing.
macro_rules! atomics {
    ($($name:ident of $integer:ty)*) => {$(
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            touched: loom::sync::atomic::AtomicU32,
            value: loom::sync::atomic::$name,
        }

        impl $name {
            pub(crate) fn new(value: $integer) -> Self {
                Self { touched: Default::default(), value: loom::sync::atomic::$name::new(value) }
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

            pub(crate) fn fetch_sub(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_sub(value, order)
            }

            pub(crate) fn fetch_or(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_or(value, order)
            }

            pub(crate) fn fetch_and(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_and(value, order)
            }

            pub(crate) fn fetch_max(&self, value: $integer, order: Ordering) -> $integer {
                self.touch().fetch_max(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $integer,
                new: $integer,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$integer, $integer> {
                self.touch().compare_exchange(current, new, success, failure)
            }

            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                change: impl FnMut($integer) -> Option<$integer>,
            ) -> Result<$integer, $integer> {
                self.touch().fetch_update(success, failure, change)
            }
        }
    )*};
}

atomics!(AtomicU32 of u32 AtomicU64 of u64 AtomicUsize of usize);
