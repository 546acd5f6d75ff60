//! Source `path`, and recipes without a source, in a temporary directory and in place.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use pony_contexts::{
    ContextRequest, Error, PathSpec, Prepared, SourceSpec, WorkingDir, prepare, remove_tree,
};

use crate::support::{World, text};

fn request(world: &World, dir: &str, working_dir: WorkingDir) -> ContextRequest {
    ContextRequest {
        working_dir,
        ..world.request(Some(SourceSpec::Path(PathSpec { dir: dir.into(), gitignore: false })))
    }
}

#[tokio::test]
async fn no_source_is_an_empty_directory_or_the_recipes_own() {
    let world = World::new();
    let mut request = world.request(None);
    let prepared = prepare(&request, &mut world.shell()).await.unwrap();
    assert_eq!(prepared.tempdir.as_ref(), Some(&prepared.cwd));
    assert_eq!(fs::read_dir(&prepared.cwd).unwrap().count(), 0);
    assert_eq!(prepared.checkout, None);

    request.working_dir = WorkingDir::Here;
    let mut shell = world.shell();
    let prepared = prepare(&request, &mut shell).await.unwrap();
    assert_eq!(prepared.cwd.canonicalize().unwrap(), world.path("recipes").canonicalize().unwrap());
    assert_eq!(prepared.tempdir, None);
    assert!(!prepared.client_info.contains_key("tempdir") && shell.ran.is_empty());
}

#[tokio::test]
async fn a_folder_is_copied_with_what_is_not_committed() {
    let world = World::new();
    let repository = world.repository("code/demo");
    fs::write(repository.dir.join("file"), "changed").unwrap();
    fs::write(repository.dir.join("new"), "new").unwrap();
    symlink("/etc", repository.dir.join("link")).unwrap();
    fs::create_dir(repository.dir.join("closed")).unwrap();
    fs::write(repository.dir.join("closed/x"), "x").unwrap();
    fs::set_permissions(repository.dir.join("closed"), fs::Permissions::from_mode(0o555)).unwrap();

    let prepared =
        prepare(&request(&world, "../code/demo", WorkingDir::Tempdir), &mut world.shell()).await.unwrap();
    assert!(prepared.cwd.starts_with(world.path("tmp")) && prepared.cwd.ends_with("demo"));
    assert_eq!((text(&prepared, "file").as_str(), text(&prepared, "new").as_str()), ("changed", "new"));
    assert_eq!(fs::read_link(prepared.cwd.join("link")).unwrap().to_str(), Some("/etc"));
    assert!(prepared.checkout.as_ref().unwrap().dirty);
    assert_eq!(world.git(&prepared.cwd, &["log", "--format=%s"]), "one");
    let checkout = prepared.checkout.unwrap();
    assert_eq!(checkout.revision, repository.head());
    assert_eq!(checkout.version_type, "git");
    fs::write(prepared.cwd.join("file"), "by the build").unwrap();
    assert_eq!(fs::read_to_string(repository.dir.join("file")).unwrap(), "changed");
    remove_tree(&prepared.tempdir.unwrap()).unwrap();
    assert!(repository.dir.join("closed/x").exists());
    fs::set_permissions(repository.dir.join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_folder_is_built_in_place() {
    let world = World::new();
    let repository = world.repository("code/demo");
    fs::create_dir(repository.dir.join("sub")).unwrap();
    let run = async |dir: &str| -> Prepared {
        prepare(&request(&world, dir, WorkingDir::Here), &mut world.shell()).await.unwrap()
    };
    let prepared = run("../code/demo").await;
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!((prepared.checkout.as_ref().unwrap().dirty, prepared.tempdir), (false, None));
    let in_sub = run("../code/demo/sub").await;
    assert_eq!(in_sub.checkout.unwrap().revision, repository.head());
}

#[tokio::test]
async fn git_that_cannot_say_is_no_obstacle() {
    let world = World::new();
    let dir = world.path("code/unborn");
    fs::create_dir_all(&dir).unwrap();
    world.git(&dir, &["init", "--quiet"]);
    let mut shell = world.shell();
    let prepared = prepare(&request(&world, "../code/unborn", WorkingDir::Here), &mut shell).await.unwrap();
    assert_eq!(prepared.checkout, None);
    assert!(shell.notes[0].starts_with("no version recorded"), "{:?}", shell.notes);
}

#[tokio::test]
async fn what_is_no_directory() {
    let world = World::new();
    fs::write(world.path("recipes/file"), "x").unwrap();
    for working_dir in [WorkingDir::Here, WorkingDir::Tempdir] {
        for dir in ["file", "absent", "file/x"] {
            let error =
                prepare(&request(&world, dir, working_dir.clone()), &mut world.shell()).await.unwrap_err();
            assert!(matches!(error, Error::NotADirectory(_)), "{error:?}");
            assert!(error.to_string().contains(dir) && error.hint().is_some());
        }
    }
    assert_eq!(fs::read_dir(world.path("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_place_for_temporary_directories_may_lie_in_what_is_copied() {
    let world = World::new();
    fs::write(world.path("file"), "x").unwrap();
    let prepared = prepare(&request(&world, "..", WorkingDir::Tempdir), &mut world.shell()).await.unwrap();
    assert_eq!(text(&prepared, "file"), "x");
}
