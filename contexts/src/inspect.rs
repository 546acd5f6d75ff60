//! Questions about a context that are answered without preparing it.

use std::collections::BTreeMap;

use crate::{
    client_info::ClientInfo, error::Error, request::ContextRequest, shell::Shell, tool_versions, virtualenv,
};

/// The revision that would be built now, to be compared with [`Prepared::tip`](crate::Prepared::tip) of an earlier run: the
/// same, or its first characters where the recipe gives no more. `None` if there is no way to tell without building.
/// Asks upstream; changes nothing but the cache.
pub async fn tip(request: &ContextRequest, shell: &mut impl Shell) -> Result<Option<String>, Error> {
    match &request.source {
        None => Ok(None),
        Some(source) => source.tip(&request.source_context(), shell).await,
    }
}

/// Paths, from the top of the repository, of the files that differ between the tip `from` and what would be built now.
/// `None` if there is no way to tell. Updates the cache.
pub async fn changed_files(
    request: &ContextRequest,
    from: &str,
    shell: &mut impl Shell,
) -> Result<Option<Vec<String>>, Error> {
    let Some(source) = &request.source else { return Ok(None) };
    match source.changed_files(from, &request.source_context(), shell).await {
        // The next build repairs it.
        Err(Error::Damaged { .. }) => Ok(None),
        changed => changed,
    }
}

/// The versions of the programs that the recipe names, and of the interpreter that a virtualenv would be made of, as they
/// will be recorded.
pub async fn toolchain(request: &ContextRequest, shell: &mut impl Shell) -> Result<ClientInfo, Error> {
    let mut info = ClientInfo::new();
    let cwd = &request.recipe_dir;
    tool_versions::record(&request.tools, &request.path, cwd, &BTreeMap::new(), &mut info, shell).await?;
    if let Some(spec) = &request.virtualenv {
        let context = request.virtualenv_context(&request.path);
        let python = virtualenv::interpreter(spec, &context, cwd, shell).await?;
        info.extend(python.map(|python| ("python".to_owned(), python.into())));
    }
    Ok(info)
}
