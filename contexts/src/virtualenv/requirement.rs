//! One entry of `requirements` or `optional`: its kind, its arguments for an installer, its secrets.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
};

use tempfile::NamedTempFile;

use crate::{error::Error, url::Url};

/// Options that take a value and name packages.
const PACKAGE_OPTIONS: [(&str, &str); 4] =
    [("-r", "-r"), ("--requirement", "-r"), ("-e", "-e"), ("--editable", "-e")];
/// Options that take a value and say how packages are found: their name, and the one that pip and uv share.
const INDEX_OPTIONS: [(&str, &str); 10] = [
    ("-c", "-c"),
    ("--constraint", "-c"),
    ("-i", "--index-url"),
    ("--index-url", "--index-url"),
    ("--extra-index-url", "--extra-index-url"),
    ("-f", "--find-links"),
    ("--find-links", "--find-links"),
    ("--no-binary", "--no-binary"),
    ("--only-binary", "--only-binary"),
    ("--trusted-host", "--trusted-host"),
];
/// Options that stand alone.
const FLAGS: [&str; 5] = ["--pre", "--no-index", "--no-deps", "--no-build-isolation", "--require-hashes"];

/// One entry of `requirements` or `optional`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirement {
    /// As arguments.
    words: Vec<String>,
    /// Without logins.
    pub(super) shown: String,
    /// It names no package, but says how they are found.
    pub(super) is_option: bool,
    /// Passed in a file: arguments can be read by all users of the machine, and some lines are understood in files alone.
    in_file: bool,
}

impl Requirement {
    /// Reads `text`; what names a file is looked for in `cwd`.
    pub(super) fn read(text: &str, cwd: &Path) -> Result<Self, Error> {
        let text = text.trim();
        let (shown, secrets) = without_logins(text);
        let refused =
            |problem: &str| Error::Requirement { entry: shown.clone(), problem: problem.to_owned() };
        if text.is_empty() {
            return Err(refused("it is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(refused("it contains a control character"));
        }
        let hidden = shown != text || !secrets.is_empty();
        let entry =
            |words: Vec<String>, is_option, in_file| Self { words, shown: shown.clone(), is_option, in_file };
        if !text.starts_with('-') {
            let is_list = Path::new(text).extension().is_some_and(|extension| extension == "txt");
            return Ok(if is_list && cwd.join(text).is_file() {
                entry(vec!["-r".to_owned(), text.to_owned()], false, false)
            } else {
                // `--hash=…` after a requirement is for files alone.
                entry(vec![text.to_owned()], false, hidden || text.contains(" --"))
            });
        }
        if FLAGS.contains(&text) {
            return Ok(entry(vec![text.to_owned()], true, false));
        }
        let (name, value) = option(text);
        let find = |table: &[(&str, &'static str)]| {
            table.iter().find_map(|(known, canonical)| (*known == name).then_some(*canonical))
        };
        let (canonical, is_option) = match (find(&PACKAGE_OPTIONS), find(&INDEX_OPTIONS)) {
            (Some(canonical), _) => (canonical, false),
            (None, Some(canonical)) => (canonical, true),
            (None, None) => return Err(refused(&format!("the option `{name}` is not allowed in recipes"))),
        };
        if value.is_empty() || value.starts_with('-') {
            return Err(refused(&format!("`{name}` needs a value")));
        }
        Ok(entry(vec![canonical.to_owned(), value.to_owned()], is_option, hidden))
    }

    /// A wheel of a dependency; by its path, so that no index is asked for it.
    pub(super) fn wheel(path: &Path) -> Self {
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { words: vec![path.to_string_lossy().into_owned()], shown, is_option: false, in_file: false }
    }

    /// The first address in it that is not on this machine.
    pub(super) fn remote(&self) -> Option<Url> {
        if self.is_option {
            return None;
        }
        let (start, end) = address(&self.shown)?;
        self.shown[start..end].parse().ok().filter(|url: &Url| !url.is_local())
    }
}

/// `-r dev.txt`, `-rdev.txt`, `--requirement=dev.txt` → name and value.
fn option(text: &str) -> (&str, &str) {
    let at = if text.starts_with("--") {
        text.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(text.len())
    } else {
        text.char_indices().nth(2).map_or(text.len(), |(at, _)| at)
    };
    let (name, value) = text.split_at(at);
    (name, value.strip_prefix('=').unwrap_or(value).trim())
}

/// The range of the first address that may hold a login.
fn address(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find("://")?;
        let scheme = text[from..at]
            .char_indices()
            .rev()
            .take_while(|(_, c)| c.is_ascii_alphanumeric() || "+.-".contains(*c))
            .filter(|(_, c)| c.is_ascii_alphabetic())
            .last();
        let end = text[at..].find(char::is_whitespace).map_or(text.len(), |length| at + length);
        match scheme {
            // `git+file://` too: there are no logins there.
            Some((start, _)) if !text[from + start..at].to_ascii_lowercase().ends_with("file") => {
                return Some((from + start, end));
            }
            _ => from = end,
        }
    }
}

/// `text` without the logins of its addresses, and what must be redacted.
pub(super) fn without_logins(text: &str) -> (String, Vec<String>) {
    let (mut shown, mut secrets, mut rest) = (String::new(), Vec::new(), text);
    while let Some((start, end)) = address(rest) {
        shown.push_str(&rest[..start]);
        if let Ok(url) = rest[start..end].parse::<Url>() {
            shown.push_str(&url.to_string());
            secrets.extend(url.secrets());
        } else {
            // There is no telling which part is the password.
            shown.push('…');
            secrets.push(rest[start..end].to_owned());
        }
        rest = &rest[end..];
    }
    shown.push_str(rest);
    (shown, secrets)
}

/// The arguments for `entries`, and a file in `env_dir` for what must not be an argument, removed when it is dropped.
pub(super) fn arguments<'a>(
    entries: impl IntoIterator<Item = &'a Requirement>,
    env_dir: &Path,
) -> Result<(Vec<OsString>, Option<NamedTempFile>), Error> {
    let (mut words, mut lines) = (Vec::new(), String::new());
    for entry in entries {
        if entry.in_file {
            lines += &entry.words.join(" ");
            lines.push('\n');
        } else {
            words.extend(entry.words.iter().map(OsString::from));
        }
    }
    if lines.is_empty() {
        return Ok((words, None));
    }
    let write = || -> io::Result<NamedTempFile> {
        let mut file =
            tempfile::Builder::new().prefix("requirements-").suffix(".txt").tempfile_in(env_dir)?;
        file.write_all(lines.as_bytes())?;
        Ok(file)
    };
    let file = write().map_err(Error::io("write a list of requirements in", env_dir))?;
    words.extend(["-r".into(), file.path().into()]);
    Ok((words, Some(file)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Requirement, Error> {
        Requirement::read(text, Path::new("/nowhere"))
    }

    #[test]
    fn what_pip_takes() {
        for (text, words, is_option) in [
            ("pytest", &["pytest"][..], false),
            (
                " pytest[x]>=7,<9 ; python_version < '3.9' ",
                &["pytest[x]>=7,<9 ; python_version < '3.9'"],
                false,
            ),
            (".[test]", &[".[test]"], false),
            ("dist/x-1-py3-none-any.whl", &["dist/x-1-py3-none-any.whl"], false),
            ("x @ git+https://host/x@main", &["x @ git+https://host/x@main"], false),
            ("git+file:///srv/x", &["git+file:///srv/x"], false),
            ("absent.txt", &["absent.txt"], false),
            ("-r my dev.txt", &["-r", "my dev.txt"], false),
            ("-rdev.txt", &["-r", "dev.txt"], false),
            ("--requirement=dev.txt", &["-r", "dev.txt"], false),
            ("-e .", &["-e", "."], false),
            ("--editable ./x", &["-e", "./x"], false),
            ("-c limits.txt", &["-c", "limits.txt"], true),
            ("-i https://host/simple", &["--index-url", "https://host/simple"], true),
            ("--only-binary=:all:", &["--only-binary", ":all:"], true),
            ("--pre", &["--pre"], true),
        ] {
            let entry = read(text).unwrap();
            assert_eq!(
                (&entry.words[..], entry.is_option),
                (&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>()[..], is_option)
            );
            assert!(!entry.in_file, "{text}");
            assert_eq!(entry.shown, text.trim());
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, problem) in [
            ("", "it is empty"),
            ("x\ny", "it contains a control character"),
            ("--target=/usr", "the option `--target` is not allowed in recipes"),
            ("-t /usr", "the option `-t` is not allowed in recipes"),
            ("--pre x", "the option `--pre` is not allowed in recipes"),
            ("-", "the option `-` is not allowed in recipes"),
            ("-r", "`-r` needs a value"),
            ("-e --user", "`-e` needs a value"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().ends_with(problem), "{error}");
        }
    }

    #[test]
    fn logins_are_neither_shown_nor_arguments() {
        for (text, shown, secret) in [
            ("git+https://ann:s3cret@host/x", "git+https://host/x", "s3cret"),
            (
                "x@git+https://ann:s3cret@host/x ; os_name=='nt'",
                "x@git+https://host/x ; os_name=='nt'",
                "s3cret",
            ),
            (
                "-e git+https://ghp_0123456789abcdef@host/x#egg=x",
                "-e git+https://host/x#egg=x",
                "ghp_0123456789abcdef",
            ),
            ("--index-url=https://ann:s3cret@host/", "--index-url=https://host/", "s3cret"),
            ("https://ann:s3/cret@host/", "…", "https://ann:s3/cret@host/"),
        ] {
            let entry = read(text).unwrap();
            assert_eq!((entry.shown.as_str(), entry.in_file), (shown, true));
            assert!(without_logins(text).1.contains(&secret.to_owned()), "{text}");
            let env_dir = tempfile::tempdir().unwrap();
            let (words, file) = arguments([&entry, &read("six").unwrap()], env_dir.path()).unwrap();
            let path = file.as_ref().unwrap().path().to_owned();
            assert_eq!(words, ["six".into(), "-r".into(), OsString::from(&path)]);
            assert!(fs::read_to_string(&path).unwrap().contains(secret));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            drop(file);
            assert!(!path.exists());
        }
        assert!(read("six==1 --hash=sha256:00").unwrap().in_file);
        assert!(!read("git+ssh://git@host/x").unwrap().in_file);
    }

    #[test]
    fn what_is_elsewhere() {
        for (text, remote) in [
            ("x @ git+https://ann:s3cret@host/x", Some("git+https://host/x")),
            ("x @ file:///srv/x.whl", None),
            ("git+file:///srv/x", None),
            ("--index-url https://host/", None),
            ("six", None),
        ] {
            assert_eq!(read(text).unwrap().remote().map(|url| url.to_string()).as_deref(), remote);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = read(&text);
        }

        #[test]
        fn no_password_is_ever_shown(before in "[a-zé =@+.-]{0,6}", password in "[A-Z]{4,12}") {
            let text = format!("{before}https://ann:{password}@host/x");
            let (shown, secrets) = without_logins(&text);
            prop_assert!(!shown.contains(&password) && secrets.iter().any(|secret| secret.contains(&password)));
        }
    }
}
