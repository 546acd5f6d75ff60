//! Contexts prepared with real commands in a closed world (a home, a cache and repositories of their own), and one
//! with a script in place of commands.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "all of it is tests")]
#![allow(clippy::disallowed_methods, reason = "tests set up what they test")]

mod archive;
mod care;
mod damage;
mod git;
mod hg;
mod hg_remote;
mod lasting;
mod path;
mod remote;
mod scripted;
mod support;
mod svn;
mod svn_remote;
mod trust;
mod virtualenv;
mod virtualenv_wheels;
