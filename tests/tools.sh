# Finding and installing what the tests need. Sourced from the repository's root by tests/run and .ci/run, which define `say`.

target=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$target"
export PATH="$target/tools/bin:$PATH"

# Cargo must be able to write where it keeps what it downloads; a home folder may be read-only.
cargo_home=${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}
if ! mkdir -p "$cargo_home/registry" 2>/dev/null || [ ! -w "$cargo_home/registry" ]; then
    mkdir -p "$target/cargo-home"
    for config in config.toml config; do
        [ ! -f "$cargo_home/$config" ] || cp "$cargo_home/$config" "$target/cargo-home/"
    done
    export CARGO_HOME="$target/cargo-home"
    say "$cargo_home cannot be written to; cargo downloads into $CARGO_HOME"
fi

# Package managers keep some programs where only root looks for them.
export PATH="$PATH:/usr/sbin:/sbin"

# is_there PROGRAM: whether it can be run. One with a space in it is a command that must succeed.
is_there() {
    case $1 in
    *' '*) $1 >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# need_packages PROGRAM:PACKAGE… installs the Debian packages whose program is not there.
need_packages() {
    local pair missing=() as_root=()
    for pair in "$@"; do
        is_there "${pair%%:*}" || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo -n)
        if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
            say "missing: ${missing[*]}; install them, or run this as root or where sudo asks for no password"
            exit 1
        fi
    fi
    if ! command -v apt-get >/dev/null; then
        say "missing: ${missing[*]}; there is no apt-get here, so install them by hand"
        exit 1
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# need_cargo_tool NAME [OPTION…] installs a program from crates.io unless it is there.
need_cargo_tool() {
    command -v "$1" >/dev/null || {
        say "installing $1 from crates.io into $target/tools (some minutes)"
        # It is run a few times, not shipped: the compiler's work for speed is not worth its time.
        CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
            CARGO_PROFILE_RELEASE_DEBUG=0 cargo install --quiet --locked --root "$target/tools" "$@"
    }
}

# need_python_tools NAME==VERSION… installs programs from PyPI, once.
need_python_tools() {
    local name dir=$target/tools/python
    if [ "$(cat "$dir/installed" 2>/dev/null)" != "$*" ]; then
        say "installing $* from PyPI into $dir"
        rm -rf "$dir"
        # Debian's own: where another comes first on PATH, it may go away with whatever put it there.
        /usr/bin/python3 -m venv "$dir"
        "$dir/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
        mkdir -p "$target/tools/bin"
        for name in "$@"; do
            ln -sf "../python/bin/${name%%==*}" "$target/tools/bin/${name%%==*}"
        done
        echo "$*" >"$dir/installed"
    fi
}
