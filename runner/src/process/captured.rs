//! Commands whose output is wanted and nothing else: no step, no record, nothing on screen.

use std::{ffi::OsStr, time::Duration};

use pony_contexts::{Command, CommandOutput};

use super::{
    capture::Capture,
    group::Group,
    spawn::{Environment, Exit, Message, Process, Spec},
};

/// How long is waited for who still holds the pipes of a command that has ended.
const LINGER: Duration = Duration::from_millis(500);

/// A context's command with all that it sees: `env`, then its own.
pub(crate) fn spec(command: Command, env: &Environment) -> Spec {
    let mut env = env.clone();
    for (name, value) in command.env {
        match value {
            Some(value) => env.insert(name.into(), value),
            None => env.remove(OsStr::new(&name)),
        };
    }
    Spec { argv: command.argv, cwd: command.cwd, env }
}

/// What a short command prints on stdout, without blanks around it, if it is there, ends well and says something.
pub async fn ask_briefly(argv: [&str; 2], env: &Environment) -> Option<String> {
    const LIMIT: Duration = Duration::from_secs(10);
    let argv = argv.map(Into::into).to_vec();
    let ended = ask(&Spec { argv, cwd: "/".into(), env: env.clone() }, LIMIT).await;
    let said = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    (ended.status == 0 && !said.is_empty()).then_some(said)
}

/// Runs `spec`, no longer than `limit`. Dropping this kills it.
pub(crate) async fn ask(spec: &Spec, limit: Duration) -> CommandOutput {
    let mut process = match Process::spawn(spec) {
        Ok(process) => process,
        Err(error) => {
            let stderr = spec.cannot_start(&error).into_bytes();
            return CommandOutput { status: -1, stderr, ..CommandOutput::default() };
        }
    };
    let _guard = KillGuard(process.group());
    let mut captures = [Capture::default(), Capture::default()];
    let (mut exit, mut open, mut silent) = (None, 2, false);
    let mut deadline = Box::pin(tokio::time::sleep(limit));
    while exit.is_none() || open > 0 {
        tokio::select! {
            message = process.next() => match message {
                Message::Output(stream, bytes) => captures[stream.index()].push(bytes),
                Message::Closed(_) => open -= 1,
                Message::Exited(how) => {
                    exit = Some(how);
                    deadline.set(tokio::time::sleep(LINGER));
                }
            },
            () = &mut deadline => {
                silent |= exit.is_none();
                process.group().kill();
                process.abandon();
                deadline.set(tokio::time::sleep(limit.max(LINGER)));
            }
        }
    }
    let [stdout, stderr] = captures.map(Capture::into_bytes);
    let status = exit.map_or(-1, Exit::protocol_status);
    CommandOutput { status, stdout, stderr, quiet: silent, stopped: false }
}

/// Nothing of a group is left when this goes.
struct KillGuard(Group);

impl Drop for KillGuard {
    fn drop(&mut self) {
        self.0.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn sh(script: &str) -> Spec {
        let argv = ["sh", "-c", script].map(OsString::from).to_vec();
        Spec { argv, cwd: "/".into(), env: std::env::vars_os().collect() }
    }

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn its_words_and_its_end_come_back() {
        let ended = ask(&sh("echo out; echo err >&2; exit 3"), LONG).await;
        assert_eq!((ended.status, ended.stdout, ended.stderr), (3, b"out\n".to_vec(), b"err\n".to_vec()));
        let ended = ask(&Spec { argv: vec!["/no/such".into()], ..sh("") }, LONG).await;
        assert!(ended.status == -1 && !ended.stderr.is_empty());
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed() {
        let ended = ask(&sh("echo begun; sleep 1000"), Duration::from_millis(50)).await;
        assert!(ended.quiet && ended.status < 0);
    }

    #[tokio::test]
    async fn who_holds_its_pipes_is_not_waited_for() {
        let ended = ask(&sh("sleep 1000 & echo done"), LONG).await;
        assert_eq!((ended.status, ended.stdout, ended.quiet), (0, b"done\n".to_vec(), false));
    }
}
