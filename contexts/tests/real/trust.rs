//! What a checkout may do on this machine: one test or more for each row of the table in `docs/src/architecture/contexts.md`.

use std::{fs, os::unix::fs::symlink, path::Path};

use pony_contexts::{ContextRequest, GitSpec, PathSpec, Prepared, RevisionSpec, SourceSpec, prepare};

use crate::{
    hg,
    support::{Repository, World, branch, text, wanted},
};

/// A submodule at `sub` whose definition is `definition`.
fn submodule(upstream: &Repository<'_>, definition: &str) {
    fs::write(upstream.dir.join(".gitmodules"), format!("[submodule \"sub\"]\n\tpath = sub\n{definition}"))
        .unwrap();
    let link = format!("160000,{},sub", upstream.head());
    upstream.git(&["update-index", "--add", "--cacheinfo", &link]);
    upstream.git(&["add", ".gitmodules"]);
    upstream.git(&["commit", "--quiet", "-m", "submodule"]);
}

async fn with_submodules(upstream: &Repository<'_>) -> Result<Prepared, String> {
    let wanted = GitSpec { submodules: true, ..wanted(&upstream.url(), branch("main")) };
    upstream.world.prepare_wanted(wanted).await.0.map_err(|error| error.to_string())
}

#[tokio::test]
async fn addresses_of_submodules_that_are_commands() {
    let world = World::new();
    // Even a person who allows it at the command line has not allowed it here.
    world.configure("[protocol \"ext\"]\n\tallow = always\n");
    let mark = world.path("mark");
    for (number, url) in [
        format!("ext::sh -c touch% {}", mark.display()),
        format!("--upload-pack=touch {}", mark.display()),
        format!("ssh://-oProxyCommand=touch%20{}/x", mark.display()),
        format!("-oProxyCommand=touch {}:x", mark.display()),
    ]
    .into_iter()
    .enumerate()
    {
        let upstream = world.repository(&format!("up/{number}"));
        submodule(&upstream, &format!("\turl = \"{url}\"\n"));
        with_submodules(&upstream).await.unwrap_err();
        assert!(!mark.exists(), "{url}");
    }
}

#[tokio::test]
async fn an_update_of_a_submodule_that_is_a_command() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let mark = world.path("mark");
    submodule(&upstream, &format!("\turl = {}\n\tupdate = !touch {}\n", upstream.url(), mark.display()));
    with_submodules(&upstream).await.unwrap_err();
    assert!(!mark.exists());
}

#[tokio::test]
async fn filters_are_those_of_the_person() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let mark = world.path("mark");
    fs::write(upstream.dir.join(".gitattributes"), "file filter=mine\nother filter=theirs\n").unwrap();
    let theirs = format!("[filter \"theirs\"]\n\tsmudge = touch {}\n\trequired\n", mark.display());
    fs::write(upstream.dir.join(".gitconfig"), &theirs).unwrap();
    fs::write(upstream.dir.join("other"), "other").unwrap();
    upstream.commit("one");
    // In the configuration of upstream too, which does not travel.
    fs::write(
        upstream.dir.join(".git/config"),
        fs::read_to_string(upstream.dir.join(".git/config")).unwrap() + &theirs,
    )
    .unwrap();
    world.configure("[filter \"mine\"]\n\tsmudge = tr a-z A-Z\n");
    let prepared = world.prepare(&upstream.url(), RevisionSpec::Default).await.0.unwrap();
    assert_eq!((text(&prepared, "file"), text(&prepared, "other")), ("ONE".to_owned(), "other".to_owned()));
    assert!(!mark.exists());
}

#[tokio::test]
async fn links_out_of_the_tree_stay_links() {
    let world = World::new();
    let outside = world.path("outside");
    fs::write(&outside, "private").unwrap();
    let check = |tree: &Path| {
        assert_eq!(fs::read_link(tree.join("out")).unwrap(), outside);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "private");
    };
    let upstream = world.repository("up/git");
    symlink(&outside, upstream.dir.join("out")).unwrap();
    upstream.commit("link");
    check(&world.prepare(&upstream.url(), RevisionSpec::Default).await.0.unwrap().cwd);
    let upstream = hg::Upstream::new(&world, "up/hg");
    symlink(&outside, upstream.dir.join("out")).unwrap();
    upstream.commit("link");
    check(&hg::build(&world, &upstream.url(), hg::branch("default")).await.0.unwrap().cwd);
}

#[tokio::test]
async fn what_looks_like_a_repository_inside_a_folder_is_none() {
    let world = World::new();
    let outer = world.repository("recipes/work");
    let bare = outer.dir.join("data");
    world.git(&world.path("home"), &["clone", "--quiet", "--bare", &outer.url(), bare.to_str().unwrap()]);
    let mark = world.path("mark");
    let config = format!(
        "[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = touch {mark}\n[filter \"x\"]\n\tclean = touch {mark}\n",
        mark = mark.display()
    );
    fs::write(bare.join("config"), config).unwrap();
    fs::write(bare.join(".gitattributes"), "file filter=x\n").unwrap();
    fs::write(bare.join("file"), "changed").unwrap();
    let source = SourceSpec::Path(PathSpec { dir: "work/data".into(), gitignore: false });
    let mut shell = world.shell();
    let prepared = prepare(&ContextRequest { ..world.request(Some(source)) }, &mut shell).await.unwrap();
    assert!(prepared.checkout.is_none());
    assert!(shell.notes.iter().any(|note| note.starts_with("no version recorded")), "{:?}", shell.notes);
    assert!(!mark.exists());
}
