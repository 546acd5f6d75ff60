//! What is known of this machine: the facts that recipes may fill in and that identify a slot, and those that are reported.
#![expect(clippy::disallowed_methods, reason = "the one place where the working directory is read")]

use std::{collections::BTreeMap, fs};

use pony_contexts::InfoValue;

use crate::{recipe::PlatformFacts, words};

/// This machine, looked at once.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What recipes may know.
    pub facts: PlatformFacts,
    /// What is reported.
    pub reported: BTreeMap<String, InfoValue>,
    /// Bytes of memory that builds may take, as far as that can be told.
    pub memory: Option<u64>,
}

impl Machine {
    /// Looks at it.
    pub fn look() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            facts: of_this_machine(),
            reported: reported(),
            memory: meminfo_bytes(&meminfo, "MemAvailable:"),
        }
    }

    /// What of it builds depend on: its platform and its distribution's release.
    pub fn platform(&self) -> String {
        let release = match self.reported.get("distribution") {
            Some(InfoValue::Text(release)) => release.as_str(),
            _ => "",
        };
        format!("{} {release}", self.facts.arch).trim_end().to_owned()
    }
}

/// Reads them. `arch` is what Python's `distutils.util.get_platform()` says (`linux-x86_64`), so that slots of old
/// clients and ours are the same.
pub fn of_this_machine() -> PlatformFacts {
    let (system, machine) = match nix::sys::utsname::uname() {
        Ok(name) => (
            name.sysname().to_string_lossy().to_lowercase(),
            name.machine().to_string_lossy().replace([' ', '/'], "_"),
        ),
        Err(_) => (std::env::consts::OS.to_owned(), std::env::consts::ARCH.to_owned()),
    };
    let host = nix::unistd::gethostname()
        .ok()
        .and_then(|host| host.into_string().ok())
        .filter(|host| !host.is_empty());
    PlatformFacts {
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        arch: format!("{system}-{machine}"),
        host: host.unwrap_or_else(|| "localhost".to_owned()),
        cwd: std::env::current_dir().unwrap_or_else(|_| "/".into()),
    }
}

/// What is reported of this machine with every result, as far as it can be told: `os`, `kernel`, `distribution`, `cpu`,
/// `cpus`, `memory`.
pub fn reported() -> BTreeMap<String, InfoValue> {
    let mut facts = BTreeMap::new();
    let mut put = |name: &str, text: Option<String>| {
        facts.extend(text.map(|text| (name.to_owned(), InfoValue::from(text))));
    };
    if let Ok(name) = nix::sys::utsname::uname() {
        put("os", Some(name.sysname().to_string_lossy().into_owned()));
        put("kernel", Some(name.release().to_string_lossy().into_owned()));
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    put("distribution", distribution(&read("/etc/os-release")));
    put("cpu", cpu(&read("/proc/cpuinfo")));
    put("cpus", std::thread::available_parallelism().ok().map(|count| count.to_string()));
    put("memory", memory(&read("/proc/meminfo")));
    facts
}

/// `PRETTY_NAME` of `os-release(5)`.
pub fn distribution(os_release: &str) -> Option<String> {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim().trim_matches(['"', '\'']).to_owned())
}

fn cpu(cpuinfo: &str) -> Option<String> {
    let model = |line: &str| {
        let (name, value) = line.split_once(':')?;
        ["model name", "Model", "cpu model"].contains(&name.trim()).then(|| value.trim().to_owned())
    };
    cpuinfo.lines().find_map(model)
}

fn memory(meminfo: &str) -> Option<String> {
    meminfo_bytes(meminfo, "MemTotal:").map(words::bytes)
}

fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_itself_is_read() {
        let release = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=12\n";
        assert_eq!(distribution(release).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(distribution(""), None);
        let info = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nprocessor\t: 1\n";
        assert_eq!(cpu(info).as_deref(), Some("Some CPU @ 2.00GHz"));
        assert_eq!(memory("MemTotal:       16000000 kB\nMemFree: 1 kB\n").as_deref(), Some("16.4 GB"));
        assert_eq!(memory("garbage"), None);
    }
}
