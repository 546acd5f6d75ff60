//! Runs builds from recipes, shows and records them, and submits one complete result.
//!
//! The way of a build: `cli` → `verbs` → [`recipe`] → [`run`] (context, steps) → [`display`] (run folder, screen) →
//! `delivery` → `server`. What decides is pure; the clock is in `clock`, spawning in `process::spawn`, HTTP in `server::http`.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set up what they test"))]

pub mod cli;
pub mod clock;
pub mod config;
mod delivery;
pub mod disk;
pub mod display;
mod download;
pub mod environment;
mod error;
mod executor;
pub mod exit;
pub mod graph;
pub mod home;
pub mod inputs;
mod inspect;
pub mod jobserver;
mod notify;
pub mod plan;
pub mod platform;
pub mod process;
mod query;
mod random;
pub mod recipe;
pub mod record;
pub mod redactor;
pub mod replay;
pub mod retained;
pub mod run;
pub mod schedule;
mod server;
pub mod slots;
pub mod verbs;
mod versioned;
pub mod words;
