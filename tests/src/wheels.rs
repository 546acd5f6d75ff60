//! Packages for virtual environments, made on the fly: no index is asked.

use std::{fs, os::unix::fs::symlink};

use crate::World;

/// Writes wheels into a folder: `tiny` and `more` in two versions each, and a `pytest` that runs the functions `test_*` of
/// `test_*.py` below the current folder.
const WHEELS: &str = r#"
import sys, zipfile
PYTEST = '''
import glob, importlib.util, sys
print("pytest stands in")
passed = 0
for path in sorted(glob.glob("**/test_*.py", recursive=True)):
    spec = importlib.util.spec_from_file_location("tests", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, test in vars(module).items():
        if name.startswith("test_"):
            test()
            passed += 1
print(passed, "passed")
sys.exit(0 if passed else 5)
'''
def wheel(name, version, files):
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(f"{sys.argv[1]}/{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
for name in "tiny", "more":
    for version in "1.0", "2.0":
        wheel(name, version, {f"{name}.py": f"version = {version!r}\n"})
wheel("pytest", "9.0", {"pytest/__init__.py": "", "pytest/__main__.py": PYTEST})
"#;

/// A build backend that needs no other: one module, as a wheel. `NAME` and `REQUIRES` are to be replaced.
const BACKEND: &str = r#"
import os, zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "NAME-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.write("NAME.py")
        wheel.writestr("NAME-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: NAME\nVersion: 1.0\nREQUIRES")
        wheel.writestr("NAME-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("NAME-1.0.dist-info/RECORD", "")
    return name
"#;

const PROJECT: &str = "[project]\nname = 'NAME'\nversion = '1.0'\ndynamic = ['dependencies']\n[build-system]\n\
                       requires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n";

impl World {
    /// Packages (`tiny` and `more` 1.0 and 2.0, `pytest`), and uv and pip that know of no others. `python3` is the
    /// interpreter itself.
    pub fn wheels(&mut self) {
        let python = self.interpreter();
        let (wheels, config) = (self.path("wheels"), self.path("home/.config/uv"));
        for dir in [&wheels, &config, &self.path("home/.config/pip"), &self.path("bin")] {
            fs::create_dir_all(dir).expect("folders");
        }
        let shown = wheels.display().to_string();
        let _ = self.call(&python, &["-c", WHEELS, &shown]).end().code(0);
        let uv = format!("no-index = true\nfind-links = [{shown:?}]\n");
        fs::write(config.join("uv.toml"), uv).expect("a new file");
        let pip = format!("[global]\nno-index = true\nfind-links = {shown}\n");
        fs::write(self.path("home/.config/pip/pip.conf"), pip).expect("a new file");
        symlink(&python, self.path("bin/python3")).expect("a new link");
        self.put_first_on_path("bin");
        // Unpacked once, not once a test: the pip that each environment gets.
        let unpacked = crate::program("pony-run").with_file_name("pony-tests-unpacked");
        self.set("UV_CACHE_DIR", unpacked.join("uv"));
        self.set("VIRTUALENV_OVERRIDE_APP_DATA", unpacked.join("virtualenv"));
    }

    /// Files of a library `demo` with a test, below a folder of this world.
    pub fn library(&self, folder: &str) {
        self.project(folder, "demo", "", "def double(x):\n    return 2 * x\n");
        let test = "import demo\ndef test_double():\n    assert demo.double(2) == 4\n";
        fs::create_dir_all(self.path(folder).join("tests")).expect("folders");
        fs::write(self.path(folder).join("tests/test_demo.py"), test).expect("a new file");
    }

    /// Files of an application `app` that needs the library `demo`.
    pub fn application(&self, folder: &str) {
        self.project(
            folder,
            "app",
            "Requires-Dist: demo\\n",
            "import demo\nprint('twice 21 is', demo.double(21))\n",
        );
    }

    fn project(&self, folder: &str, name: &str, requires: &str, module: &str) {
        let dir = self.path(folder);
        fs::create_dir_all(&dir).expect("folders");
        for (file, text) in [
            ("pyproject.toml".to_owned(), PROJECT.replace("NAME", name)),
            ("backend.py".to_owned(), BACKEND.replace("NAME", name).replace("REQUIRES", requires)),
            (format!("{name}.py"), module.to_owned()),
        ] {
            fs::write(dir.join(file), text).expect("a new file");
        }
    }
}
