//! What stays of a workspace when its run has passed: outputs and the links to them.
#![expect(clippy::disallowed_methods, reason = "outputs are removed here")]

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use crate::tree::remove_tree;

/// Most links between an output and its target; links in a loop have more.
const MAX_LINKS: usize = 40;

/// The paths in `workspace` that stay for `outputs`, with all that is below them: each output, or, where there are links on
/// the way to it, these and their targets. Targets outside the workspace are nobody's to remove.
pub(super) fn retained_paths<'o>(
    workspace: &Path,
    outputs: impl IntoIterator<Item = &'o PathBuf>,
) -> io::Result<BTreeSet<PathBuf>> {
    let mut retained = BTreeSet::new();
    for output in outputs {
        let within = output.strip_prefix(workspace).ok();
        let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let within = within.filter(|within| within.components().all(is_plain)).ok_or_else(|| {
            let what = format!("`{}` is outside the build's folder", output.display());
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        follow(workspace, within, &mut retained)
            .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", output.display())))?;
    }
    Ok(retained)
}

fn follow(workspace: &Path, within: &Path, retained: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let real = workspace.canonicalize()?;
    let mut rest = reversed(within);
    let (mut at, mut links) = (workspace.to_owned(), 0);
    while let Some(part) = rest.pop() {
        if part == ".." {
            at.pop();
            if !at.starts_with(workspace) {
                return Ok(());
            }
            continue;
        }
        let next = at.join(part);
        if !fs::symlink_metadata(&next)?.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::other("its links form a loop"));
        }
        let target = fs::read_link(&next)?;
        retained.insert(next);
        if target.is_absolute() {
            let Ok(within) = target.strip_prefix(workspace).or_else(|_| target.strip_prefix(&real)) else {
                return Ok(());
            };
            workspace.clone_into(&mut at);
            rest.extend(reversed(within));
        } else {
            rest.extend(reversed(&target));
        }
    }
    retained.insert(at);
    Ok(())
}

/// The parts of a path, the last first.
fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

/// Removes all that is in `dir` except `retained` paths, what is below them and their parents; `dir` itself if nothing in it
/// stays. Links are removed, never followed. What cannot be removed is left: outputs are complete whether it goes or not.
pub(super) fn prune(dir: &Path, retained: &BTreeSet<PathBuf>) {
    if retained.contains(dir) {
        return;
    }
    let below = retained.range(dir.to_owned()..).next();
    let is_dir = fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir());
    if !is_dir || below.is_none_or(|below| !below.starts_with(dir)) {
        if is_dir || fs::remove_file(dir).is_err() {
            let _ = remove_tree(dir);
        }
        return;
    }
    if let Ok(found) = fs::metadata(dir)
        && found.permissions().mode() & 0o700 != 0o700
    {
        let _ = fs::set_permissions(dir, Permissions::from_mode(found.permissions().mode() | 0o700));
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        prune(&entry.path(), retained);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A workspace with these files, links as `name -> target`, and folders with a slash behind.
    fn workspace(paths: &[&str]) -> tempfile::TempDir {
        let workspace = tempfile::tempdir().unwrap();
        for path in paths {
            let (path, target) = path.split_once(" -> ").map_or((*path, None), |(a, b)| (a, Some(b)));
            let full = workspace.path().join(path);
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            match target {
                Some(target) => {
                    symlink(target.replace("WORKSPACE", workspace.path().to_str().unwrap()), full).unwrap();
                }
                None if path.ends_with('/') => fs::create_dir_all(full).unwrap(),
                None => fs::write(full, "x").unwrap(),
            }
        }
        workspace
    }

    /// What is there, folders with nothing in them too.
    fn left(dir: &Path) -> Vec<String> {
        let walk = crate::tree::Selection::All.walk(dir).map(|entry| entry.unwrap().into_path());
        let is_leaf = |path: &PathBuf| {
            path.is_symlink() || !path.is_dir() || fs::read_dir(path).unwrap().next().is_none()
        };
        walk.filter(is_leaf).map(|path| path.strip_prefix(dir).unwrap().display().to_string()).collect()
    }

    fn pruned(paths: &[&str], outputs: &[&str]) -> Vec<String> {
        let workspace = workspace(paths);
        let outputs: Vec<PathBuf> = outputs.iter().map(|output| workspace.path().join(output)).collect();
        prune(workspace.path(), &retained_paths(workspace.path(), &outputs).unwrap());
        left(workspace.path())
    }

    #[test]
    fn outputs_stay_and_nothing_else() {
        let tree =
            ["src/z.c", "src/z.o", "out/bin/z", "out/lib/z.a", ".home/x", ".tmp/", ".virtualenv/bin/pip"];
        assert_eq!(pruned(&tree, &["out"]), ["out/bin/z", "out/lib/z.a"]);
        assert_eq!(pruned(&tree, &["out/lib", "out", "src/z.c"]), ["out/bin/z", "out/lib/z.a", "src/z.c"]);
        assert_eq!(pruned(&tree, &["out/bin/z"]), ["out/bin/z"]);
        // Whose name begins like another's is another.
        assert_eq!(pruned(&["out/x", "out-2/y", "out.x"], &["out"]), ["out/x"]);
        assert_eq!(pruned(&["a", "b/c"], &["."]), ["a", "b/c"]);
        assert_eq!(pruned(&tree, &[".virtualenv/bin"]), [".virtualenv/bin/pip"]);
    }

    #[test]
    fn nothing_retained_is_nothing_left() {
        let workspace = workspace(&["a/b", "c"]);
        prune(workspace.path(), &BTreeSet::new());
        assert!(!workspace.path().exists());
        prune(workspace.path(), &BTreeSet::new());
    }

    #[test]
    fn what_links_lead_to_stays() {
        let tree = ["v1/lib/z.so.1", "v1/lib/z.so -> z.so.1", "v1/x", "now -> v1", "also -> WORKSPACE/now"];
        let left = ["now -> v1", "v1/lib/z.so -> z.so.1", "v1/lib/z.so.1"];
        let names = left.map(|name| name.split(" -> ").next().unwrap());
        assert_eq!(pruned(&tree, &["now/lib"]), names);
        assert_eq!(pruned(&tree, &["now/lib/z.so"]), names);
        assert_eq!(pruned(&tree, &["also"]), ["also", "now", "v1/lib/z.so", "v1/lib/z.so.1", "v1/x"]);
        // What is elsewhere is neither ours to keep nor to remove.
        assert_eq!(pruned(&["x", "out -> /etc/../etc"], &["out"]), ["out"]);
    }

    #[test]
    fn links_are_not_followed_when_things_go() {
        let elsewhere = workspace(&["precious/file"]);
        let link = format!("out-of-here -> {}", elsewhere.path().display());
        assert_eq!(pruned(&["a/out", &link], &["a/out"]), ["a/out"]);
        assert_eq!(left(elsewhere.path()), ["precious/file"]);
    }

    #[test]
    fn what_is_no_output() {
        for (paths, output, why) in [
            (&["a"][..], "b", "No such file"),
            (&["a -> a"], "a", "its links form a loop"),
            (&["a -> b"], "a", "No such file"),
            (&["a"], "../x", "is outside the build's folder"),
        ] {
            let workspace = workspace(paths);
            let error =
                retained_paths(workspace.path(), [&workspace.path().join(output)]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
