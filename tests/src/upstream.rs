//! One source of every kind that comes over a line: a server, what is in it, and the recipe that builds it.

use std::{fmt, fmt::Write as _, fs};

use crate::{Daemon, Line, World};

/// What kind of source it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `git daemon`.
    Git,
    /// `svnserve`.
    Svn,
    /// `hg serve`.
    Hg,
    /// A packed file at a web server.
    Archive,
}

/// A source that is served on this machine. Its tree has `file` in it, which holds what was published last, and a folder
/// `data` with what no compression makes smaller.
#[derive(Debug)]
pub struct Upstream<'w> {
    world: &'w World,
    kind: Kind,
    _daemon: Daemon<'w>,
    /// Between it and who builds it.
    pub line: Line,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Git => "git",
            Self::Svn => "svn",
            Self::Hg => "hg",
            Self::Archive => "archive",
        })
    }
}

impl World {
    /// A source in which `one` was published.
    pub fn upstream(&self, kind: Kind) -> Upstream<'_> {
        for name in ["up/tree/data", "up/svn"] {
            fs::create_dir_all(self.path(name)).expect("folders");
        }
        let files: Vec<(String, String)> =
            (0_u64..12).map(|i| (format!("data/{i}"), noise(i, 1_500))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&name[..], &text[..])).collect();
        let daemon = match kind {
            Kind::Git => {
                self.git("up/tree", &["init", "--quiet"]);
                self.git_daemon("up")
            }
            Kind::Hg => {
                fs::write(self.path("home/.hgrc"), "[ui]\nusername = Ann\n").expect("a new file");
                self.run_in("up/tree", "hg", &["init"]);
                self.hg_serve("up/tree")
            }
            Kind::Svn => {
                self.run_in("up/svn", "svnadmin", &["create", "."]);
                let url = format!("file://{}", self.path("up/svn").display());
                self.run_in("up", "svn", &["mkdir", "-q", "-m", "none", &format!("{url}/trunk")]);
                self.run_in("up/tree", "svn", &["checkout", "-q", &format!("{url}/trunk"), "."]);
                self.svnserve("up")
            }
            Kind::Archive => self.web("up"),
        };
        let line = Line::to(daemon.port());
        let upstream = Upstream { world: self, kind, _daemon: daemon, line };
        upstream.publish("one", &files);
        upstream
    }

    /// Runs a program in a folder of this world, which must succeed.
    pub fn run_in(&self, folder: &str, program: &str, arguments: &[&str]) -> String {
        self.call(program, arguments).cwd(self.path(folder)).end().code(0).out()
    }
}

impl Upstream<'_> {
    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A commit, or another packed file, with `text` in `file` and these files besides.
    pub fn publish(&self, text: &str, files: &[(&str, &str)]) {
        for (name, text) in files.iter().chain(&[("file", text)]) {
            fs::write(self.world.path("up/tree").join(name), text).expect("a new file");
        }
        let run = |program: &str, arguments: &[&str]| self.world.run_in("up/tree", program, arguments);
        match self.kind {
            Kind::Git => {
                run("git", &["add", "--all"]);
                run("git", &["commit", "--quiet", "-m", text]);
            }
            Kind::Hg => {
                run("hg", &["commit", "--quiet", "--addremove", "-m", text]);
            }
            Kind::Svn => {
                run("svn", &["add", "-q", "--force", "."]);
                run("svn", &["commit", "-q", "-m", text]);
            }
            Kind::Archive => {
                run("tar", &["-czf", "../new", "."]);
                let (new, old) = (self.world.path("up/new"), self.world.path("up/demo.tar.gz"));
                fs::rename(new, old).expect("a packed file");
            }
        }
    }

    /// Its address, through the line.
    pub fn url(&self) -> String {
        let port = self.line.port();
        match self.kind {
            Kind::Git => format!("git://127.0.0.1:{port}/tree"),
            Kind::Svn => format!("svn://127.0.0.1:{port}/svn/trunk"),
            Kind::Hg => format!("http://127.0.0.1:{port}/"),
            Kind::Archive => format!("http://127.0.0.1:{port}/demo.tar.gz"),
        }
    }

    /// A recipe that builds it, with `more` in its `source`; its only step prints [`Upstream::built`].
    pub fn recipe(&self, more: &str) -> &'static str {
        // Hg is slow to start: it is not to look for a default first.
        let more = if self.kind == Kind::Hg && more.is_empty() { ", branch: default" } else { more };
        self.world.recipe(&format!(
            "source: {{{}: '{}'{more}}}\nsteps:\n- run: cat file; cat data/* | cksum\n",
            self.kind,
            self.url()
        ))
    }

    /// What a step of that recipe prints of what is published now.
    pub fn built(&self) -> String {
        self.world.run_in("up/tree", "sh", &["-c", "cat file; cat data/* | cksum"])
    }
}

/// So many numbers in hexadecimal that look like chance.
fn noise(seed: u64, count: u64) -> String {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    (0..count).fold(String::new(), |mut text, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let _ = write!(text, "{state:016x}");
        text
    })
}
