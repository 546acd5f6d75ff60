//! pony-serve as a library: an axum router that stores and lists results.
