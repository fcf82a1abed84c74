# Shared by the scripts: changes to the repository's root and makes `.venv` hold what pyproject.toml asks for.
# Usage: source "$(dirname "$0")/_setup.sh"; setup_venv [dev]
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidate
    for candidate in "${KOPS_PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "kops needs Python 3.11 or newer, and none was found." >&2
    echo "Install it (for instance: apt install python3.11 python3.11-venv), or name one with KOPS_PYTHON=/path/to/python3." >&2
    return 1
}

# Installs once for each pyproject.toml; later calls only compare a checksum, and compile what was edited.
setup_venv() {
    local extra="${1:-}" stamp wanted
    stamp=".venv/.kops-installed${extra:+-$extra}"
    wanted="$(cksum <pyproject.toml)"
    if ! grep -qxF "$wanted" "$stamp" .venv/.kops-installed-dev 2>/dev/null; then
        install_venv "$extra"
        echo "$wanted" >"$stamp"
    fi
    # pip compiles what it copies, not what it links to (-e); where PYTHONDONTWRITEBYTECODE is set, each start of each
    # broker would compile a megabyte of source: 0.2 s.
    .venv/bin/python -m compileall -qq broker kops tui || true
}

install_venv() {
    local extra="$1" python
    if [ ! -x .venv/bin/python ]; then
        python="$(find_python)"
        echo "Setting up .venv with $("$python" --version) (once)" >&2
        if ! "$python" -m venv .venv; then
            rm -rf .venv
            echo "$python cannot make virtual environments. Install its venv module (Debian: apt install python3-venv)." >&2
            return 1
        fi
    fi
    echo "Installing what pyproject.toml asks for (once)" >&2
    if ! pip_install -e ".${extra:+[$extra]}"; then
        echo "pip could not install the libraries. It needs the network, or an index named by PIP_INDEX_URL." >&2
        return 1
    fi
}

# Says the end of pip's log when it fails.
pip_install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" >.venv/pip.log 2>&1 && return
    tail -n 20 .venv/pip.log >&2
    return 1
}

# Builds the wheel that pip would build for a user and unpacks it, once for each state of the sources. Interpreted where
# there is no C compiler; fails where there is one and it fails.
compile() {
    local stamp=.venv/compiled/.of wanted
    wanted="${KOPS_COMPILE:-} $(find broker kops tui setup.py pyproject.toml -type f ! -name '*.pyc' -print0 |
        sort -z | xargs -0 cksum | cksum)"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "Compiling the broker (a minute)" >&2
    rm -rf .venv/compiled build
    if ! KOPS_COMPILE="${KOPS_COMPILE:-1}" pip_install --no-deps --target .venv/compiled .; then
        echo "kops could not be compiled; KOPS_COMPILE=0 installs it as it is." >&2
        return 1
    fi
    rm -rf build
    echo "$wanted" >"$stamp"
}
