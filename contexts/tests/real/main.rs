//! Contexts prepared with real commands in a closed world: a home, a cache and repositories of their own.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "all of it is tests")]

mod damage;
mod git;
mod path;
mod remote;
mod support;
