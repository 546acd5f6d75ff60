//! Versions of the files that outlive a run: `major.minor`. A newer minor only adds, and is read; a newer major is refused.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The version of a file's format. Written as text (`"1.2"`); files of the first version say `1`, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Counts changes that older programs would misread.
    pub major: u32,
    /// Counts additions, which older programs pass over.
    pub minor: u32,
}

/// A file that a newer program wrote, in a way that this one would misread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its format is {found}, and this version reads formats up to {}.x: use a newer pony-run", known.major)]
pub struct TooNew {
    found: Format,
    known: Format,
}

/// Why a versioned JSON file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// A newer program wrote it.
    #[error(transparent)]
    TooNew(#[from] TooNew),
    /// It is damaged, or is something else.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Format {
    /// `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Whether a program that writes `known` can read this.
    ///
    /// # Errors
    /// When the major version is a newer one.
    pub fn readable(self, known: Self) -> Result<(), TooNew> {
        if self.major > known.major { Err(TooNew { found: self, known }) } else { Ok(()) }
    }
}

/// Files of the first version did not all say so.
impl Default for Format {
    fn default() -> Self {
        Self::new(1, 0)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Major(u32),
            Both(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Major(major) => Ok(Self::new(major, 0)),
            Written::Both(text) => {
                let parts = text
                    .split_once('.')
                    .and_then(|(major, minor)| Some(Self::new(major.parse().ok()?, minor.parse().ok()?)));
                parts.ok_or_else(|| de::Error::custom(format!("`{text}` is not a version `major.minor`")))
            }
        }
    }
}

/// Reads JSON whose top level has a `format`, which is looked at first: a newer one may have changed everything else.
///
/// # Errors
/// When a program that writes `known` cannot read it.
pub fn parse<T: de::DeserializeOwned>(json: &[u8], known: Format) -> Result<T, ParseError> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        format: Format,
    }
    serde_json::from_slice::<Head>(json)?.format.readable(known)?;
    Ok(serde_json::from_slice(json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Format = Format::new(2, 1);

    #[derive(Debug, PartialEq, Deserialize)]
    struct File {
        name: String,
    }

    #[test]
    fn newer_minors_are_read_and_newer_majors_are_refused() {
        let rows = [
            (r#"{"name": "x"}"#, true),
            (r#"{"format": 1, "name": "x"}"#, true),
            (r#"{"format": "2.0", "name": "x"}"#, true),
            (r#"{"format": "2.7", "name": "x", "more": 1}"#, true),
            (r#"{"format": "3.0", "title": "x"}"#, false),
            (r#"{"format": 3, "title": "x"}"#, false),
        ];
        for (json, is_read) in rows {
            match parse::<File>(json.as_bytes(), KNOWN) {
                Ok(file) => assert!(is_read && file.name == "x", "{json}"),
                Err(error) => {
                    assert!(!is_read && matches!(error, ParseError::TooNew(_)), "{json}: {error}");
                    assert!(error.to_string().starts_with("its format is 3.0"), "{error}");
                }
            }
        }
    }

    #[test]
    fn versions_are_text() {
        assert_eq!(serde_json::to_string(&KNOWN).unwrap(), r#""2.1""#);
        for wrong in [r#""2""#, r#""a.b""#, r#""1.""#, "1.5", "-1", "null"] {
            assert!(serde_json::from_str::<Format>(wrong).is_err(), "{wrong}");
        }
    }
}
