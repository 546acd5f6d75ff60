//! Git repositories made on the fly.

use std::{fs, path::PathBuf};

use crate::World;

/// A repository to be built.
#[derive(Debug)]
pub struct Repository<'w> {
    world: &'w World,
    /// Where it is.
    pub dir: PathBuf,
}

impl World {
    /// Runs git in a folder of this world, which must succeed; its output without the last line's end.
    pub fn git(&self, dir: &str, arguments: &[&str]) -> String {
        let call = self.call("git", &[&["-C", &self.path(dir).display().to_string()], arguments].concat());
        call.end().code(0).out().trim_end().to_owned()
    }

    /// A repository with one commit on `main`.
    pub fn repository(&self, name: &str) -> Repository<'_> {
        let dir = self.path(name);
        fs::create_dir_all(&dir).expect("folders");
        let repository = Repository { world: self, dir };
        repository.git(&["init", "--quiet"]);
        repository.commit("one");
        repository
    }
}

impl Repository<'_> {
    /// Runs git in it.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.world.git(&self.path(), arguments)
    }

    /// Its path as text, which is also a URL that git takes.
    pub fn path(&self) -> String {
        self.dir.display().to_string()
    }

    /// The id of its head.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes a file of its tree.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders");
        fs::write(path, text).expect("a new file");
    }

    /// Commits what there is, and `file` with `text` in it; the commit's id.
    pub fn commit(&self, text: &str) -> String {
        self.write("file", text);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", text]);
        self.head()
    }
}
