//! End-to-end tests: what people and programs see of `pony-run` and `pony-serve`, from outside.
#![allow(clippy::unwrap_used, clippy::format_collect, reason = "all of it is tests")]

mod cache;
mod chain;
mod chain_python;
mod contexts;
mod crashes;
mod dialects;
mod endings;
mod faults;
mod git;
mod hello;
mod kept;
mod leftovers;
mod limits;
mod messages;
mod needed;
mod notify;
mod peers;
mod proxy;
mod query;
mod recipes;
mod recorded;
mod replay;
mod screen;
mod secrets;
mod seven;
mod several;
mod sharing;
mod stopping;
mod streams;
mod submit;
mod surroundings;
mod together;
mod verbs;
mod virtualenv;
