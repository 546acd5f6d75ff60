//! The documents of all pony-build servers: recorded, hostile, random, and exchanged with Python.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests set up what they test")]

mod hostile;
mod interop;
mod properties;
mod recorded;
