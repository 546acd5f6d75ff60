//! What is in an environment, read from its files: no process is started to ask.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::requirement::without_logins;

/// A file about one package is read up to here, in bytes: its description may follow.
const MAX_READ: u64 = 64 * 1024;

/// What `pyvenv.cfg` says of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    /// `3.12.4`.
    version: String,
    /// `CPython`, if it is named.
    implementation: Option<String>,
    /// `uv 0.9.1`, if it is named.
    pub(super) maker: Option<String>,
}

impl Config {
    pub(super) fn read(env_dir: &Path) -> Self {
        Self::parse(&start(&env_dir.join("pyvenv.cfg")).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let value = |requested: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs.find_map(|(name, value)| (name.trim() == requested).then(|| value.trim()))
        };
        // virtualenv says `3.12.4.final.0`.
        let version: Vec<&str> =
            value("version_info").or(value("version")).unwrap_or_default().split('.').take(3).collect();
        let maker = ["uv", "virtualenv"].iter().find_map(|name| Some(format!("{name} {}", value(name)?)));
        Self { version: version.join("."), implementation: value("implementation").map(str::to_owned), maker }
    }

    /// `CPython 3.12.4`.
    pub(super) fn python(&self, env_dir: &Path) -> String {
        let pypy = || libraries(env_dir).iter().any(|dir| dir.to_string_lossy().contains("/pypy"));
        let implementation = match &self.implementation {
            Some(name) => name,
            None if pypy() => "PyPy",
            None => "CPython",
        };
        format!("{implementation} {}", self.version)
    }

    /// What `python -m venv` puts into an environment: pip, and before Python 3.12 setuptools.
    pub(super) fn seeds(&self) -> &'static [&'static str] {
        let minor = self.version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        if minor.is_some_and(|minor| minor < 12) { &["pip", "setuptools"] } else { &["pip"] }
    }

    /// The folder of the wheels of these, which come with the interpreter; `None` where its packager left them out.
    pub(super) fn bundled(&self, env_dir: &Path) -> Option<PathBuf> {
        let library = libraries(env_dir).into_iter().next()?;
        let interpreter = env_dir.join("bin/python").canonicalize().ok()?;
        let bin = interpreter.parent()?;
        let mut dirs =
            vec![bin.join("../lib").join(library.parent()?.file_name()?).join("ensurepip/_bundled")];
        if bin == Path::new("/usr/bin") {
            // Where Debian and Fedora keep them.
            dirs.push("/usr/share/python-wheels".into());
        }
        dirs.into_iter().find(|dir| {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            let names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            let has = |seed: &&str| names.iter().any(|name| name.starts_with(&format!("{seed}-")));
            self.seeds().iter().all(has)
        })
    }
}

/// All packages of an environment as `name==version`, or `name @ address` for what came from one; sorted.
pub(super) fn installed(env_dir: &Path) -> Vec<String> {
    let mut packages: Vec<String> = libraries(env_dir)
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flat_map(|entries| entries.flatten().filter_map(|entry| package(&entry.path())))
        .collect();
    packages.sort_by_key(|package| package.to_lowercase());
    packages.dedup();
    packages
}

/// `lib/python3.12/site-packages`.
fn libraries(env_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(env_dir.join("lib")) else { return Vec::new() };
    let mut dirs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path().join("site-packages")).collect();
    dirs.retain(|dir| dir.is_dir());
    dirs.sort();
    dirs
}

fn package(path: &Path) -> Option<String> {
    let metadata = match path.extension()?.to_str()? {
        "dist-info" => path.join("METADATA"),
        "egg-info" if path.is_dir() => path.join("PKG-INFO"),
        "egg-info" => path.to_owned(),
        _ => return None,
    };
    let text = start(&metadata)?;
    let header = |name: &str| {
        let mut headers = text.lines().take_while(|line| !line.is_empty());
        headers.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::trim))
    };
    let name = header("Name")?;
    Some(match start(&path.join("direct_url.json")).and_then(|text| origin(&text)) {
        Some(origin) => format!("{name} @ {origin}"),
        None => format!("{name}=={}", header("Version")?),
    })
}

/// Of `direct_url.json` (PEP 610).
#[derive(Deserialize)]
struct Direct {
    url: String,
    vcs_info: Option<Vcs>,
}

#[derive(Deserialize)]
struct Vcs {
    vcs: String,
    commit_id: String,
}

fn origin(text: &str) -> Option<String> {
    let Direct { url, vcs_info } = serde_json::from_str(text).ok()?;
    let (url, _) = without_logins(&url);
    Some(match vcs_info {
        Some(Vcs { vcs, commit_id }) => format!("{vcs}+{url}@{commit_id}"),
        None => url,
    })
}

fn start(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_READ).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_made_it_of_what() {
        for (text, python, maker) in [
            (
                "home = /usr/bin\nimplementation = CPython\nuv = 0.13.9\nversion_info = 3.11.2\n",
                "CPython 3.11.2",
                Some("uv 0.13.9"),
            ),
            (
                "home = /x\nimplementation = PyPy\nversion_info = 3.10.7.final.0\nversion = 3.10.7\nvirtualenv = 21.15.8\n",
                "PyPy 3.10.7",
                Some("virtualenv 21.15.8"),
            ),
            (
                "home = /usr/bin\nversion = 3.11.7\ncommand = /usr/bin/python3 -m venv x\n",
                "CPython 3.11.7",
                None,
            ),
            ("", "CPython ", None),
        ] {
            let config = Config::parse(text);
            assert_eq!(config.python(Path::new("/nowhere")), python);
            assert_eq!(config.maker.as_deref(), maker);
        }
    }

    #[test]
    fn packages_by_name_and_version_or_address() {
        let env_dir = tempfile::tempdir().unwrap();
        let library = env_dir.path().join("lib/python3.12/site-packages");
        let write = |name: &str, text: &str| {
            let path = library.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "zope_x-5.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: zope.x\nVersion: 5.0\n\nName: no\n",
        );
        write("Old-1.egg-info", "Name: Old\nVersion: 1\n");
        write("older.egg-info/PKG-INFO", "Name: older\nVersion: 2\n");
        write("broken-1.dist-info/RECORD", "");
        write("empty-1.dist-info/METADATA", "");
        for (name, url) in [
            (
                "vcs",
                r#"{"url": "https://ann:s3cret@host/x", "vcs_info": {"vcs": "git", "commit_id": "abc"}}"#,
            ),
            ("dir", r#"{"url": "file:///srv/x", "dir_info": {"editable": true}}"#),
            ("odd", "{"),
        ] {
            write(&format!("{name}-1.dist-info/METADATA"), &format!("Name: {name}\nVersion: 1\n"));
            write(&format!("{name}-1.dist-info/direct_url.json"), url);
        }
        let expected = [
            "dir @ file:///srv/x",
            "odd==1",
            "Old==1",
            "older==2",
            "vcs @ git+https://host/x@abc",
            "zope.x==5.0",
        ];
        assert_eq!(installed(env_dir.path()), expected);
        assert_eq!(installed(&env_dir.path().join("absent")), [""; 0]);
    }
}
