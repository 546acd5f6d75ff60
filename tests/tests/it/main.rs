//! End-to-end tests: what people and programs see of `pony-run` and `pony-serve`, from outside.
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

mod hello;
