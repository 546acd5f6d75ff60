//! What steps see of the environment that pony-run is started in. Pure.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
};

use crate::{process::spawn::Environment, recipe::EnvironmentFrom};

/// What `clean` leaves: who and where one is, and how the network is reached.
const NEEDED: &[&str] = &[
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "FTP_PROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "SHELL",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What changes builds behind one's back, and is therefore not inherited. A recipe that wants one sets it.
const MEDDLING: &[&str] = &[
    "BASH_ENV",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "CDPATH",
    "DESTDIR",
    "ENV",
    "GNUMAKEFLAGS",
    "GREP_OPTIONS",
    "MAKEFILES",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "MFLAGS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OLDPWD",
    "OUT_DIR",
    "PERL5LIB",
    "PERL5OPT",
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_TARGET",
    "PIP_USER",
    "PONY_SERVER",
    "PYTEST_ADDOPTS",
    "RUBYLIB",
    "RUBYOPT",
    "RUSTUP_TOOLCHAIN",
    "VIRTUAL_ENV",
    "VIRTUAL_ENV_PROMPT",
    "__PYVENV_LAUNCHER__",
];

/// Beginnings of names that are not inherited either.
const MEDDLING_BEGIN: &[&str] = &["CARGO_MANIFEST_", "CARGO_PKG_", "CONDA_", "GIT_", "PYTHON"];

/// What begins like that and says only how things are reached, or where they are kept.
const HARMLESS: &[&str] = &[
    "CONDA_PKGS_DIRS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "PYTHON",
    "PYTHONPYCACHEPREFIX",
    "PYTHONUNBUFFERED",
];

/// Variables besides [`COMPILERS`] whose values are reported; of all others only the names are.
const TOLD: &[&str] = &[
    "CI",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PKG_CONFIG_PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
];

/// Variables that name compilers and what they are told.
const COMPILERS: &[&str] = &[
    "AR",
    "ARCHFLAGS",
    "CC",
    "CFLAGS",
    "CPP",
    "CPPFLAGS",
    "CXX",
    "CXXFLAGS",
    "FC",
    "FFLAGS",
    "LD",
    "LDFLAGS",
    "LIBS",
    "RUSTFLAGS",
    "SOURCE_DATE_EPOCH",
];

/// What of `inherited` steps see. `wanted` are passed on whatever they are: the recipe's secrets.
pub fn of_steps(inherited: &Environment, from: EnvironmentFrom, wanted: &[String]) -> Environment {
    let keep = |name: &OsStr| {
        let Some(name) = name.to_str() else { return from == EnvironmentFrom::Inherit };
        wanted.iter().any(|wanted| wanted == name)
            || match from {
                EnvironmentFrom::Clean => NEEDED.contains(&name),
                EnvironmentFrom::Inherit => !is_meddling(name),
            }
    };
    let mut env: Environment = inherited
        .iter()
        .filter(|(name, _)| keep(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // Of an active virtualenv, its programs too.
    if let (Some(active), Some(path)) =
        (inherited.get(OsStr::new("VIRTUAL_ENV")), env.get(OsStr::new("PATH")))
    {
        let bin = std::path::Path::new(active).join("bin");
        let others = std::env::split_paths(path).filter(|dir| *dir != bin);
        if let Ok(path) = std::env::join_paths(others) {
            env.insert("PATH".into(), path);
        }
    }
    if from == EnvironmentFrom::Clean {
        env.insert("LC_ALL".into(), "C.UTF-8".into());
    }
    env
}

fn is_meddling(name: &str) -> bool {
    let begins = MEDDLING_BEGIN.iter().any(|begin| name.starts_with(begin));
    MEDDLING.contains(&name) || begins && !HARMLESS.contains(&name)
}

/// What of an environment makes compilers make something else, each `NAME=value`.
pub fn compilers(env: &Environment) -> Vec<String> {
    let value = |name: &&str| {
        let value = env.get(OsStr::new(name))?;
        Some(format!("{name}={}", value.to_string_lossy()))
    };
    COMPILERS.iter().filter_map(value).collect()
}

/// What is reported of an environment: all names; of some, `NAME=value`.
pub fn report(env: &Environment) -> (Vec<String>, Vec<String>) {
    let names: BTreeSet<String> = env.keys().map(|name| name.to_string_lossy().into_owned()).collect();
    let is_told = |name: &str| COMPILERS.contains(&name) || TOLD.contains(&name) || name.starts_with("LC_");
    let told = names.iter().filter(|name| is_told(name)).filter_map(|name| {
        let value = env.get(&OsString::from(name))?;
        Some(format!("{name}={}", value.to_string_lossy()))
    });
    let told = told.collect();
    (names.into_iter().collect(), told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    fn names(env: &Environment) -> Vec<&str> {
        env.keys().map(|name| name.to_str().unwrap()).collect()
    }

    #[test]
    fn what_meddles_is_not_inherited() {
        let inherited = env(&[
            ("CC", "gcc"),
            ("GIT_DIR", "/x"),
            ("GIT_SSH_COMMAND", "ssh -i key"),
            ("MAKEFLAGS", "-k"),
            ("PATH", "/venv/bin:/usr/bin"),
            ("PONY_SERVER", "http://user:pw@host/"),
            ("PYTHON", "python3.12"),
            ("PYTHONPATH", "/lib"),
            ("PYTHONUNBUFFERED", "1"),
            ("VIRTUAL_ENV", "/venv"),
        ]);
        let steps = of_steps(&inherited, EnvironmentFrom::Inherit, &[]);
        assert_eq!(names(&steps), ["CC", "GIT_SSH_COMMAND", "PATH", "PYTHON", "PYTHONUNBUFFERED"]);
        assert_eq!(steps[OsStr::new("PATH")], "/usr/bin");
        let steps = of_steps(&inherited, EnvironmentFrom::Inherit, &["PYTHONPATH".to_owned()]);
        assert_eq!(steps[OsStr::new("PYTHONPATH")], "/lib");
    }

    #[test]
    fn clean_is_next_to_nothing() {
        let inherited =
            env(&[("CC", "gcc"), ("HOME", "/h"), ("LANG", "de_DE"), ("PATH", "/usr/bin"), ("TOKEN", "x")]);
        let steps = of_steps(&inherited, EnvironmentFrom::Clean, &["TOKEN".to_owned()]);
        assert_eq!(names(&steps), ["HOME", "LC_ALL", "PATH", "TOKEN"]);
    }

    #[test]
    fn values_are_told_of_few() {
        let (names, told) = report(&env(&[("CC", "gcc"), ("LC_TIME", "C"), ("TOKEN", "x")]));
        assert_eq!(names, ["CC", "LC_TIME", "TOKEN"]);
        assert_eq!(told, ["CC=gcc", "LC_TIME=C"]);
    }

    #[test]
    fn the_lists_are_sorted_and_have_nothing_twice() {
        for list in [NEEDED, MEDDLING, MEDDLING_BEGIN, HARMLESS, TOLD] {
            let sorted: BTreeSet<&str> = list.iter().copied().collect();
            assert_eq!(sorted.len(), list.len(), "{list:?}");
        }
    }
}
