//! Prepares a context: directories, source, environment, virtualenv.
#![expect(clippy::disallowed_methods, reason = "the workspace of a build is made here")]

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    chain,
    checkout::Checkout,
    client_info::ClientInfo,
    error::Error,
    request::{ContextRequest, PrivateDirs, WorkingDir},
    shell::{EnvOverlay, Shell, Stage},
    source::{Destination, SourceTree, git::unset_redirects, path::existing_dir},
    tool_versions, virtualenv,
    workspace::{DirLock, TempWorkspace},
};

/// A context that is ready for step 1.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Where steps run.
    pub cwd: PathBuf,
    /// Set (`Some`) or removed (`None`) for every step.
    pub env: BTreeMap<String, Option<OsString>>,
    /// `tempdir`, `virtualenv`, `dependencies`, ….
    pub client_info: ClientInfo,
    /// What was checked out, if it is under version control.
    pub checkout: Option<Checkout>,
    /// What [`tip`](crate::tip) would have returned for what is built here.
    pub tip: Option<String>,
    /// The temporary directory, if one was made. It is the run's to remove.
    pub tempdir: Option<PathBuf>,
    /// Keeps other runs out of a directory that persists.
    pub lock: Option<DirLock>,
}

/// Prepares the context that is requested.
pub async fn prepare(request: &ContextRequest, shell: &mut impl Shell) -> Result<Prepared, Error> {
    let mut info = ClientInfo::new();
    // Git finds the repository that steps are in, not the one that pony-run was started from.
    let mut env = if request.working_dir == WorkingDir::Here { BTreeMap::new() } else { unset_redirects() };
    if let Some(parent) = request.tempdir.parent().filter(|parent| parent.starts_with(&request.cache)) {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    let tempdir = if request.needs_tempdir() { Some(TempWorkspace::new(&request.tempdir)?) } else { None };
    if let Some(tempdir) = &tempdir {
        info.insert("tempdir".to_owned(), tempdir.path().display().to_string().into());
        make_private_dirs(request.private_dirs, tempdir.path(), &mut env)?;
    }
    let (dir, lock) = working_dir(request, shell).await?;
    let SourceTree { cwd, checkout, tip } = obtain(request, dir, shell).await?;
    // From here on programs find the outputs of dependencies.
    let path = chain::apply(&request.dependencies, &request.search, &request.path, &mut env, &mut info);
    if let Some(spec) = &request.virtualenv {
        shell.begin(Stage::Virtualenv);
        let dir = request.tempdir.join(".virtualenv");
        let context = request.virtualenv_context(&path);
        let summary = virtualenv::make(spec, &context, &dir, &cwd, &mut env, &mut info, shell).await?;
        shell.complete(summary);
    }
    tool_versions::record(&request.tools, &path, &cwd, &env, &mut info, shell).await?;
    let tempdir = tempdir.map(TempWorkspace::hand_over);
    Ok(Prepared { cwd, env, client_info: info, checkout, tip, tempdir, lock })
}

/// Makes the directories that the run has to itself.
fn make_private_dirs(dirs: PrivateDirs, tempdir: &Path, env: &mut EnvOverlay) -> Result<(), Error> {
    for (name, variable, requested) in [(".home", "HOME", dirs.home), (".tmp", "TMPDIR", dirs.tmp)] {
        if requested {
            let dir = tempdir.join(name);
            fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
            env.insert(variable.to_owned(), Some(dir.into()));
        }
    }
    Ok(())
}

/// Where the tree of the source is or will be, locked if it persists.
async fn working_dir(
    request: &ContextRequest,
    shell: &mut impl Shell,
) -> Result<(PathBuf, Option<DirLock>), Error> {
    let context = request.source_context();
    let dir = match &request.working_dir {
        WorkingDir::Tempdir => return Ok((request.tempdir.clone(), None)),
        WorkingDir::Here => match &request.source {
            None => existing_dir(Path::new("."), &context)?,
            Some(source) => source.in_place(&context)?,
        },
        WorkingDir::Directory(dir) => {
            let dir = context.absolute(dir);
            fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
            dir
        }
    };
    let waiting = || shell.note(&format!("waiting for another run that builds in `{}`", dir.display()));
    let lock = DirLock::lock(&dir, waiting).await?;
    Ok((dir, Some(lock)))
}

/// Makes the tree of the source, if there is one, in `dir`.
async fn obtain(request: &ContextRequest, dir: PathBuf, shell: &mut impl Shell) -> Result<SourceTree, Error> {
    let Some(source) = &request.source else {
        return Ok(SourceTree { cwd: dir, checkout: None, tip: None });
    };
    shell.begin(Stage::Checkout);
    let destination = match &request.working_dir {
        WorkingDir::Tempdir => Destination::Fresh(&dir),
        WorkingDir::Here => Destination::InPlace(&dir),
        WorkingDir::Directory(_) => Destination::Persistent(&dir),
    };
    let tree = source.obtain(destination, &request.source_context(), shell).await?;
    shell.checked_out(tree.checkout.as_ref(), tree.tip.as_deref());
    shell.complete(tree.checkout.as_ref().map(Checkout::summary).unwrap_or_default());
    Ok(tree)
}
