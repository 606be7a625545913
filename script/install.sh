#!/usr/bin/env bash
# Set up .venv in the repository root, from any directory and whatever environment is active:
#
#     bash script/install.sh
#
# install.ps1 is the same program for Windows: the same steps, in the same order, with the same
# messages. Running it again is quick and repairs what an interrupted run left behind.

if [ -z "${BASH_VERSION:-}" ]; then
    echo "error: this needs bash. Run: bash script/install.sh" >&2
    exit 1
fi
set -euo pipefail

# A range that uv understands. The packages in requirements.txt exist for these.
pythons=">=3.10,<3.14"
# Its content is "installing" until all is checked, then the place for which .venv was made.
marker=.venv/.lecture-install

say() { printf '%s\n' "$*"; }

err() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

check_platform() {
    case "$(uname -s) $(uname -m)" in
        "Darwin x86_64")
            if [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then
                err "this shell is translated for Intel by Rosetta." \
                    "Run: arch -arm64 bash script/install.sh"
            fi
            err "this is an Intel Mac, for which there is no PyTorch after 2.2." \
                "Use another computer, or run single scripts in a hosted notebook."
            ;;
        Darwin*)
            if [ "$(sw_vers -productVersion | cut -d. -f1)" -lt 14 ]; then
                err "this is macOS $(sw_vers -productVersion), and PyTorch 2.13 needs macOS 14." \
                    "Update macOS, or run single scripts in a hosted notebook."
            fi
            ;;
        MINGW* | MSYS* | CYGWIN*)
            err "this is Windows. Run in PowerShell:" \
                "powershell -ExecutionPolicy Bypass -File .\\script\\install.ps1"
            ;;
    esac
}

# An active environment must receive nothing, so neither uv nor pip gets to see it.
leave_active_environment() {
    unset VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV
    unset UV_SYSTEM_PYTHON PYTHONHOME PYTHONPATH
}

# pip's settings name a wheel folder or a mirror for a reason: uv gets them where it has none.
hand_pip_settings_to_uv() {
    if [ -n "${PIP_FIND_LINKS:-}" ] && [ -z "${UV_FIND_LINKS:-}" ]; then
        # pip separates the places by spaces, uv by commas
        UV_FIND_LINKS=$(printf '%s' "$PIP_FIND_LINKS" | tr -s '[:space:]' ',')
        export UV_FIND_LINKS
    fi
    if [ -n "${PIP_INDEX_URL:-}" ] && [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        export UV_DEFAULT_INDEX="$PIP_INDEX_URL"
    fi
    if [ -n "${PIP_EXTRA_INDEX_URL:-}" ] && [ -z "${UV_INDEX:-}${UV_EXTRA_INDEX_URL:-}" ]; then
        export UV_INDEX="$PIP_EXTRA_INDEX_URL"
        # as pip does: the best version from any index, not the first index that has the name
        export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
    fi
}

# Whether $1 starts, and is recent enough to choose a torch build.
is_usable_uv() {
    local help
    [ -x "$1" ] && help=$("$1" pip install --help 2>/dev/null) || return 1
    case "$help" in
        *--torch-backend*) return 0 ;;
        *) return 1 ;;
    esac
}

# Set uv to a usable uv: on PATH, where Astral's installer puts it, or where an earlier run of
# this script kept it. One in .venv/bin does not count: rebuilding .venv would remove it.
find_uv() {
    local candidate
    for candidate in \
        "$(type -P uv || true)" \
        "${UV_INSTALL_DIR:-/nonexistent}/uv" \
        "${XDG_BIN_HOME:-/nonexistent}/uv" \
        "${XDG_DATA_HOME:-/nonexistent}/../bin/uv" \
        "${HOME:-/nonexistent}/.local/bin/uv" \
        "$root/.venv/uv/bin/uv"; do
        case "$candidate" in "$root/.venv/bin/"*) continue ;; esac
        if is_usable_uv "$candidate"; then
            uv=$candidate
            return 0
        fi
    done
    return 1
}

# Fetch Astral's installer whole, then run it.
get_uv_from_astral() {
    local url=https://astral.sh/uv/install.sh installer
    if type -P curl >/dev/null; then
        installer=$(curl -LsSf --connect-timeout 10 "$url" 2>/dev/null) || return 1
    elif type -P wget >/dev/null; then
        installer=$(wget -qO- -T 10 -t 2 "$url" 2>/dev/null) || return 1
    else
        return 1
    fi
    printf '%s\n' "$installer" | sh && find_uv
}

# Put uv into .venv/uv with any Python that is there, leaving that Python as it is.
get_uv_from_index() {
    local python pip
    [ -d .venv ] || rm -f .venv # a file, or a link to nowhere
    mkdir -p .venv
    for python in python3 python python3.13 python3.12 python3.11 python3.10; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || continue
        pip=$python
        if ! "$python" -m pip --version >/dev/null 2>&1; then
            "$python" -m venv .venv/pip >/dev/null 2>&1 || true
            pip=.venv/pip/bin/python
        fi
        # pip's own settings may forbid a target or an install outside an environment
        PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_PREFIX="" PYTHONDONTWRITEBYTECODE=1 \
            "$pip" -m pip install --quiet --disable-pip-version-check --retries 2 \
            --upgrade --only-binary :all: --target .venv/uv uv 2>/dev/null || true
        rm -rf .venv/pip
        if find_uv; then
            return 0
        fi
    done
    return 1
}

get_uv() {
    if find_uv; then
        say "uv: found, $uv"
        return
    fi
    say "uv: not found, running Astral's installer"
    if get_uv_from_astral; then
        say "uv: installed, $uv"
        return
    fi
    say "uv: Astral's installer cannot be had here, getting uv from the Python package index"
    if get_uv_from_index; then
        say "uv: installed, $uv"
        return
    fi
    err "there is no uv, and neither Astral's installer (with curl or wget) nor pip could get it." \
        "Install uv (https://docs.astral.sh/uv) or Python 3.10 or later with pip, then run again."
}

# Print why .venv cannot be kept; print nothing if it can.
venv_problem() {
    local made_for version
    made_for=$(cat "$marker" 2>/dev/null || true)
    if [ ! -f .venv/pyvenv.cfg ]; then
        say "it is not a virtual environment"
    elif [ "$made_for" = installing ]; then
        say "an earlier install did not finish"
    elif [ ! -x .venv/bin/python ]; then
        say "its Python is gone"
    elif ! version=$(venv_python_version); then
        say "its Python does not start"
    elif [ -n "$made_for" ] && ! [ "$made_for" -ef .venv ]; then
        say "it was moved or copied from $made_for"
    elif is_too_old "$version"; then
        say "its Python is $version, too old"
    fi
}

is_too_old() {
    case "$1" in
        2.* | 3.?.* | 3.?) return 0 ;;
        *) return 1 ;;
    esac
}

venv_python_version() {
    .venv/bin/python -I -c 'import platform; print(platform.python_version())' 2>/dev/null
}

# Leave a healthy .venv in place, marked as being worked on.
make_venv() {
    local problem=""
    if [ -e .venv ] || [ -L .venv ]; then
        problem=$(venv_problem)
        if [ -z "$problem" ]; then
            say "environment: .venv is kept, Python $(venv_python_version)"
            echo installing >"$marker"
            return
        fi
        # a .venv that holds nothing but the uv just fetched is a new one
        if [ "$(ls -A .venv 2>/dev/null)" != uv ]; then
            say "environment: .venv is rebuilt, since $problem"
        fi
        if [ -d .venv ] && ! [ -L .venv ]; then
            find .venv -mindepth 1 -maxdepth 1 ! -name uv -exec rm -rf {} +
        else
            rm -f .venv
        fi || err "removing the old .venv failed: see above." \
            "Close the programs that use it, then run again."
    fi
    mkdir -p .venv
    echo installing >"$marker"
    "$uv" venv --quiet --no-project --allow-existing --python "${UV_PYTHON:-$pythons}" .venv ||
        err "making .venv failed: no Python ${UV_PYTHON:-$pythons} was found or could be fetched." \
            "Install one, then run again."
    if is_too_old "$(venv_python_version)"; then
        err "this is Python $(venv_python_version), too old. Set UV_PYTHON to 3.10, 3.11, 3.12" \
            "or 3.13, or unset it, then run again."
    fi
    if [ -d .venv/uv ]; then
        ln -sf ../uv/bin/uv ../uv/bin/uvx .venv/bin/ # on PATH once .venv is active
    fi
    say "environment: .venv is made, Python $(venv_python_version)"
}

# uv, installing into .venv and nowhere else. The working directory is the repository root.
uv_pip_install() {
    "$uv" pip install --python "$root/.venv/bin/python" "$@"
}

# Whether .venv satisfies requirements.txt, found out without the network.
has_packages() {
    local output
    output=$(uv_pip_install --dry-run --offline --requirement requirements.txt 2>&1) || return 1
    case "$output" in
        *"no changes"*) return 0 ;;
        *) return 1 ;;
    esac
}

# Let uv choose the torch build for this machine (CPU, or the CUDA version of its driver), unless
# the user has chosen, or the index that holds the builds is out of reach.
choose_torch_build() {
    local output
    if [ -n "${UV_TORCH_BACKEND:-}" ]; then
        say "torch build: $UV_TORCH_BACKEND, from UV_TORCH_BACKEND"
        return
    fi
    unset UV_TORCH_BACKEND # set but empty is an error to uv
    if output=$(UV_HTTP_RETRIES="${UV_HTTP_RETRIES:-1}" uv_pip_install --dry-run --no-deps \
        --torch-backend auto "$(grep '^torch' requirements.txt)" 2>&1); then
        export UV_TORCH_BACKEND=auto
        say "torch build: chosen by uv for this machine"
        return
    fi
    case "$output" in
        *pytorch.org*)
            say "torch build: the PyTorch index cannot be reached, taking the default index's"
            ;;
        *)
            printf '%s\n' "$output" >&2
            err "choosing the torch build failed. Check the network or proxy (HTTPS_PROXY)," \
                "then run again."
            ;;
    esac
}

install_packages() {
    if has_packages; then
        say "packages: all there"
        return
    fi
    choose_torch_build
    say "packages: installing requirements.txt"
    uv_pip_install --requirement requirements.txt ||
        err "installing the packages failed. Check the network or proxy (HTTPS_PROXY)" \
            "and the free disk space, then run again."
}

check_packages() {
    .venv/bin/python -I - <<'PYTHON' ||
import platform

import jupyter
import matplotlib.pyplot
import numpy
import pytest
import torch

devices = ["cpu"]
if torch.cuda.is_available():
    devices.append(f"cuda ({torch.cuda.get_device_name()})")
if torch.backends.mps.is_available():
    devices.append("mps")
print(f"check: Python {platform.python_version()}, torch {torch.__version__},", end=" ")
print("devices:", ", ".join(devices))
PYTHON
        err "the packages do not import in .venv. Run again to rebuild it."
    printf '%s\n' "$root/.venv" >"$marker"
}

next_steps() {
    say "Done. Next:"
    [ "$PWD" = "$started_in" ] || say "    cd \"$root\""
    say "    source .venv/bin/activate"
    say "    python script/gd_1d_torch.py"
    say "    pytest"
}

# However the run ends: without a Python in it, .venv is not worth keeping if we began it.
clean_up() {
    if [ "$had_venv" = no ] && [ ! -f .venv/pyvenv.cfg ]; then
        rm -rf .venv
    fi
}

main() {
    uv="" had_venv=no
    unset CDPATH
    started_in=$(pwd -P)
    root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
    cd -- "$root"
    if [ -e .venv ] || [ -L .venv ]; then had_venv=yes; fi
    trap clean_up EXIT

    check_platform
    leave_active_environment
    hand_pip_settings_to_uv
    get_uv
    make_venv
    install_packages
    check_packages
    next_steps
}

main "$@"
