//! Exactly what is asked of a shell, by one that has its answers ready and runs nothing.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use pony_contexts::{
    Command, CommandOutput, Error, RevisionSpec, Shell, SourceSpec, Stage, prepare,
    shell::{Download, DownloadError, Downloaded},
};

use crate::support::{World, tag, wanted};

const ID: &str = "1111111111111111111111111111111111111111";

/// Gives its answers in order: exit status and output.
struct Script {
    answers: VecDeque<(i64, String)>,
    asked: Vec<Command>,
}

impl Shell for Script {
    async fn run(&mut self, command: Command) -> CommandOutput {
        self.asked.push(command);
        let (status, stdout) = self.answers.pop_front().unwrap();
        CommandOutput { status, stdout: stdout.into_bytes(), ..CommandOutput::default() }
    }

    async fn download(&mut self, _: Download) -> Result<Downloaded, DownloadError> {
        unreachable!("nothing is to be downloaded")
    }

    async fn pause(&mut self, _: Duration) {}

    fn find(&self, _: &OsStr, _: &OsStr, _: &Path) -> Option<PathBuf> {
        None
    }

    async fn capture(&mut self, _: Command, _: Duration) -> CommandOutput {
        unreachable!("nothing is to be found out")
    }

    fn begin(&mut self, _: Stage) {}

    fn complete(&mut self, _: String) {}

    fn note(&mut self, _: &str) {}
}

impl Script {
    fn new(answers: &[(i64, &str)]) -> Self {
        let answers = answers.iter().map(|(status, stdout)| (*status, (*stdout).to_owned())).collect();
        Self { answers, asked: Vec::new() }
    }

    /// A line a command: its label, then its arguments after those that all have.
    fn asked(&self, world: &World) -> Vec<String> {
        let prefix = "git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c protocol.ext.allow=never \
                      -c submodule.recurse=false -c safe.bareRepository=explicit ";
        let line = |command: &Command| {
            let words: Vec<_> = command.argv.iter().map(|arg| arg.to_str().unwrap()).collect();
            let words = words.join(" ").replace(world.dir.path().to_str().unwrap(), "");
            format!("{}: {}", command.label, words.strip_prefix(prefix).unwrap())
        };
        self.asked.iter().map(line).collect()
    }
}

#[tokio::test]
async fn a_tag_from_nothing_on() {
    let world = World::new();
    let log = format!("{ID}\u{1f}Ann\u{1f}2026-01-02T03:04:05+01:00\u{1f}one\n");
    let id = format!("{ID}\n");
    let mut script =
        Script::new(&[(0, ""), (0, ""), (0, ""), (0, &id), (0, ""), (0, ""), (0, ""), (0, &log)]);
    let request = world.request(Some(SourceSpec::Git(wanted("https://ann:pw@host/demo.git", tag("v1")))));
    let prepared = prepare(&request, &mut script).await.unwrap();

    let mirror = world.mirror();
    let name = mirror.file_name().unwrap().to_str().unwrap();
    let new = script.asked[0].argv.last().unwrap().to_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert!(new.starts_with(&format!("{name}.new-")), "{new}");
    let tree = prepared.cwd.to_str().unwrap().replace(world.dir.path().to_str().unwrap(), "");
    let login: Vec<_> = script
        .asked(&world)
        .iter()
        .map(|line| line.contains("credential.https://host.helper=!f()"))
        .collect();
    assert_eq!(login, [true; 8]);
    assert!(script.asked(&world).iter().all(|line| !line.contains("pw") && !line.contains("ann")));

    // As with a login, but for the helper.
    let mut plain = Script::new(&[]);
    plain.asked = script.asked.clone();
    for command in &mut plain.asked {
        command.argv.retain(|arg| !arg.to_str().unwrap().starts_with("credential."));
        command.argv.drain(11..13);
    }
    assert_eq!(
        plain.asked(&world),
        [
            format!(
                "create cache: -c init.defaultBranch=none init --bare --quiet --template= --object-format=sha1 -- /cache/git/{new}"
            ),
            format!(
                "cache_update: -c fetch.unpackLimit=1 -c gc.autoDetach=false -c maintenance.autoDetach=false \
                 --git-dir=/cache/git/{new} fetch --no-tags --no-write-fetch-head --no-recurse-submodules \
                 --update-shallow --prune --progress -- https://host/demo.git +refs/heads/*:refs/heads/* \
                 +refs/tags/*:refs/tags/*"
            ),
            format!("cache_pack: --git-dir=/cache/git/{new} pack-refs --all"),
            format!(
                "resolve: --git-dir=/cache/git/{name} rev-parse --verify --quiet --end-of-options refs/tags/v1^{{commit}}"
            ),
            format!(
                "clone: -c protocol.file.allow=always clone --local --no-checkout --quiet --origin=origin --template= \
                 -c gc.auto=0 -- /cache/git/{name} {tree}"
            ),
            "origin: remote set-url -- origin https://host/demo.git".to_owned(),
            format!("checkout: checkout --quiet --force --detach {ID}"),
            "version: -c i18n.logOutputEncoding=UTF-8 log --no-show-signature --no-color \
             --format=%H%x1f%an%x1f%cI%x1f%s --no-walk=unsorted --ignore-missing HEAD"
                .to_owned(),
        ]
    );
    assert_eq!(prepared.checkout.unwrap().version_info, format!("{ID} one"));
}

#[tokio::test]
async fn a_head_that_upstream_does_not_have() {
    let world = World::new();
    for answer in ["", "garbage\tHEAD\n", "ref: refs/heads/main\tHEAD\n"] {
        let mut script = Script::new(&[(0, answer)]);
        let request = world.request(Some(SourceSpec::Git(wanted("git@host:demo", RevisionSpec::Default))));
        let error = prepare(&request, &mut script).await.unwrap_err();
        assert!(matches!(error, Error::NoDefaultBranch(_)), "{error:?}");
        assert_eq!(script.asked(&world), ["remote_head: ls-remote --symref -- git@host:demo HEAD"]);
    }
}
