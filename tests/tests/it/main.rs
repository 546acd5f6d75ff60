//! End-to-end tests: what people and programs see of `pony-run` and `pony-serve`, from outside.
#![allow(clippy::unwrap_used, clippy::format_collect, reason = "all of it is tests")]

mod cache;
mod contexts;
mod endings;
mod git;
mod hello;
mod kept;
mod leftovers;
mod limits;
mod messages;
mod needed;
mod screen;
mod secrets;
mod stopping;
mod streams;
mod submit;
mod surroundings;
mod verbs;
