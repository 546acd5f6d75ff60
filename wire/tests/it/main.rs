//! The documents of all pony-build servers: recorded, hostile, random, and exchanged with Python.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod hostile;
mod interop;
mod properties;
mod recorded;
