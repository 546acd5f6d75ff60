//! pony-serve over real sockets, as a library and as a program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests set up what they test")]

mod browser;
mod calls;
mod files;
mod harness;
mod html;
mod http;
mod pages;
mod program;
mod upload_keys;
