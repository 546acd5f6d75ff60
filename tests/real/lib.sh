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

# repository NAME BRANCH DIR: a repository at $work/NAME.git-src whose BRANCH holds the tree DIR.
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

# run RECIPE URL TREE: runs the recipe with URL leading to TREE, into a home of its own, then shows what the page says.
run() {
    local recipe=$1 url=$2 tree=$3
    local package
    export PONY_HOME=$work/home
    export GIT_CONFIG_GLOBAL=$work/gitconfig
    git config --file "$GIT_CONFIG_GLOBAL" "url.$tree.insteadOf" "$url"
    git config --file "$GIT_CONFIG_GLOBAL" --replace-all safe.directory '*'
    cargo build --release --quiet --manifest-path "$root/Cargo.toml" --bins --workspace
    "$root/target/release/pony-run" "$recipe" "${@:4}"
    package=$(sed -n 's/^package: *//p' "$recipe")
    page "$package"
}

# page PACKAGE: what pony-serve shows as the latest result.
page() {
    local log=$work/serve.log pid address
    "$root/target/release/pony-serve" --listen 127.0.0.1:0 2>"$log" &
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
