//! The two ends of a socket's descriptor, as the protocols need them.

/// The engine's end.
pub trait EngineEnd {
    /// Sends one token. When the queue is full, the application's end is readable anyway.
    fn put_token(&self);
    /// Takes one packet of filler out; whether there was one. The application's end is writable once
    /// there is none.
    fn take_filler(&self) -> bool;
    /// Makes the application's end readable for good: `POLLIN` and `POLLRDHUP`.
    fn finish(&self);
}

/// The application's end.
pub trait ApplicationEnd {
    /// Takes one token out of the queue, without waiting; whether there was one.
    fn take_token(&self) -> bool;
    /// Makes this end unwritable, if it is not: afterwards `POLLOUT` is off.
    fn fill(&self);
}
