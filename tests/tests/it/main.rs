//! End-to-end tests: what people and programs see of `pony-run` and `pony-serve`, from outside.
#![allow(clippy::unwrap_used, clippy::format_collect, reason = "all of it is tests")]
#![allow(clippy::disallowed_methods, reason = "tests set up what they test")]

mod architecture;
mod cache;
mod cache_locking;
mod chain;
mod chain_python;
mod chain_reuse;
mod contexts;
mod crashes;
mod delivery;
mod dialects;
mod documented;
mod endings;
mod faults;
mod git;
mod hello;
mod jobserver;
mod leftovers;
mod limits;
mod logins;
mod messages;
mod needed;
mod notify;
mod old_runs;
mod original_client;
mod outbox;
mod peers;
mod proxy;
mod query;
mod recipes;
mod recorded;
mod replay;
mod retained;
mod screen;
mod secrets;
mod several;
mod slow_readers;
mod stopping;
mod streams;
mod submit;
mod surroundings;
mod uploads;
mod verbs;
mod virtualenv;
