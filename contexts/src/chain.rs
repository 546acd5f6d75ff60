//! Chains of builds: how the outputs of its dependencies get into the environment of a build.
//!
//! A build with outputs runs in a workspace in the cache, where its outputs stay when the rest of the tree is removed: paths that
//! were built into them (`--prefix`) stay valid. See [`cache::outputs`](crate::cache::outputs).

use std::{
    collections::{BTreeMap, BTreeSet},
    env::consts::{ARCH, OS},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{client_info::ClientInfo, error::Error, shell::EnvOverlay};

/// How outputs get into the environment of a build. A `prefix` is put on search paths in environment variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvironmentUse {
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

impl EnvironmentUse {
    /// The uses of a `prefix`, and their variables.
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

    /// The folders of a prefix that are searched; the prefix itself is the empty path.
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

/// Debian's name of the folder for libraries of this platform, where build tools there install them.
fn triplet() -> String {
    let arch = match ARCH {
        "x86" => "i386",
        "powerpc64" => "powerpc64le",
        arch => arch,
    };
    format!("{arch}-{OS}-gnu{}", if ARCH == "arm" { "eabihf" } else { "" })
}

/// Outputs of a build that another one depends on, directly or through others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DependencyOutputs {
    /// The name of the build that made them.
    pub name: String,
    /// Its outputs: absolute paths.
    pub outputs: BTreeMap<String, PathBuf>,
    /// Uses that the recipe excludes.
    pub except: BTreeSet<EnvironmentUse>,
}

impl DependencyOutputs {
    fn output(&self, name: &str, usage: EnvironmentUse) -> Option<&Path> {
        self.outputs.get(name).filter(|_| !self.except.contains(&usage)).map(PathBuf::as_path)
    }
}

/// The search paths that `dependencies` are put on, `PATH` too, each before its value in `search`. The nearest dependencies come
/// first; only folders that exist (`is_dir`) are added, each once. Pure.
pub fn environment(
    dependencies: &[DependencyOutputs],
    search: &BTreeMap<String, OsString>,
    is_dir: impl Fn(&Path) -> bool,
) -> BTreeMap<String, OsString> {
    let mut environment = BTreeMap::new();
    for (usage, variable) in EnvironmentUse::VARIABLES {
        let mut parts: Vec<OsString> = Vec::new();
        for prefix in dependencies.iter().filter_map(|one| one.output("prefix", usage)) {
            for folder in usage.folders() {
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

/// Puts the outputs of dependencies into the environment of steps, and records them. Returns the `PATH` of steps.
pub(crate) fn apply(
    dependencies: &[DependencyOutputs],
    search: &BTreeMap<String, OsString>,
    path: &OsString,
    env: &mut EnvOverlay,
    info: &mut ClientInfo,
) -> OsString {
    let mut search = search.clone();
    search.insert("PATH".to_owned(), path.clone());
    let mut environment = environment(dependencies, &search, Path::is_dir);
    env.extend(environment.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
    let outputs = dependencies.iter().flat_map(|one| {
        one.outputs.iter().map(|(output, path)| format!("{}.{output}={}", one.name, path.display()))
    });
    let outputs: Vec<String> = outputs.collect();
    if !outputs.is_empty() {
        info.insert("chain".to_owned(), outputs.into());
    }
    environment.remove("PATH").unwrap_or_else(|| path.clone())
}

/// The wheels of dependencies, in the order of dependencies and names; each file once.
pub(crate) fn wheels(dependencies: &[DependencyOutputs]) -> Result<Vec<PathBuf>, Error> {
    let mut wheels: Vec<PathBuf> = Vec::new();
    for one in dependencies {
        let Some(folder) = one.output("wheels", EnvironmentUse::Wheels) else { continue };
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

    fn dependencies(name: &str, except: &[EnvironmentUse]) -> DependencyOutputs {
        let outputs = [("prefix".to_owned(), Path::new("/").join(name))].into();
        DependencyOutputs { name: name.to_owned(), outputs, except: except.iter().copied().collect() }
    }

    /// What comes of them where these folders are.
    fn made(dependencies: &[DependencyOutputs], search: &[(&str, &str)], dirs: &[&str]) -> Vec<String> {
        let search = search.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        let environment = environment(dependencies, &search, |dir| dirs.contains(&dir.to_str().unwrap()));
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
        let mut made =
            made(&[dependencies("p", &[]), dependencies("z", &[]), dependencies("z", &[])], &search, &dirs);
        made.sort();
        assert_eq!(made, expected);
    }

    #[test]
    fn each_use_can_be_turned_off() {
        let dirs = ["/z", "/z/bin", "/z/include", "/z/lib", "/z/lib/pkgconfig", "/y/bin"];
        let all = made(&[dependencies("z", &[])], &[], &dirs);
        assert_eq!(all.len(), 7);
        for (of, variable) in EnvironmentUse::VARIABLES {
            let left = made(&[dependencies("z", &[of])], &[], &dirs);
            assert!(left.iter().all(|one| !one.starts_with(&format!("{variable}="))), "{left:?}");
            assert!(left.iter().all(|one| all.contains(one)) && left.len() >= 5);
        }
        let one_of_two =
            made(&[dependencies("z", &[EnvironmentUse::Path]), dependencies("y", &[])], &[], &dirs);
        assert!(one_of_two.contains(&"PATH=/y/bin".to_owned()));
        let other = DependencyOutputs {
            outputs: [("install".to_owned(), "/z".into())].into(),
            ..DependencyOutputs::default()
        };
        assert!(made(&[other], &[("PATH", "/usr/bin")], &dirs).is_empty(), "only `prefix` means something");
    }

    #[test]
    fn wheels_in_order_and_once() {
        let room = tempfile::tempdir().unwrap();
        let of = |name: &str, except: &[EnvironmentUse]| {
            let outputs = [("wheels".to_owned(), room.path().join(name))].into();
            DependencyOutputs { name: name.to_owned(), outputs, except: except.iter().copied().collect() }
        };
        for name in ["b/z.whl", "b/a.whl", "b/notes.txt", "a/x.whl", "none/x.tar.gz"] {
            let file = room.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let found =
            wheels(&[of("b", &[]), of("none", &[EnvironmentUse::Wheels]), of("a", &[]), of("b", &[])])
                .unwrap();
        assert_eq!(found, ["b/a.whl", "b/z.whl", "a/x.whl"].map(|name| room.path().join(name)));
        let error = wheels(&[of("none", &[])]).unwrap_err();
        let folder = room.path().join("none");
        assert_eq!(
            error.to_string(),
            format!("the output `wheels` of `none` has no wheel in `{}`", folder.display())
        );
        assert!(error.hint().unwrap().contains("*.whl"));
        assert!(wheels(&[of("gone", &[])]).unwrap_err().to_string().starts_with("cannot look for wheels in"));
    }
}
