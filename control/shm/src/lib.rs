//! The shared memory between Braid's engine and its applications: the one crate that both sides
//! link, and so the definition of what they say to each other.
//!
//! # What there is
//!
//! - **A descriptor per socket**: one end of an `AF_UNIX` `SOCK_SEQPACKET` pair. No payload goes
//!   through it; its packets only make it readable and writable, so that poll, select and epoll, dup,
//!   fork and SCM_RIGHTS mean what they mean. The engine keeps the other end, whose hang-up tells that
//!   the last copy was closed, in whatever process.
//! - **A region per attachment**: one sealed, sparse memfd ([`layout`], [`memory`]). A slot per socket
//!   holds its words; behind the slots lie two rings of bytes per socket. Thread blocks carry calls to
//!   the control thread ([`thread_block`]).
//! - **A control connection per attachment**, for what needs descriptors passed ([`abi::Request`]).
//!
//! [`EngineRegion`] and [`ApplicationRegion`] are the two sides' ways in.
//!
//! # The walk of a byte
//!
//! Out: `ApplicationSlot::send` takes the socket's transmit lock, claims room behind the tail, copies
//! the bytes into the ring, publishes the tail, lets the lock go, and kicks the engine: a bit in the
//! doorbell of the worker that the slot names. That worker, in its loop, takes the doorbell's bits, reads the tail (once, and
//! checks it against its own indices), copies the bytes out for the stack, and publishes the head.
//!
//! In: the worker reads the head (once, checked), copies bytes of the stack into the receive ring, and
//! publishes the tail. `ApplicationSlot::receive` takes the receive lock, claims bytes behind the
//! head, copies them out, and publishes the head.
//!
//! As long as both sides find work there is no system call on the way, and the control thread is
//! never on it.
//!
//! # The walk of a wake-up
//!
//! Five can wait. Each of the five tells it by a word, fences, and looks once more before it sleeps;
//! each of those who may wake it publishes, fences, and looks at the word. So one of the two sees the
//! other, whatever the order; the modules argue it at each word.
//!
//! | Who waits | for | says so in | and is woken by |
//! |---|---|---|---|
//! | a reader, in poll | bytes | `interest` | a token: a packet from the engine's end |
//! | a thread that reads the list, in epoll | bytes on any socket | `sleeping` of the application's doorbell | a token of that socket |
//! | a writer, in poll | room | `blocked`, with filler in the queue | the engine taking the filler out |
//! | the engine's stack | room for bytes that came | `stalled` | a kick |
//! | a worker, in poll | kicks | `sleeping` of its doorbell | its bell, an eventfd |
//!
//! (The control thread waits like a worker; a thread that made a call waits in a futex on its block.)
//!
//! A reader: `ApplicationSlot::receive` gives 0. It keeps an `ApplicationSlot::watch`, looks at
//! `unread` and `read_end` again, and polls its descriptor. Bytes come; the engine, having published
//! them, sees `interest`, counts a token and sends it: poll returns. The receive that empties the ring
//! claims the token back, looks at the ring again, and takes the packet out of the queue. A
//! descriptor in an epoll is watched for good (`watch_for_good`), or is on the list of those to which
//! something has come, the application's doorbell, for whose reader the engine puts a token only when it
//! sleeps (`list`).
//!
//! A writer: `ApplicationSlot::send` gives 0. `ApplicationSlot::block` puts a packet of filler into the
//! queue to the engine, which makes the descriptor unwritable, sets `blocked`, and looks again. The
//! engine, when half the ring is free, sees `blocked` and takes the filler out: poll returns.
//!
//! The end of a stream is a word (`read_end`), after which the engine shuts its end down for writing:
//! the descriptor is then readable for good. The end of the engine is a hang-up with no such word.
//!
//! # Whom each side trusts
//!
//! The engine trusts no word: it reads each once, checks the copy and uses the copy; offsets come from
//! its own layout. What cannot be true is a [`Violation`], upon which it cuts that attachment off. An
//! application has to trust the engine with its bytes, but its memory stays safe from shared words
//! too: they can give an error or wrong bytes, and make a thread wait for a lock, no more.

pub mod abi;
pub mod descriptor;
mod doorbell;
pub mod layout;
pub mod lock;
pub mod memory;
pub mod region;
mod ring;
pub mod slot;
mod sync;
mod sys;
pub mod thread_block;
pub mod violation;

pub use descriptor::Bell;
pub use layout::RegionLayout;
pub use lock::ThreadId;
pub use region::application::{ApplicationRegion, ApplicationSlot, Turn, Watch};
pub use region::call::{CallError, ClaimedBlock};
pub use region::engine::{CommandServer, EngineRegion, EngineSlot, SlotHandle};
pub use region::worker::WorkerRegion;
pub use slot::ends::{ApplicationEnd, EngineEnd};
pub use slot::{Linger, ReadEnd, SlotFlags, SlotState, Splitting, Unsent};
pub use violation::Violation;
