//! What is known to be missing before the first step runs. Pure: whether a program is there is asked of the caller.

use crate::recipe::{Action, Step};

/// A program that a step begins with and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// Index among the recipe's steps.
    pub(super) step: usize,
    /// As written.
    pub(super) program: String,
    /// A list names its program for certain; a script's first word may be made by an earlier step, so it is only told.
    pub(super) certain: bool,
}

/// Looks at every step; `there` says whether a program is on its step's PATH. A program with a slash in it may be what the
/// build makes, so it is not looked for.
pub(super) fn missing(steps: &[Step], mut there: impl FnMut(&Step, &str) -> bool) -> Vec<Missing> {
    let mut missing = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let (program, certain) = match &step.action {
            // What may fail does not keep the rest from running.
            Action::Program(argv) => (argv.first().map(String::as_str), !step.allow_failure),
            Action::Script(script) => (first_program(script), false),
            Action::Upload(_) | Action::Outputs(_) => (None, false),
        };
        if let Some(program) = program.filter(|program| !program.contains('/'))
            && !there(step, program)
        {
            missing.push(Missing { step: index, program: program.to_owned(), certain });
        }
    }
    missing
}

/// What `sh` does by itself, and words that begin something other than a program's name.
const OF_THE_SHELL: [&str; 60] = [
    "!", ".", ":", "[", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "declare",
    "do", "done", "echo", "elif", "else", "esac", "eval", "exec", "exit", "export", "false", "fg", "fi",
    "for", "function", "getopts", "hash", "if", "jobs", "kill", "let", "local", "printf", "pwd", "read",
    "readonly", "return", "select", "set", "shift", "shopt", "source", "test", "then", "time", "times",
    "trap", "true", "type", "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
];

/// The program that a script begins with, where that is plain to see.
fn first_program(script: &str) -> Option<&str> {
    let line = script.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let word = line.split([' ', '\t', ';', '&', '|', '<', '>', '(', ')']).next()?;
    let plain =
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
    (plain && !OF_THE_SHELL.contains(&word)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_program_of_a_script() {
        assert_eq!(first_program("make -j4 && make install"), Some("make"));
        assert_eq!(first_program("# build\n\n  cmake -B b\nmake"), Some("cmake"));
        assert_eq!(first_program("make;true"), Some("make"));
        for unclear in [
            "cd src && make",
            "CC=gcc make",
            "\"$PYTHON\" -m x",
            "$MAKE",
            "if true; then x; fi",
            "(make)",
            "",
        ] {
            assert_eq!(first_program(unclear), None, "{unclear}");
        }
    }
}
