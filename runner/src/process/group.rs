//! Process groups, and processes that a build left behind: who they are, and their end.

use std::{collections::BTreeMap, fs};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// The environment variable that marks a run's processes: what is left of them is found by it.
pub const MARK: &str = "PONY_RUN_ID";

/// A process group, named by its leader. Not a process id: signals to it reach every member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(Pid);

impl Group {
    /// The group whose leader has this process id.
    pub fn of_leader(pid: u32) -> Option<Self> {
        // 0 and 1 would mean our own group and everybody.
        i32::try_from(pid).ok().filter(|pid| *pid > 1).map(|pid| Self(Pid::from_raw(pid)))
    }

    /// The leader's process id.
    pub fn id(self) -> i32 {
        self.0.as_raw()
    }

    /// Asks every member to end. A group that is gone is fine.
    pub fn terminate(self) {
        let _ = killpg(self.0, Signal::SIGTERM);
        // A stopped member could not act on it.
        let _ = killpg(self.0, Signal::SIGCONT);
    }

    /// Ends every member.
    pub fn kill(self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }

    /// Whether any member is left that still runs. To be asked after the leader was waited for.
    pub fn alive(self) -> bool {
        // A zombie whose new parent does not wait for it keeps the group in being, but nothing runs any more.
        killpg(self.0, None) != Err(Errno::ESRCH) && (!has_proc() || !self.members().is_empty())
    }

    /// Its members, each `pid name`, as far as `/proc` tells.
    pub fn members(self) -> Vec<String> {
        processes()
            .filter_map(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                let (name, group) = name_and_group(&stat)?;
                (group == self.id()).then(|| format!("{pid} {name}"))
            })
            .collect()
    }
}

/// How often marked processes are looked for: those that were begun while others were looked at are found by the next look.
const LOOKS: usize = 20;

/// Kills every process whose environment holds `mark` (`NAME=value`), except ourselves: what a build left behind outside
/// its groups. Returns who they were, each `pid name`. Where there is no `/proc`, nobody.
pub fn kill_marked(mark: &str) -> Vec<String> {
    let mut killed = BTreeMap::new();
    for _ in 0..LOOKS {
        let before = killed.len();
        killed.extend(marked(mark).filter(|(pid, _)| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok()));
        if killed.len() == before {
            break;
        }
    }
    killed.into_iter().map(|(pid, name)| format!("{pid} {name}")).collect()
}

/// Id and name of every process whose environment holds `mark`, except ourselves.
fn marked(mark: &str) -> impl Iterator<Item = (i32, String)> {
    let own = std::process::id();
    processes()
        .filter(move |pid| u32::try_from(*pid).is_ok_and(|pid| pid != own))
        .filter(move |pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()))
        })
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (name, _) = name_and_group(&stat)?;
            Some((pid, name.to_owned()))
        })
}

/// Whether any process works in `dir` or below it, as far as `/proc` tells.
pub fn is_anybody_in(dir: &std::path::Path) -> bool {
    processes().any(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir)))
}

fn has_proc() -> bool {
    std::path::Path::new("/proc/self/stat").exists()
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Of a line of `/proc/PID/stat`: `PID (name) state ppid pgrp …`. The name may hold blanks and brackets. Zombies do not count.
fn name_and_group(stat: &str) -> Option<(&str, i32)> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let mut fields = tail.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?;
    Some((name, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_hold_anything() {
        assert_eq!(name_and_group("12 (a) b (c) S 1 77 77 0"), Some(("a) b (c", 77)));
        assert_eq!(name_and_group("12 (gone) Z 1 77 77 0"), None);
        assert_eq!(name_and_group("nonsense"), None);
    }

    #[test]
    fn no_group_is_ever_ours_or_everybody() {
        assert_eq!(Group::of_leader(0), None);
        assert_eq!(Group::of_leader(1), None);
    }
}
