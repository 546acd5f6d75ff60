# What the real builds share. Sourced, not run.
#
# The recipes are run unmodified. Where the repository that a recipe names is out of reach, the project's released sources
# are committed to a local repository, and git's `insteadOf` points the recipe's URL at it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=${PONY_REAL_DIR:-$root/target/real}
mkdir -p "$work"

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# repository NAME BRANCH DIR: a repository whose BRANCH holds the tree DIR.
repository() {
    local name=$1 branch=$2 tree=$3
    (
        cd "$tree"
        rm -rf .git
        git init --quiet --initial-branch="$branch"
        git config user.name pony-build
        git config user.email pony-build@localhost
        git config core.autocrlf false
        git add --all --force
        git commit --quiet --message="$name as released"
    )
}

# from_debian PACKAGE NAME BRANCH: the released sources of a Debian package, as the repository $work/NAME.
from_debian() {
    local package=$1 name=$2 branch=$3
    local tree=$work/$name download=$work/$name-download list release mirror apt
    [ ! -d "$tree/.git" ] || return 0
    say "fetching the sources of $name"
    rm -rf "$download" "$tree" && mkdir -p "$download/lists/partial" "$tree"
    list=$download/sources.list
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(shopt -s nullglob
        cat /dev/null /etc/apt/*.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources |
            sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] *\)\?\([^ ]*\) .*/\2/p' | sed -n '/debian/{/security/!{p;q}}')
    echo "deb-src $mirror $release main" >"$list"
    apt=(apt-get -o "Dir::Etc::SourceList=$list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$download/lists")
    "${apt[@]}" -qq update
    (cd "$download" && "${apt[@]}" -qq source --download-only "$package")
    tar -xf "$download"/*.orig.tar.?z* -C "$tree" --strip-components=1
    repository "$name" "$branch" "$tree"
}

# from_pypi NAME BRANCH: the newest source archive of a project on PyPI, as the repository $work/NAME.
from_pypi() {
    local name=$1 branch=$2
    local tree=$work/$name download=$work/$name-download
    [ ! -d "$tree/.git" ] || return 0
    say "fetching the sources of $name"
    rm -rf "$download" "$tree" && mkdir -p "$download" "$tree"
    # Not `pip download`: it builds a source archive to learn its metadata, with whatever build tools are newest.
    python3 - "$name" "$download" <<'PYTHON'
import json, os, subprocess, sys, urllib.parse, urllib.request
name, folder = sys.argv[1:]
ask = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
index = os.environ.get("PIP_INDEX_URL") or subprocess.run(ask, capture_output=True, text=True).stdout.strip()
page = f"{(index or 'https://pypi.org/simple').rstrip('/')}/{name}/"
request = urllib.request.Request(page, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
files = json.load(urllib.request.urlopen(request))["files"]
sources = [file for file in files if file["filename"].endswith(".tar.gz") and not file.get("yanked")]
newest = max(sources, key=lambda file: file.get("upload-time") or "")
with urllib.request.urlopen(urllib.parse.urljoin(page, newest["url"])) as answer:
    with open(os.path.join(folder, newest["filename"]), "wb") as archive:
        archive.write(answer.read())
PYTHON
    tar -xf "$download/$name"*.tar.gz -C "$tree" --strip-components=1
    repository "$name" "$branch" "$tree"
}

# lead URL TREE: from here on git takes TREE for URL.
lead() {
    export GIT_CONFIG_GLOBAL=$work/gitconfig
    git config --file "$GIT_CONFIG_GLOBAL" "url.$2.insteadOf" "$1"
    git config --file "$GIT_CONFIG_GLOBAL" --replace-all safe.directory '*'
}

# programs: builds them, unless PONY_REAL_BIN says where they are.
programs() {
    bin=${PONY_REAL_BIN:-$root/target/release}
    [ -n "${PONY_REAL_BIN:-}" ] ||
        cargo build --release --quiet --manifest-path "$root/Cargo.toml" --bins --workspace
    export PONY_HOME=$work/home
}

# run RECIPE WORD…: runs the recipe, then shows what the page says.
run() {
    programs
    "$bin/pony-run" "$@"
    page "$(sed -n 's/^package: *//p' "$1")"
}

# page PACKAGE: what pony-serve shows as the latest result.
page() {
    local log=$work/serve.log pid address
    "$bin/pony-serve" --listen 127.0.0.1:0 2>"$log" &
    pid=$!
    for _ in $(seq 200); do
        address=$(sed -n 's/.*listening on \(http[^,]*\),.*/\1/p' "$log")
        [ -n "$address" ] && break
        sleep 0.05
    done
    say "the page says:"
    python3 - "$address" "$1" <<'PYTHON'
import json, sys, urllib.request
base, package = sys.argv[1:]
result = json.load(urllib.request.urlopen(f"{base}p/{package}/latest/?format=json"))
print(json.dumps(result, indent=1)[:1500])
PYTHON
    kill "$pid"
    wait "$pid" || true
}
