//! The chain context: what needed builds hand on, how it is put to use, and where it is kept.
//!
//! A build that has outputs is built in a folder of the cache, where its outputs stay when the rest of the tree goes: paths
//! that were built into them (`--prefix`) stay true.

mod prune;
pub(crate) mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    env::consts::{ARCH, OS},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

pub use store::{Card, Found, discard, discard_of, find, is_kept, keep, room};

use crate::{Facts, error::Error, program::Overlay};

/// A use that is made of outputs. Those of `prefix` are environment variables that programs search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// `PATH`
    Path,
    /// `PKG_CONFIG_PATH`
    PkgConfigPath,
    /// `CMAKE_PREFIX_PATH`
    CmakePrefixPath,
    /// `LD_LIBRARY_PATH`, on macOS `DYLD_LIBRARY_PATH`
    LdLibraryPath,
    /// `C_INCLUDE_PATH` and `CPLUS_INCLUDE_PATH`
    CIncludePath,
    /// `LIBRARY_PATH`
    LibraryPath,
    /// Wheels are installed into the virtualenv.
    Wheels,
}

impl Use {
    /// The variables of those that are made of a `prefix`.
    const VARIABLES: [(Self, &str); 7] = [
        (Self::Path, "PATH"),
        (Self::PkgConfigPath, "PKG_CONFIG_PATH"),
        (Self::CmakePrefixPath, "CMAKE_PREFIX_PATH"),
        (
            Self::LdLibraryPath,
            if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" },
        ),
        (Self::CIncludePath, "C_INCLUDE_PATH"),
        (Self::CIncludePath, "CPLUS_INCLUDE_PATH"),
        (Self::LibraryPath, "LIBRARY_PATH"),
    ];

    /// The search paths that outputs are put on.
    pub fn variables() -> impl Iterator<Item = &'static str> {
        Self::VARIABLES.into_iter().map(|(_, variable)| variable)
    }

    /// Where below a prefix it looks; the prefix itself is the empty path.
    fn folders(self) -> Vec<String> {
        let libraries = || ["lib".to_owned(), "lib64".to_owned(), format!("lib/{}", triplet())].into_iter();
        match self {
            Self::Path => vec!["bin".to_owned(), "sbin".to_owned()],
            Self::PkgConfigPath => {
                let folders = libraries().chain(["share".to_owned()]);
                folders.map(|folder| format!("{folder}/pkgconfig")).collect()
            }
            Self::CmakePrefixPath => vec![String::new()],
            Self::LdLibraryPath | Self::LibraryPath => libraries().collect(),
            Self::CIncludePath => vec!["include".to_owned()],
            Self::Wheels => Vec::new(),
        }
    }
}

/// What Debian's systems call the folder for libraries of this machine's kind, which build tools there follow.
fn triplet() -> String {
    let arch = match ARCH {
        "x86" => "i386",
        "powerpc64" => "powerpc64le",
        arch => arch,
    };
    format!("{arch}-{OS}-gnu{}", if ARCH == "arm" { "eabihf" } else { "" })
}

/// What a build hands on to one that needs it, directly or through others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handed {
    /// The needed build's name.
    pub name: String,
    /// Its outputs: absolute paths.
    pub outputs: BTreeMap<String, PathBuf>,
    /// What is not made of them.
    pub without: BTreeSet<Use>,
}

impl Handed {
    fn output(&self, name: &str, of: Use) -> Option<&Path> {
        self.outputs.get(name).filter(|_| !self.without.contains(&of)).map(PathBuf::as_path)
    }
}

/// The search paths that `handed` adds to, `PATH` too, each before its value in `search`. The nearest needs come first; only
/// what `is_dir` is added, and once. Pure.
pub fn environment(
    handed: &[Handed],
    search: &BTreeMap<String, OsString>,
    is_dir: impl Fn(&Path) -> bool,
) -> BTreeMap<String, OsString> {
    let mut environment = BTreeMap::new();
    for (of, variable) in Use::VARIABLES {
        let mut parts: Vec<OsString> = Vec::new();
        for prefix in handed.iter().filter_map(|one| one.output("prefix", of)) {
            for folder in of.folders() {
                let dir = if folder.is_empty() { prefix.to_owned() } else { prefix.join(folder) };
                if !parts.iter().any(|part| *part == dir) && is_dir(&dir) {
                    parts.push(dir.into());
                }
            }
        }
        if parts.is_empty() {
            continue;
        }
        // An empty part would be the current folder.
        parts.extend(search.get(variable).filter(|old| !old.is_empty()).cloned());
        environment.insert(variable.to_owned(), parts.join(OsString::from(":").as_os_str()));
    }
    environment
}

/// Puts what is handed on into the environment of steps, and tells of it. Answers with their `PATH`.
pub(crate) fn apply(
    handed: &[Handed],
    search: &BTreeMap<String, OsString>,
    path: &OsString,
    env: &mut Overlay,
    facts: &mut Facts,
) -> OsString {
    let mut search = search.clone();
    search.insert("PATH".to_owned(), path.clone());
    let mut environment = environment(handed, &search, Path::is_dir);
    env.extend(environment.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
    let outputs = handed.iter().flat_map(|one| {
        one.outputs.iter().map(|(output, path)| format!("{}.{output}={}", one.name, path.display()))
    });
    let outputs: Vec<String> = outputs.collect();
    if !outputs.is_empty() {
        facts.insert("chain".to_owned(), outputs.into());
    }
    environment.remove("PATH").unwrap_or_else(|| path.clone())
}

/// The wheels that are handed on, in the order of needs and names; each file once.
pub(crate) fn wheels(handed: &[Handed]) -> Result<Vec<PathBuf>, Error> {
    let mut wheels: Vec<PathBuf> = Vec::new();
    for one in handed {
        let Some(folder) = one.output("wheels", Use::Wheels) else { continue };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::io("look for wheels in", folder))? {
            let path = entry.map_err(Error::io("look for wheels in", folder))?.path();
            found.extend(Some(path).filter(|path| path.extension().is_some_and(|kind| kind == "whl")));
        }
        if found.is_empty() {
            return Err(Error::NoWheels { name: one.name.clone(), folder: folder.to_owned() });
        }
        found.sort();
        found.retain(|wheel| !wheels.contains(wheel));
        wheels.append(&mut found);
    }
    Ok(wheels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(name: &str, without: &[Use]) -> Handed {
        let outputs = [("prefix".to_owned(), Path::new("/").join(name))].into();
        Handed { name: name.to_owned(), outputs, without: without.iter().copied().collect() }
    }

    /// What comes of them where these folders are.
    fn made(handed: &[Handed], search: &[(&str, &str)], dirs: &[&str]) -> Vec<String> {
        let search = search.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        let environment = environment(handed, &search, |dir| dirs.contains(&dir.to_str().unwrap()));
        environment.iter().map(|(name, value)| format!("{name}={}", value.display())).collect()
    }

    #[test]
    fn what_is_there_goes_before_what_was() {
        let triplet = format!("/z/lib/{}", triplet());
        let dirs = [
            "/z",
            "/z/bin",
            "/z/sbin",
            "/z/include",
            "/z/lib",
            "/z/lib/pkgconfig",
            "/p/share/pkgconfig",
            &triplet,
        ];
        let libraries = if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
        let search =
            [("PATH", "/usr/bin"), ("PKG_CONFIG_PATH", ""), ("LIBRARY_PATH", "/opt/lib"), ("CPATH", "/x")];
        let mut expected = vec![
            "C_INCLUDE_PATH=/z/include".to_owned(),
            "CMAKE_PREFIX_PATH=/z".to_owned(),
            "CPLUS_INCLUDE_PATH=/z/include".to_owned(),
            format!("LIBRARY_PATH=/z/lib:{triplet}:/opt/lib"),
            "PATH=/z/bin:/z/sbin:/usr/bin".to_owned(),
            "PKG_CONFIG_PATH=/p/share/pkgconfig:/z/lib/pkgconfig".to_owned(),
            format!("{libraries}=/z/lib:{triplet}"),
        ];
        expected.sort();
        let mut made = made(&[handed("p", &[]), handed("z", &[]), handed("z", &[])], &search, &dirs);
        made.sort();
        assert_eq!(made, expected);
    }

    #[test]
    fn each_use_can_be_turned_off() {
        let dirs = ["/z", "/z/bin", "/z/include", "/z/lib", "/z/lib/pkgconfig", "/y/bin"];
        let all = made(&[handed("z", &[])], &[], &dirs);
        assert_eq!(all.len(), 7);
        for (of, variable) in Use::VARIABLES {
            let left = made(&[handed("z", &[of])], &[], &dirs);
            assert!(left.iter().all(|one| !one.starts_with(&format!("{variable}="))), "{left:?}");
            assert!(left.iter().all(|one| all.contains(one)) && left.len() >= 5);
        }
        let one_of_two = made(&[handed("z", &[Use::Path]), handed("y", &[])], &[], &dirs);
        assert!(one_of_two.contains(&"PATH=/y/bin".to_owned()));
        let other = Handed { outputs: [("install".to_owned(), "/z".into())].into(), ..Handed::default() };
        assert!(made(&[other], &[("PATH", "/usr/bin")], &dirs).is_empty(), "only `prefix` means something");
    }

    #[test]
    fn wheels_in_order_and_once() {
        let room = tempfile::tempdir().unwrap();
        let of = |name: &str, without: &[Use]| {
            let outputs = [("wheels".to_owned(), room.path().join(name))].into();
            Handed { name: name.to_owned(), outputs, without: without.iter().copied().collect() }
        };
        for name in ["b/z.whl", "b/a.whl", "b/notes.txt", "a/x.whl", "none/x.tar.gz"] {
            let file = room.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let found = wheels(&[of("b", &[]), of("none", &[Use::Wheels]), of("a", &[]), of("b", &[])]).unwrap();
        assert_eq!(found, ["b/a.whl", "b/z.whl", "a/x.whl"].map(|name| room.path().join(name)));
        let error = wheels(&[of("none", &[])]).unwrap_err();
        let folder = room.path().join("none");
        assert_eq!(error.to_string(), format!("`none` hands on no wheel in `{}`", folder.display()));
        assert!(error.hint().unwrap().contains("*.whl"));
        assert!(
            wheels(&[of("gone", &[])]).unwrap_err().to_string().starts_with("could not look for wheels in")
        );
    }
}
