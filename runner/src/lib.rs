//! Runs builds from recipes, shows and records them, and submits one complete result.
//!
//! The way of a build: `cli` → `app` → [`recipe`] → [`run`] (context, steps) → [`report`] (run folder, screen) →
//! [`submit`] → [`server`]. What decides is pure; the clock is in `clock`, spawning in `run::unit`, HTTP in `server::http`.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
mod download;
pub mod environment;
pub mod event;
pub mod exit;
pub mod facts;
pub mod folder;
pub mod graph;
pub mod home;
pub mod ingredients;
pub mod jobserver;
pub mod kept;
pub mod mask;
pub mod needed;
pub mod notify;
pub mod plan;
pub mod query;
pub mod receipt;
pub mod recipe;
pub mod record;
pub mod recover;
pub mod replay;
pub mod report;
pub mod run;
pub mod server;
pub mod slots;
pub mod submit;
