//! Where pony-build keeps what it keeps: `$PONY_HOME`, else `~/.pony-build`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::disk;

/// Bytes of [`Home::secret`].
const SECRET: usize = 32;

/// The layout below `$PONY_HOME`.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

/// No home can be found or made.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither variable is set.
    #[error("neither PONY_HOME nor HOME is set; say where runs are kept with PONY_HOME=DIR")]
    Unknown,
    /// The folder cannot be made.
    #[error("cannot make `{}`: {source}; PONY_HOME=DIR puts it elsewhere", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Home {
    /// The home that the environment asks for; both arguments are the variables' values.
    pub fn find(pony_home: Option<&Path>, home: Option<&Path>) -> Result<Self, HomeError> {
        let root = match (pony_home, home) {
            (Some(dir), _) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
            (_, Some(home)) if !home.as_os_str().is_empty() => home.join(".pony-build"),
            _ => return Err(HomeError::Unknown),
        };
        let root = std::path::absolute(&root).map_err(|source| HomeError::Make { path: root, source })?;
        Ok(Self { root })
    }

    /// Makes the folders that a run needs. They are for this user alone: logs can hold anything.
    pub fn make(&self) -> Result<(), HomeError> {
        use std::os::unix::fs::DirBuilderExt;
        for path in [
            self.root.clone(),
            self.runs(),
            self.active(),
            self.slots(),
            self.cache(),
            self.kept(),
            self.servers(),
            self.notify(),
        ] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|source| HomeError::Make { path, source })?;
        }
        Ok(())
    }

    /// `runs/<package>/<run-id>/` are the run folders.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// One locked file for each run under way; what is there unlocked was left by a crash.
    pub fn active(&self) -> PathBuf {
        self.root.join("runs/.active")
    }

    /// What each slot's last run was, one small file a slot.
    pub fn slots(&self) -> PathBuf {
        self.root.join("runs/.slots")
    }

    /// Mirrors of what was checked out.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// What holds for all recipes on this machine; need not be there.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.yaml")
    }

    /// Notes of the trees that are kept.
    pub fn kept(&self) -> PathBuf {
        self.runs().join(".kept")
    }

    /// What is remembered of each server.
    pub fn servers(&self) -> PathBuf {
        self.root.join("servers")
    }

    /// What people were told of.
    pub fn notify(&self) -> PathBuf {
        self.root.join("notify")
    }

    /// Recipes of results that were run again.
    pub fn replays(&self) -> PathBuf {
        self.root.join("replays")
    }

    /// One locked file for each pool of jobs in use.
    pub fn jobs(&self) -> PathBuf {
        self.runs().join(".jobs")
    }

    /// 256 random bits that nobody but this user knows; made the first time.
    pub fn secret(&self) -> io::Result<Vec<u8>> {
        let path = self.root.join("secret");
        if let Ok(secret) = fs::read(&path)
            && secret.len() == SECRET
        {
            return Ok(secret);
        }
        let mut secret = vec![0; SECRET];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        // Who is first decides, where several begin at once.
        if disk::create_secret(&path, &secret)? { Ok(secret) } else { fs::read(&path) }
    }

    /// The embedded server's results; `pony-serve` opens the same file.
    pub fn results(&self) -> PathBuf {
        self.root.join("results.db")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pony_home_wins_over_home_and_an_empty_one_does_not_count() {
        let find = |pony: Option<&str>, home: Option<&str>| {
            Home::find(pony.map(Path::new), home.map(Path::new)).map(|home| home.root)
        };
        assert_eq!(find(Some("/p"), Some("/h")).unwrap(), Path::new("/p"));
        assert_eq!(find(Some(""), Some("/h")).unwrap(), Path::new("/h/.pony-build"));
        assert_eq!(find(None, Some("/h")).unwrap(), Path::new("/h/.pony-build"));
        assert!(matches!(find(None, None), Err(HomeError::Unknown)));
    }
}
