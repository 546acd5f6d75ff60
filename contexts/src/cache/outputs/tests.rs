//! Outputs stored, found, listed and removed, by several processes and across kills.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    links,
    list::MANIFEST_BYTES,
    manifest::StoredManifest,
    prune::{prune, retained_paths},
    *,
};
use crate::{
    cache::types::Health,
    disk::{read_dir, sibling},
    tree::remove_tree,
};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A cache in which a run has built.
struct Cache(TempDir);

impl Cache {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The workspace of a run that has built `out` and `lib.a`.
    fn built(&self, run_id: &str) -> PathBuf {
        let dir = workspace(self.path(), "zlib", run_id);
        fs::create_dir_all(dir.join("tree/out/bin")).unwrap();
        for file in ["tree/out/bin/z", "tree/lib.a", "tree/z.o"] {
            fs::write(dir.join(file), "x").unwrap();
        }
        dir
    }

    fn store(&self, run_id: &str) -> StoredOutputs {
        let dir = self.built(run_id);
        store(self.path(), &dir, manifest(&dir), false).unwrap()
    }

    fn find(&self) -> Option<StoredOutputs> {
        find(self.path(), KEY)
    }

    /// All that is in the folder of outputs.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for dir in ["", ".keys"] {
            for entry in read_dir(&self.path().join("chain").join(dir)).unwrap() {
                names.push(format!("{dir}{}", entry.file_name().to_string_lossy()));
            }
        }
        names.retain(|name| ![".keys", ".lock"].contains(&name.as_str()));
        names.sort();
        names
    }
}

fn manifest(dir: &Path) -> OutputsManifest {
    let run_id = dir.file_name().unwrap().to_str().unwrap().rsplit('-').next().unwrap().to_owned();
    OutputsManifest {
        key: KEY.to_owned(),
        name: "zlib(shared=no)".to_owned(),
        package: "zlib".to_owned(),
        run_id,
        revision: Some("0123456789abcdef".to_owned()),
        ended: "2026-01-31T12:00:00Z".to_owned(),
        outputs: [("prefix", "tree/out"), ("static", "tree/lib.a")]
            .map(|(name, path)| (name.to_owned(), dir.join(path)))
            .into(),
        bytes: 0,
    }
}

#[test]
fn what_was_stored_is_found_until_it_is_removed() {
    let cache = Cache::new();
    assert!(cache.find().is_none());
    let stored = cache.store("r1");
    assert!(stored.manifest.bytes > 0);
    let dir = cache.path().join("chain/zlib-r1");
    assert!(is_stored(&dir) && !is_stored(&dir.join("tree")));
    assert!(dir.join("tree/out/bin/z").exists() && !dir.join("tree/z.o").exists());

    let old = std::time::UNIX_EPOCH;
    File::options().write(true).open(sibling(&dir, ".json")).unwrap().set_modified(old).unwrap();
    let (one, two) = (cache.find().unwrap(), cache.find().unwrap());
    assert_eq!((&one.manifest, &two.manifest), (&stored.manifest, &stored.manifest));
    let [listed] = &list(cache.path()).unwrap()[..] else { panic!() };
    assert!(listed.summary.as_ref().unwrap().used > old, "it was used now");
    assert_eq!(
        (listed.name().as_str(), listed.bytes()),
        ("chain/zlib-r1", MANIFEST_BYTES + stored.manifest.bytes)
    );
    assert_eq!(listed.summary.as_ref().unwrap().address, "zlib(shared=no) at 0123456789ab");

    // As long as anybody uses it, nobody removes it.
    for used in [stored, one, two] {
        assert!(!listed.remove().unwrap() && !discard(&dir).unwrap());
        assert_eq!(verify(&dir).unwrap(), Health::InUse);
        drop(used);
    }
    assert_eq!(verify(&dir).unwrap(), Health::Intact);
    assert!(listed.remove().unwrap());
    assert!(cache.find().is_none());
    assert_eq!(cache.names(), [""; 0]);
}

#[test]
fn a_kill_leaves_a_whole_entry_or_nothing_that_is_found() {
    // How far making it came: workspace, pruned, manifest half-written, manifest, link half-made, link.
    for made in 0..=5 {
        let cache = Cache::new();
        let dir = cache.built("r1");
        let stored = StoredManifest { manifest: manifest(&dir), unpruned: false };
        fs::create_dir_all(links::dir(cache.path())).unwrap();
        if made >= 1 {
            prune(&dir, &retained_paths(&dir, stored.manifest.outputs.values()).unwrap());
        }
        if made == 2 {
            fs::write(sibling(&dir, ".new-manifest"), "{").unwrap();
        }
        if made >= 3 {
            stored.write(&dir).unwrap();
        }
        if made == 4 {
            symlink(links::target(&dir), links::dir(cache.path()).join(".new")).unwrap();
        }
        if made == 5 {
            links::link(&links::dir(cache.path()).join(KEY), &dir).unwrap();
        }
        assert_eq!(cache.find().is_some(), made == 5, "{made}");
        // The next run records the crash, and removes what it has left.
        assert!(discard(&dir).unwrap());
        assert!(list(cache.path()).unwrap().is_empty());
        assert_eq!(cache.names(), [""; 0], "{made}");
        // And builds again.
        cache.store("r2");
        assert_eq!(cache.find().unwrap().manifest.run_id, "r2");
    }
    // How far removing it came: link, some of the workspace, the workspace, manifest.
    for removed in 1..=4 {
        let cache = Cache::new();
        cache.store("r1");
        let dir = cache.path().join("chain/zlib-r1");
        links::unlink(&dir, KEY).unwrap();
        if removed >= 2 {
            fs::remove_file(dir.join("tree/out/bin/z")).unwrap();
        }
        if removed >= 3 {
            remove_tree(&dir).unwrap();
        }
        if removed == 4 {
            fs::remove_file(sibling(&dir, ".json")).unwrap();
        }
        assert!(cache.find().is_none(), "{removed}");
        assert!(list(cache.path()).unwrap().is_empty());
        assert_eq!(cache.names(), [""; 0], "{removed}");
    }
}

#[test]
fn what_is_not_whole_is_not_found() {
    type Harm = fn(&Path, &Path);
    let harms: [(Harm, bool); 5] = [
        (|dir, _| remove_tree(&dir.join("tree/out")).unwrap(), true),
        (|dir, _| fs::remove_file(dir.join("tree/lib.a")).unwrap(), true),
        (|dir, _| remove_tree(dir).unwrap(), false),
        (|dir, _| fs::write(sibling(dir, ".json"), "{").unwrap(), false),
        (|dir, _| fs::remove_file(sibling(dir, ".json")).unwrap(), false),
    ];
    for (index, (harm, is_listed)) in harms.into_iter().enumerate() {
        let cache = Cache::new();
        cache.store("r1");
        let dir = cache.path().join("chain/zlib-r1");
        harm(&dir, cache.path());
        assert!(cache.find().is_none(), "{index}");
        let listed = list(cache.path()).unwrap();
        assert_eq!(listed.len(), usize::from(is_listed), "{index}");
        if is_listed {
            let Health::Damaged(why) = verify(&dir).unwrap() else { panic!() };
            assert!(why.contains("is gone (`/"), "{why}");
            // No key links to it any more.
            assert!(list(cache.path()).unwrap().is_empty());
        }
        // A workspace without a manifest is its run's.
        assert_eq!(cache.names().is_empty(), index < 4, "{index}");
    }
}

#[test]
fn a_newer_one_takes_the_place_of_an_older_one() {
    let cache = Cache::new();
    drop(cache.store("r1"));
    let newer = cache.store("r2");
    assert_eq!(cache.names(), [&format!(".keys{KEY}"), "zlib-r2", "zlib-r2.json"]);
    // While it is used it stays, and goes later.
    cache.store("r3");
    assert_eq!(cache.find().unwrap().manifest.run_id, "r3");
    assert!(newer.manifest.outputs["prefix"].join("bin/z").exists());
    assert_eq!(list(cache.path()).unwrap().len(), 2);
    drop(newer);
    assert_eq!(list(cache.path()).unwrap().len(), 1);
    assert_eq!(cache.names(), [&format!(".keys{KEY}"), "zlib-r3", "zlib-r3.json"]);
}

#[test]
fn what_is_held_stays_whatever_others_do() {
    let cache = Cache::new();
    let is_there = |found: &StoredOutputs| {
        assert!(found.manifest.outputs.values().all(|output| output.exists()), "{:?}", found.manifest);
        assert!(found.manifest.outputs["prefix"].join("bin/z").exists());
    };
    let work = |worker: usize| {
        let mut held = None;
        for turn in 0..40 {
            match (worker + turn) % 4 {
                0 => held = Some(cache.store(&format!("r{worker}x{turn}"))),
                1 => held = cache.find().or(held),
                2 => {
                    for listed in list(cache.path()).unwrap() {
                        // Another may be about to remove the same.
                        let _ = listed.remove();
                    }
                }
                _ => drop(list(cache.path()).unwrap()),
            }
            held.iter().for_each(is_there);
        }
    };
    let work = &work;
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || work(worker));
        }
    });
    for listed in list(cache.path()).unwrap() {
        assert!(listed.remove().unwrap());
    }
    assert_eq!(cache.names(), [""; 0]);
}

#[test]
fn without_outputs_there_is_no_workspace() {
    let cache = Cache::new();
    let dir = workspace(cache.path(), "zlib", "r1");
    let manifest = OutputsManifest { outputs: BTreeMap::new(), ..manifest(&dir) };
    for is_there in [false, true] {
        if is_there {
            cache.built("r1");
        }
        store(cache.path(), &dir, manifest.clone(), false).unwrap();
        assert!(cache.find().unwrap().manifest.outputs.is_empty());
        assert_eq!(list(cache.path()).unwrap().len(), 1);
        assert_eq!(cache.names(), [&format!(".keys{KEY}"), "zlib-r1.json"]);
    }
}

#[test]
fn a_tree_that_somebody_looks_at_is_not_the_caches() {
    let cache = Cache::new();
    let dir = cache.built("r1");
    store(cache.path(), &dir, manifest(&dir), true).unwrap();
    assert!(dir.join("tree/z.o").exists() && cache.find().is_some());
    let [listed] = &list(cache.path()).unwrap()[..] else { panic!() };
    assert_eq!(listed.bytes(), MANIFEST_BYTES);
    assert!(listed.remove().unwrap());
    assert!(cache.find().is_none() && dir.join("tree/z.o").exists());
    assert!(discard(&dir).unwrap() && !dir.exists());
}

#[test]
fn what_cannot_be_stored() {
    let cache = Cache::new();
    let dir = cache.built("r1");
    let other = tempfile::tempdir().unwrap();
    let gone = [("prefix".to_owned(), dir.join("tree/gone"))].into();
    for (dir, manifest, why) in [
        (dir.as_path(), OutputsManifest { key: "../x".to_owned(), ..manifest(&dir) }, "not a cache key"),
        (other.path(), manifest(&dir), "not a workspace of this cache"),
        (&dir, OutputsManifest { outputs: gone, ..manifest(&dir) }, "No such file"),
    ] {
        let error = store(cache.path(), dir, manifest, false).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(dir.join("tree/z.o").exists(), "nothing was pruned");
    assert!(find(cache.path(), "../x").is_none());
}

#[test]
fn workspaces_have_plain_names_that_end_with_their_run() {
    for (name, expected) in [
        ("zlib", "zlib-r1"),
        ("app[3.13, sqlite]", "app-3.13-sqlite-r1"),
        ("../a/zlib(shared=no)", "a-zlib-shared-no-r1"),
        ("é", "r1"),
        (&"x".repeat(200), &format!("{}-r1", "x".repeat(40))),
    ] {
        assert_eq!(workspace(Path::new("/c"), name, "r1"), Path::new("/c/chain").join(expected));
    }
}
