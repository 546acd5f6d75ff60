//! Reads recipes from disk, never more than [`SIZE_LIMIT`] bytes, and lists them. The only file here that touches the disk.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::tree::SIZE_LIMIT;

/// Why a recipe could not be read. Paths are as given.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ReadError {
    #[error("no recipe at `{}`", path.display())]
    Missing { path: PathBuf },
    #[error("`{}` is a folder; name the recipe file in it", path.display())]
    Folder { path: PathBuf },
    /// Larger than [`SIZE_LIMIT`].
    #[error("`{}` is larger than 1 MiB, the limit for a recipe", path.display())]
    TooLarge { path: PathBuf },
    #[error("cannot read the recipe `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Reads a recipe.
///
/// # Errors
/// A missing file, a folder, a file over [`SIZE_LIMIT`], and other errors of the file system.
pub fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ReadError::Missing { path: path.into() },
        io::ErrorKind::IsADirectory => ReadError::Folder { path: path.into() },
        _ => ReadError::Io { path: path.into(), source },
    };
    let mut bytes = Vec::new();
    // The limit is on what is read, not on the size of the file: a pipe has none, and a file may grow.
    File::open(path).and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(ReadError::TooLarge { path: path.into() });
    }
    Ok(bytes)
}

/// The names of the recipes in a folder, sorted; empty if it cannot be read.
pub fn list(folder: &Path) -> Vec<String> {
    // The parent of `a.yaml` is the empty path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| super::stem(name) != name).collect();
    names.sort_unstable();
    names
}

/// `path` with links in its folder resolved; unchanged if they cannot be.
pub fn real(path: &Path) -> PathBuf {
    let real = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    real.zip(path.file_name()).map_or_else(|| path.to_path_buf(), |(folder, name)| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_a_folder_and_a_large_file_have_their_own_errors() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read(&folder.path().join("no.yaml")).unwrap_err();
        assert!(matches!(missing, ReadError::Missing { .. }), "{missing}");
        let directory = read(folder.path()).unwrap_err();
        assert!(matches!(directory, ReadError::Folder { .. }), "{directory}");

        let large = folder.path().join("large.yaml");
        File::create(&large).unwrap().set_len(50 * SIZE_LIMIT).unwrap();
        assert!(matches!(read(&large).unwrap_err(), ReadError::TooLarge { .. }));
        let exact = folder.path().join("exact.yaml");
        File::create(&exact).unwrap().set_len(SIZE_LIMIT).unwrap();
        assert_eq!(read(&exact).unwrap().len() as u64, SIZE_LIMIT);
    }

    #[test]
    fn an_endless_file_is_not_read_to_its_end() {
        assert!(matches!(read(Path::new("/dev/zero")).unwrap_err(), ReadError::TooLarge { .. }));
    }
}
