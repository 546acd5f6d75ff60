//! A login for one server alone: a temporary configuration of svn, in which that login is stored.
//!
//! Svn gives a login of its command line to every server that asks for one, and which servers are asked while externals
//! are fetched is up to whoever can commit. A stored one it gives to the server that it was stored for, and no other.
//!
//! All else in that configuration is the person's own. It lies beside the entry in the cache, closed to others, and is
//! removed when this is dropped, or when the entry is locked next.
#![expect(clippy::disallowed_methods, reason = "a configuration of Subversion is written here")]

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    target::{Info, SvnTarget},
    tool::Svn,
};
use crate::{
    cache::staging_dir,
    disk::read_dir,
    error::Error,
    shell::Shell,
    url::{Login, Url},
};

/// Lets svn write the login down in a plain file and nowhere else.
const STORE: [&str; 10] = [
    "--config-option",
    "config:auth:password-stores=",
    "--config-option",
    "config:auth:store-passwords=yes",
    "--config-option",
    "servers:global:store-auth-creds=yes",
    "--config-option",
    "servers:global:store-passwords=yes",
    "--config-option",
    "servers:global:store-plaintext-passwords=yes",
];

/// The configuration, removed when this is dropped.
pub(super) struct StoredLogin(TempDir);

impl StoredLogin {
    /// With the login of the address for the server that `info` came from; `None` where the address has no password.
    pub(super) async fn store(
        target: &SvnTarget,
        info: &Info,
        svn: &mut Svn<'_, impl Shell>,
    ) -> Result<Option<Self>, Error> {
        let Some(password) = password(&target.url) else { return Ok(None) };
        let entry_dir = svn.entry_dir().to_owned();
        let parent = entry_dir.parent().unwrap_or(&entry_dir);
        let login = Self(staging_dir(&entry_dir)?);
        let theirs = target.home.as_ref().map(|home| home.join(".subversion"));
        let known = login.copy(theirs.as_deref()).map_err(Error::io("fill", login.0.path()))?;
        let mut args: Vec<&OsStr> = ["info", "--xml", "--config-dir"].map(OsStr::new).to_vec();
        args.push(login.0.path().as_os_str());
        args.extend(STORE.map(OsStr::new));
        let target = info.target();
        args.extend(["--", &target].map(OsStr::new));
        svn.online("login", parent, &args).await?;
        login.complete(&known, &password).map_err(Error::io("write the login in", login.0.path()))?;
        Ok(Some(login))
    }

    /// The option that makes svn use it.
    pub(super) fn option(&self) -> [&OsStr; 2] {
        [OsStr::new("--config-dir"), self.0.path().as_os_str()]
    }

    fn logins(&self) -> PathBuf {
        self.0.path().join("auth/svn.simple")
    }

    /// Takes over a person's configuration: by links, but for the logins, which are copied. Answers with those.
    fn copy(&self, theirs: Option<&Path>) -> io::Result<Vec<PathBuf>> {
        fs::create_dir_all(self.logins())?;
        let Some(theirs) = theirs else { return Ok(Vec::new()) };
        for (folder, apart) in [("", "auth"), ("auth", "svn.simple")] {
            for entry in entries(&theirs.join(folder))? {
                let name = entry.file_name().unwrap_or_default();
                if name != apart {
                    symlink(&entry, self.0.path().join(folder).join(name))?;
                }
            }
        }
        for login in entries(&theirs.join("auth/svn.simple"))? {
            fs::copy(&login, self.logins().join(login.file_name().unwrap_or_default()))?;
        }
        entries(&self.logins())
    }

    /// Writes the password: an svn that was built without plain passwords writes none, but reads them.
    fn complete(&self, known: &[PathBuf], password: &str) -> io::Result<()> {
        for file in entries(&self.logins())? {
            let text = fs::read_to_string(&file)?;
            if !known.contains(&file) && !text.contains("\npassword\n") {
                let length = password.len();
                let stored =
                    format!("K 8\npasstype\nV 6\nsimple\nK 8\npassword\nV {length}\n{password}\n{text}");
                // Svn leaves it closed to writing.
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
                fs::write(&file, stored)?;
            }
        }
        Ok(())
    }
}

fn password(url: &Url) -> Option<String> {
    match url.login()? {
        Login::Pair { password, .. } => Some(password),
        Login::Name(_) => None,
    }
}

/// The paths in a folder, which may be absent.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(read_dir(dir)?.iter().map(fs::DirEntry::path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_without_a_password_gets_one() {
        let login = StoredLogin(tempfile::tempdir().unwrap());
        login.copy(None).unwrap();
        let (old, new) = (login.logins().join("old"), login.logins().join("new"));
        let text = "K 8\nusername\nV 3\nann\nK 15\nsvn:realmstring\nV 3\n<x>\nEND\n";
        fs::write(&old, text).unwrap();
        fs::write(&new, text).unwrap();
        login.complete(std::slice::from_ref(&old), "p@ss\u{e9}").unwrap();
        assert_eq!(fs::read_to_string(old).unwrap(), text);
        let stored = format!("K 8\npasstype\nV 6\nsimple\nK 8\npassword\nV 6\np@ss\u{e9}\n{text}");
        assert_eq!(fs::read_to_string(&new).unwrap(), stored);
        login.complete(&[], "other").unwrap();
        assert_eq!(fs::read_to_string(new).unwrap(), stored);
    }
}
