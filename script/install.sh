#!/usr/bin/env bash
# Set up .venv in the repository root, from any directory and whatever environment is active:
#
#     bash script/install.sh
#
# This is a door: it finds uv, or gets it, and hands over to install.py, which does the rest.
# install.ps1 is the door for PowerShell. Where this file was read in part, nothing happens: main is
# called in the last line.

# Before all else: where another shell reads this file, `exit` may close the user's terminal.
if [ -z "${BASH_VERSION:-}" ] || [ "${BASH_SOURCE:-$0}" != "$0" ]; then
    echo "error: this needs a bash of its own. Run: bash script/install.sh" >&2
    return 1 2>/dev/null || exit 1
fi
set -euo pipefail

pythons=">=3.11,<3.16" # as in install.py

err() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The repository is where this file lies, or where a link to it leads.
find_root() {
    local file=${BASH_SOURCE[0]:-} target
    while [ -L "$file" ]; do
        target=$(readlink "$file")
        case $target in
            /*) file=$target ;;
            *) file=$(dirname -- "$file")/$target ;;
        esac
    done
    root=$(cd -- "$(dirname -- "$file")/.." && pwd -P)
    [ -f "$root/script/install.py" ] && [ -n "$file" ] ||
        err "this is not run from script/ of the repository. There, run: bash script/install.sh"
}

# In Git Bash, the door for PowerShell does it. install.py shows the next steps for this shell.
hand_over_to_powershell() {
    type -P powershell.exe >/dev/null ||
        err "there is no powershell.exe on PATH. Run script/install.ps1 in PowerShell."
    LECTURE_SHELL=bash exec powershell.exe -NoProfile -ExecutionPolicy Bypass \
        -File "$(cygpath -m "$root/script/install.ps1")"
}

# Set uv to one that starts and can choose a torch build: on PATH, where Astral's installer puts it,
# or where an earlier run kept it. One in .venv/bin does not count: a rebuild would remove it.
find_uv() {
    local candidates
    candidates=$(type -aP uv || true)
    candidates+=$'\n'${UV_INSTALL_DIR:-}/uv$'\n'${HOME:-}/.local/bin/uv$'\n'$root/.venv/uv/bin/uv
    while read -r uv; do
        case $uv in "$root/.venv/bin/"*) continue ;; esac
        case $("$uv" pip install --help 2>/dev/null </dev/null) in *--torch-backend*) return ;; esac
    done <<<"$candidates"
    return 1
}

# Fetch Astral's installer whole, then run it.
get_uv_from_astral() {
    local url=https://astral.sh/uv/install.sh installer
    installer=$(curl -LsSf --connect-timeout 10 "$url" 2>/dev/null) ||
        installer=$(wget -qO- -T 10 -t 2 "$url" 2>/dev/null) || return
    printf '%s\n' "$installer" | UV_INSTALL_DIR="${UV_INSTALL_DIR:-${HOME:-}/.local/bin}" sh && find_uv
}

# Let install.py put uv into .venv/uv, with any Python that has pip.
get_uv_from_index() {
    local python
    for python in python3 python; do
        "$python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 8))' &>/dev/null || continue
        "$python" -I "$root/script/install.py" get-uv || exit
        find_uv && return
        err "the uv from the index does not start here, or cannot choose a torch build. Install" \
            "uv (https://docs.astral.sh/uv), then run again."
    done
    err "there is no uv, and neither Astral's installer (with curl or wget) nor pip could get it." \
        "Install uv (https://docs.astral.sh/uv) or Python 3.11 or later with pip, then run again."
}

main() {
    local uv root status=0
    if [ $# -gt 0 ]; then
        echo "usage: bash script/install.sh (it takes no options, and sets up .venv)"
        case "$*" in -h | --help) exit ;; *) exit 2 ;; esac
    fi
    unset CDPATH
    find_root
    case $(uname -s) in MINGW* | MSYS* | CYGWIN*) hand_over_to_powershell ;; esac

    if find_uv; then
        echo "uv: found, $uv"
    else
        echo "uv: not found, running Astral's installer"
        if ! get_uv_from_astral; then
            echo "uv: Astral's installer cannot be had here, getting uv from the Python package index"
            get_uv_from_index
        fi
        echo "uv: installed, $uv"
    fi

    # What keeps out an active environment (--isolated), another project and its settings (--project
    # and --no-project), the variables UV_WORKING_DIR (--directory) and UV_ENV_FILE (--no-env-file),
    # a cache that cannot be written (--no-cache), and PYTHONPATH (-I).
    "$uv" run --quiet --no-cache --no-project --isolated --project / --directory . --no-env-file \
        --python "${UV_PYTHON:-$pythons}" python -I "$root/script/install.py" bash || status=$?
    if [ $status = 2 ]; then # is not of install.py, but of uv
        err "uv could not start a Python ${UV_PYTHON:-$pythons}. Install one, or check the network" \
            "or proxy (HTTPS_PROXY), then run again."
    fi
    exit $status
}

main "$@"
