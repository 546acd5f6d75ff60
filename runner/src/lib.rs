//! Runs builds from recipes, shows and records them, and submits one complete result.

pub mod recipe;
