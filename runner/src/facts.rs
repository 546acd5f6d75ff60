//! What is known of this machine: the facts that recipes may fill in and that identify a slot.

use crate::recipe::Facts;

/// Reads them. `arch` is what Python's `distutils.util.get_platform()` says (`linux-x86_64`), so that slots of old
/// clients and ours are the same.
pub fn of_this_machine() -> Facts {
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
    Facts {
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        arch: format!("{system}-{machine}"),
        host: host.unwrap_or_else(|| "localhost".to_owned()),
        cwd: std::env::current_dir().unwrap_or_else(|_| "/".into()),
    }
}
