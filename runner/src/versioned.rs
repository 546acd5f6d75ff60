//! JSON files that outlive the program that wrote them: written with the version of their format, and refused where a newer
//! program wrote them in a way that this one would misread.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    disk,
    record::format::{Format, ParseError, parse},
};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`: {source}", path.display())]
pub(crate) struct FileError {
    path: PathBuf,
    source: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Parse(#[from] ParseError),
}

impl FileError {
    /// A newer program wrote it.
    pub(crate) fn is_too_new(&self) -> bool {
        matches!(self.source, Cause::Parse(ParseError::TooNew(_)))
    }
}

/// Reads it; none if there is no such file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, known: Format) -> Result<Option<T>, FileError> {
    let failed = |source| FileError { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(json) => parse(&json, known).map(Some).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.into())),
    }
}

/// Writes it: on disk, whole, when this returns.
pub(crate) fn write(path: &Path, format: Format, value: &impl Serialize) -> io::Result<()> {
    #[derive(Serialize)]
    struct Versioned<'v, T> {
        format: Format,
        #[serde(flatten)]
        value: &'v T,
    }
    disk::write_json(path, &Versioned { format, value })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
    }

    #[test]
    fn what_is_written_is_read_and_a_newer_major_is_refused() {
        const KNOWN: Format = Format::new(1, 1);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note.json");
        let load = || read::<Note>(&path, KNOWN);
        assert!(load().unwrap().is_none());
        write(&path, KNOWN, &Note { text: "x".to_owned() }).unwrap();
        assert_eq!(load().unwrap().unwrap().text, "x");
        for (json, is_read, is_too_new) in [
            (r#"{"text": "x"}"#, true, false),
            (r#"{"format": "1.9", "text": "x", "more": 1}"#, true, false),
            (r#"{"format": "2.0", "text": "x"}"#, false, true),
            ("{", false, false),
        ] {
            fs::write(&path, json).unwrap();
            match load() {
                Ok(note) => assert!(is_read && note.is_some(), "{json}"),
                Err(error) => {
                    assert!(!is_read && error.is_too_new() == is_too_new, "{json}");
                    assert!(error.to_string().contains("note.json`: "), "{error}");
                }
            }
        }
    }
}
