//! Where the built programs are.

use std::path::PathBuf;

/// Path of `pony-run` or `pony-serve`, built beside the test that asks.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    // target/debug/deps/it-0123 → target/debug
    let folder = test.ancestors().nth(2).expect("tests lie two folders deep");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not there: `cargo build --workspace --bins` builds it (tests/run does so first)",
        path.display()
    );
    path
}
