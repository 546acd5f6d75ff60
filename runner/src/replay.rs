//! A result run again: from what it carries to a recipe that builds the same, with its source at the revision that was built. Pure.

use std::path::{Path, PathBuf};

use pony_contexts::{PathSpec, RevisionSpec, SourceSpec, Url};
use serde_json::{Map, Value as Json};

use crate::{
    recipe::{self, Context, LoadOptions, PlatformFacts, Recipe},
    record::RunRecord,
    redactor::STARS,
    server::reported::FullResult,
};

/// The tag of what is run again, so that nobody takes it for the slot's own build.
pub const TAG: &str = "replay";

/// What a result says of what it was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// The recipe's text, as resolved.
    pub text: String,
    /// The recipe's path, as it was given.
    pub path: PathBuf,
    /// The folder that the recipe lay in, where the result says.
    pub folder: Option<PathBuf>,
    /// What was checked out.
    pub revision: Option<String>,
    /// With changes that are in no commit.
    pub dirty: bool,
    /// On which machine.
    pub host: String,
    /// All of the slot's tags.
    pub tags: Vec<String>,
}

/// A recipe that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Its text.
    pub yaml: String,
    /// Tags besides the recipe's own.
    pub tags: Vec<String>,
    /// What is not as it was.
    pub notes: Vec<String>,
    /// What has to be on this machine: folders, repositories, recipes of needs.
    pub needed: Vec<PathBuf>,
}

/// Why a result cannot be run again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It does not carry its recipe.
    #[error("{0}")]
    NoRecipe(String),
    /// What it carries is no recipe, or several.
    #[error("the recipe that it carries cannot be used:\n{0}")]
    Recipe(String),
    /// It was built in a folder of which it does not tell.
    #[error("it was built in the folder of its recipe, `{0}`, and does not say where that is")]
    NoFolder(String),
}

impl Carried {
    /// By a run folder: its record, and the recipe that lies beside it.
    pub fn of_record(record: &RunRecord, text: String) -> Self {
        Self {
            text,
            path: PathBuf::from(&record.recipe),
            folder: record.recipe_folder.as_ref().map(PathBuf::from),
            revision: record.checkout.as_ref().map(|checkout| checkout.revision.clone()),
            dirty: record.checkout.as_ref().is_some_and(|checkout| checkout.dirty),
            host: record.host.clone(),
            tags: record.tags.clone(),
        }
    }

    /// By a result on a server.
    pub(crate) fn of_result(full: &FullResult) -> Result<Self, ReplayError> {
        let info: &Map<String, Json> = &full.client_info;
        let text = |key: &str| info.get(key).and_then(Json::as_str).map(str::to_owned);
        let Some(recipe) = text("recipe_text") else {
            let why = match (text("recipe_left_out"), text("client")) {
                (Some(why), _) => format!("it does not carry its recipe: {why}"),
                (None, Some(client)) => format!("it does not carry its recipe; it was sent by {client}"),
                (None, None) => "it does not carry its recipe, as only results of pony-run do; it was sent by another client, \
                                 or the server has not kept what it was sent"
                    .to_owned(),
            };
            return Err(ReplayError::NoRecipe(why));
        };
        Ok(Self {
            text: recipe,
            path: text("recipe").map(PathBuf::from).unwrap_or_default(),
            folder: text("recipe_folder").map(PathBuf::from),
            revision: text("revision"),
            dirty: info.get("dirty").and_then(Json::as_bool).unwrap_or(false),
            host: full.summary.slot.host.clone(),
            tags: full.summary.slot.tags.clone(),
        })
    }

    /// What the recipe's file is called.
    pub fn file_name(&self) -> String {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = crate::record::folder::slug(&name);
        if recipe::stem(&name) == name { "recipe.yaml".to_owned() } else { name }
    }
}

/// The recipe to be run, on the machine of these facts.
pub fn plan(carried: &Carried, facts: &PlatformFacts) -> Result<Replay, ReplayError> {
    let shown = carried.file_name();
    let path = carried.folder.as_deref().unwrap_or(Path::new("/")).join(&shown);
    let options = LoadOptions { settings: &[], platform: facts, deferred: None };
    let loaded = recipe::load(&path, carried.text.as_bytes(), &options)
        .map_err(|wrong| ReplayError::Recipe(wrong.render(false)))?;
    let [mut recipe] = <[Recipe; 1]>::try_from(loaded).map_err(|cells| {
        ReplayError::Recipe(format!("it is of {} builds, and a result is of one", cells.len()))
    })?;
    let mut notes = Vec::new();
    if carried.text.contains(STARS) {
        notes.push(format!("what was a secret is {STARS} in the recipe; it may have to be put back there"));
    }
    place(&mut recipe, carried, &mut notes)?;
    if let Some(source) = &mut recipe.source {
        pin(source, carried, &mut notes);
    }
    let needed = needed(&recipe);
    if !recipe.needs.is_empty() {
        notes.push("its dependencies are built from their current recipes".to_owned());
    }
    let is_added = |tag: &&String| !recipe.tags.contains(tag) && *tag != TAG && !tag.starts_with("__");
    let tags = carried.tags.iter().filter(is_added).cloned();
    let tags = tags.chain([TAG.to_owned()]).collect();
    Ok(Replay { yaml: recipe.resolved_yaml(), tags, notes, needed })
}

/// Where it is built.
fn place(recipe: &mut Recipe, carried: &Carried, notes: &mut Vec<String>) -> Result<(), ReplayError> {
    match &recipe.context {
        Context::Tempdir | Context::Virtualenv(_) => {}
        Context::Here => {
            if recipe.source.is_none() {
                let folder = carried.folder.clone();
                let dir = folder.ok_or_else(|| ReplayError::NoFolder(carried.path.display().to_string()))?;
                // The same place, said in a way that holds from anywhere.
                recipe.source = Some(SourceSpec::Path(PathSpec { dir, gitignore: false }));
            }
        }
        Context::Directory(dir) => {
            notes.push(format!(
                "it was built in a folder that lasts, `{}`, on what earlier builds had left there; here it begins afresh",
                dir.display()
            ));
            recipe.context = Context::Tempdir;
        }
    }
    Ok(())
}

/// Names the revision that was built.
fn pin(source: &mut SourceSpec, carried: &Carried, notes: &mut Vec<String>) {
    let revision = carried.revision.as_deref().unwrap_or_default();
    let is_commit =
        (7..=64).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = (1..=10).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_digit());
    match source {
        SourceSpec::Path(wanted) => {
            notes.push(format!(
                "its source is the folder `{}`, which is built as it is now: a folder has no revisions",
                wanted.dir.display()
            ));
            return;
        }
        SourceSpec::Git(wanted) if is_commit => wanted.revision = RevisionSpec::Revision(revision.to_owned()),
        SourceSpec::Hg(wanted) if is_commit => wanted.revision = RevisionSpec::Revision(revision.to_owned()),
        SourceSpec::Svn(wanted) if is_number => wanted.revision = Some(revision.to_owned()),
        SourceSpec::Archive(wanted) if is_commit && revision.len() == 64 => {
            wanted.sha256 = Some(revision.to_owned());
        }
        source if source.pinned().is_some() => {}
        _ => notes.push(
            "the result does not say at which revision it was built; the newest one is built".to_owned(),
        ),
    }
    if carried.dirty {
        notes.push("what was built had changes that are in no commit; they are not in this build".to_owned());
    }
}

/// What has to be there.
fn needed(recipe: &Recipe) -> Vec<PathBuf> {
    let source = match &recipe.source {
        Some(SourceSpec::Path(wanted)) => Some(wanted.dir.clone()),
        Some(source) => source.url().filter(|url| url.is_local()).map(|url| {
            let url = Url::to_string(url);
            PathBuf::from(url.strip_prefix("file://").unwrap_or(&url))
        }),
        None => None,
    };
    source.into_iter().chain(recipe.needs.iter().map(|need| need.recipe.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> PlatformFacts {
        PlatformFacts { cpus: 2, arch: "linux-x86_64".into(), host: "here".into(), cwd: PathBuf::from("/w") }
    }

    fn carried(text: &str) -> Carried {
        Carried {
            text: text.to_owned(),
            path: "recipes/demo.yaml".into(),
            folder: Some("/r".into()),
            revision: Some("0123456789abcdef0123456789abcdef01234567".into()),
            host: "there".into(),
            tags: vec!["fast".into(), "more".into(), "__x".into()],
            ..Carried::default()
        }
    }

    fn loaded(yaml: &str) -> Recipe {
        let facts = facts();
        let options = LoadOptions { settings: &[], platform: &facts, deferred: None };
        let recipes = recipe::load(Path::new("/elsewhere/x.yaml"), yaml.as_bytes(), &options);
        let [recipe] =
            <[Recipe; 1]>::try_from(recipes.unwrap_or_else(|wrong| panic!("{}", wrong.render(false))))
                .unwrap();
        recipe
    }

    /// What is run again of a recipe that is resolved first, as those that results carry are.
    fn replayed(text: &str, change: impl FnOnce(&mut Carried)) -> (Replay, Recipe) {
        let mut carried = carried(&loaded(text).resolved_yaml());
        change(&mut carried);
        let replay = plan(&carried, &facts()).unwrap();
        let recipe = loaded(&replay.yaml);
        (replay, recipe)
    }

    const STEPS: &str = "\nsteps:\n- run: make\n";

    #[test]
    fn the_revision_that_was_built_is_named() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for (source, revision, pinned) in [
            ("git: 'https://x/y', branch: main", sha, Some(sha)),
            ("git: 'https://x/y', tag: v1", sha, Some(sha)),
            ("hg: 'https://x/y'", sha, Some(sha)),
            ("svn: 'svn://x/y/trunk'", "1234", Some("1234")),
            ("archive: 'https://x/y.tgz'", digest, Some(digest)),
            ("git: 'https://x/y', revision: abcdef01", "", Some("abcdef01")),
            ("git: 'https://x/y'", "", None),
            ("git: 'https://x/y'", "--upload-pack=touch", None),
            ("svn: 'svn://x/y/trunk'", "HEAD", None),
        ] {
            let text = format!("package: demo\ntags: [fast]\nsource: {{{source}}}{STEPS}");
            let (replay, recipe) = replayed(&text, |carried| carried.revision = Some(revision.to_owned()));
            assert_eq!(recipe.source.as_ref().and_then(SourceSpec::pinned), pinned, "{source}");
            assert_eq!(
                replay.notes.iter().any(|note| note.contains("the newest one is built")),
                pinned.is_none(),
                "{source}"
            );
            assert_eq!(replay.tags, ["more", "replay"]);
        }
    }

    #[test]
    fn what_is_known_late_stays_so_and_all_else_is_as_it_was() {
        let text = "package: demo\nmatrix: {py: ['3.12']}\nvariables: {n: '{{jobs}}', who: \"a '{{cpus}}'\"}\nneeds: [{recipe: ../zlib, with: {shared: no}, as: z}]\nsecrets: [TOKEN]\nsteps:\n- run: 'make -j{{n}} {{needs.z.prefix}} {{who}} {{py}} {{{{x'\n";
        let (replay, recipe) = replayed(text, |_| {});
        assert_eq!(
            recipe,
            Recipe {
                text: recipe.text.clone(),
                path: recipe.path.clone(),
                ..loaded(&loaded(text).resolved_yaml())
            }
        );
        assert!(
            replay.yaml.contains("{{jobs}}") && replay.yaml.contains("{{needs.z.prefix}}"),
            "{}",
            replay.yaml
        );
        assert_eq!(recipe.cell.get("py").map(String::as_str), Some("3.12"));
        assert_eq!(recipe.secrets, ["TOKEN"]);
        assert_eq!(replay.needed, [PathBuf::from("/zlib")]);
        assert!(replay.notes[0].contains("from their current recipes"), "{:?}", replay.notes);
    }

    #[test]
    fn what_belongs_to_a_folder_is_found_again_or_told() {
        let (replay, recipe) =
            replayed(&format!("package: demo\nsource: {{path: ../src}}{STEPS}"), |carried| {
                carried.dirty = true;
            });
        assert_eq!(replay.needed, [PathBuf::from("/elsewhere/../src")]);
        assert!(
            replay.notes.len() == 1 && replay.notes[0].contains("a folder has no revisions"),
            "{:?}",
            replay.notes
        );
        assert!(matches!(recipe.source, Some(SourceSpec::Path(_))));
        let here = format!("package: demo\ncontext: here{STEPS}");
        let (replay, recipe) = replayed(&here, |_| {});
        assert_eq!((replay.needed, recipe.context), (vec![PathBuf::from("/r")], Context::Here));
        let lost = Carried { folder: None, ..carried(&here) };
        assert!(matches!(plan(&lost, &facts()), Err(ReplayError::NoFolder(_))));
        let text = format!(
            "package: demo\nsource: {{git: 'file:///up/x'}}\ncontext: {{directory: /lasting}}{STEPS}"
        );
        let (replay, recipe) = replayed(&text, |_| {});
        assert_eq!((replay.needed, recipe.context), (vec![PathBuf::from("/up/x")], Context::Tempdir));
        assert!(replay.notes[0].contains("a folder that lasts, `/lasting`"), "{:?}", replay.notes);
    }

    #[test]
    fn what_is_no_recipe_is_refused_in_words() {
        for (text, words) in [
            ("a: [", ""),
            ("package: demo\nsteps: [{rum: x}]", "run"),
            ("package: d\nmatrix: {a: [1, 2]}\nsteps: [{run: x}]", "of 2 builds"),
        ] {
            let error = plan(&carried(text), &facts()).unwrap_err();
            assert!(matches!(error, ReplayError::Recipe(_)) && error.to_string().contains(words), "{error}");
        }
        let name = |path: &str| Carried { path: path.into(), ..Carried::default() }.file_name();
        assert_eq!(
            [name("a/demo.yaml"), name("../.."), name("x\ny.yml"), name("")].map(|name| name.len() < 60),
            [true; 4]
        );
        assert_eq!((name("a/demo.yaml"), name("a/demo")), ("demo.yaml".to_owned(), "recipe.yaml".to_owned()));
    }
}
