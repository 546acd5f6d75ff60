//! Helpers for end-to-end tests through the built programs.
