//! A real terminal of a fixed size, by tmux: what a person would see.

use std::{
    ffi::OsString,
    fs,
    io::Read,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
};

use crate::{PATIENCE, World, process::Call};

/// A terminal in which a command runs. When the command has ended, `exit N` is printed below what it left.
#[derive(Debug)]
pub struct Terminal<'w> {
    world: &'w World,
    socket: OsString,
    changes: Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl World {
    /// Runs `call` in a terminal of `columns` × `rows`.
    pub fn terminal(&self, columns: u16, rows: u16, call: &Call<'_>) -> Terminal<'_> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = self.path(&format!("tmux-{number}")).into_os_string();
        let [gate, stream] = ["gate", "stream"].map(|name| self.fifo(&format!("terminal-{number}-{name}")));
        // The gate opens when everything that the terminal shows is being listened to. Ctrl-C is for the command alone.
        let script = "trap : INT; read go <\"$0\"; \"$@\"; echo \"exit $?\"; exec cat";
        let mut tmux = self
            .call("tmux", &["-S"])
            .arg(&socket)
            .arg("-f")
            .arg("/dev/null")
            .arg("-u")
            .arg("new-session")
            .arg("-d")
            .arg("-x")
            .arg(columns.to_string())
            .arg("-y")
            .arg(rows.to_string())
            .arg("sh")
            .arg("-c")
            .arg(script)
            .arg(&gate);
        for word in call.words() {
            tmux = tmux.arg(word);
        }
        for (name, value) in call.environment() {
            tmux = tmux.env(&name.to_string_lossy(), value);
        }
        tmux.env("LC_ALL", "C.UTF-8").end().code(0);
        let (sender, changes) = channel();
        let path = stream.clone();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let kept = written.clone();
        thread::spawn(move || {
            let mut stream = fs::File::open(path).expect("the terminal's stream");
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                kept.lock().expect("nobody has failed").extend_from_slice(&buffer[..count]);
                if sender.send(()).is_err() {
                    break;
                }
            }
        });
        let terminal = Terminal { world: self, socket, changes, written };
        terminal.tmux(&["pipe-pane", "-O", &format!("cat >'{}'", stream.display())]);
        self.release(&gate);
        terminal
    }
}

impl Terminal<'_> {
    fn tmux(&self, arguments: &[&str]) -> String {
        let mut call = self.world.call("tmux", &["-S"]).arg(&self.socket).arg("-u");
        for argument in arguments {
            call = call.arg(argument);
        }
        call.env("LC_ALL", "C.UTF-8").end().code(0).out()
    }

    /// The screen's lines without the blanks at their ends and the empty ones at the bottom.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).trim_end().to_owned()
    }

    /// The same with its colours.
    pub fn coloured(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"]).trim_end().to_owned()
    }

    /// How often the bell has rung.
    #[expect(clippy::naive_bytecount, reason = "some kilobytes, in a test")]
    pub fn bells(&self) -> usize {
        self.written.lock().expect("nobody has failed").iter().filter(|byte| **byte == 7).count()
    }

    /// The screen and all that has scrolled out of it.
    pub fn history(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-S", "-"]).trim_end().to_owned()
    }

    /// Waits until the screen is as it should be, and returns it.
    #[expect(clippy::disallowed_methods, reason = "no wait is without an end")]
    pub fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let began = std::time::Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            assert!(
                self.changes.recv_timeout(left).is_ok(),
                "waited for {what}; the screen is\n{screen}\n{}",
                self.world.listing()
            );
            while self.changes.try_recv().is_ok() {}
        }
    }

    /// Waits until the screen has this text.
    pub fn until_shown(&self, text: &str) -> String {
        self.until(&format!("`{text}`"), |screen| screen.contains(text))
    }

    /// Waits until the command has ended; the screen then.
    pub fn end(&self, code: i32) -> String {
        let screen = self.until("the end", |screen| screen.lines().any(|line| line.starts_with("exit ")));
        assert!(
            screen.lines().any(|line| line == format!("exit {code}")),
            "exit {code} is expected:\n{screen}"
        );
        screen
    }

    /// Presses a key, as tmux names it: `C-c`.
    pub fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Makes the window another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let call = self.world.call("tmux", &["-S"]).arg(&self.socket).arg("kill-server");
        let _ = call.end();
    }
}
