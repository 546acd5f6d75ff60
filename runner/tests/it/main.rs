//! Recipes, graphs and the order of builds, through the library's public functions.
#![expect(clippy::unwrap_used, reason = "all of it is tests")]
#![allow(clippy::disallowed_methods, reason = "tests set up what they test")]

mod documented;
mod graph;
mod recipe_bad;
mod recipe_good;
mod recipe_properties;
mod recipe_shipped;
mod schedule_properties;
mod support;
