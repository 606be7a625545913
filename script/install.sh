#!/usr/bin/env bash
# Set up .venv in the repository root, from any directory and whatever environment is active:
#
#     bash script/install.sh
#
# install.ps1 is the same program for Windows: the same steps, in the same order, with the same
# messages. Running it again is quick and repairs what an interrupted run left behind.

# Before all else: where another shell reads this file, `exit` may close the user's terminal.
if [ -z "${BASH_VERSION:-}" ] || [ "${BASH_SOURCE:-$0}" != "$0" ]; then
    echo "error: this needs a bash of its own. Run: bash script/install.sh" >&2
    return 1 2>/dev/null || exit 1
fi
set -euo pipefail

# A range that uv understands. The packages in requirements.txt exist for these.
pythons=">=3.11,<3.16"
elsewhere="Use another computer, or run single scripts in a hosted notebook."

say() { printf '%s\n' "$*"; }
err() { say "error: $*" >&2 && exit 1; }

# The repository is where this file lies, or where a link to it leads.
find_root() {
    local file=${BASH_SOURCE[0]:-} target
    while [ -L "$file" ]; do
        target=$(readlink "$file")
        [[ $target == /* ]] || target=$(dirname -- "$file")/$target
        file=$target
    done
    root=$(cd -- "$(dirname -- "$file")/.." && pwd -P)
    [ -n "$file" ] && [ -f "$root/requirements.txt" ] ||
        err "this is not run from script/ of the repository. There, run: bash script/install.sh"
    venv=$root/.venv lock=$root/.venv.lock
    # Its content is "installing" until all is checked, then the place for which .venv was made.
    marker=$venv/.lecture-install
    packages=(--requirement "$root/requirements.txt")
}

check_platform() {
    case "$(uname -s) $(uname -m)" in
        MINGW* | MSYS* | CYGWIN*) hand_over_to_powershell ;;
        "Darwin x86_64")
            [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" != 1 ] ||
                err "this shell is translated by Rosetta. Run: arch -arm64 bash script/install.sh"
            err "this is an Intel Mac, for which there is no PyTorch after 2.2. $elsewhere" ;;
        Darwin*)
            version=$(sw_vers -productVersion)
            [ "${version%%.*}" -ge 14 ] ||
                err "this is macOS $version. PyTorch needs macOS 14: update it. $elsewhere" ;;
    esac
}

# In Git Bash: install.ps1 does the work, and what comes next is said here, for this shell.
hand_over_to_powershell() {
    type -P powershell.exe >/dev/null ||
        err "there is no powershell.exe on PATH. Run script/install.ps1 in PowerShell."
    LECTURE_NEXT_STEPS=elsewhere powershell.exe -NoProfile -ExecutionPolicy Bypass \
        -File "$(cygpath -m "$root/script/install.ps1")" || exit
    next_steps .venv/Scripts && exit
}

# The host, number and start of a process: a number alone comes again, in a container soon.
process_name() {
    local stat start
    if stat=$(cat "/proc/$1/stat" 2>/dev/null); then
        start=$(cut -d ' ' -f 20 <<<"${stat##*) }")
        [[ ${stat##*) } != Z* ]] || return 1 # ended, and nobody asked
    else
        start=$(LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null) || return 1
    fi
    say "$(uname -n) $1 $start"
}

# Whether the process that a lock names is at work. Another host's processes cannot be seen, but
# no install takes an hour.
is_held() {
    local holder process
    holder=$(readlink "$1") || return 1
    process=${holder#* }
    [ "${holder%% *}" = "$(uname -n)" ] || { [ -z "$(find "$1" -mmin +60)" ] && return; }
    [ "$(process_name "${process%% *}")" = "$holder" ]
}

refuse() {
    err "another run is at work here: $(readlink "$1" || true) (host, process, start). Wait until" \
        "it has ended, then run again. Where its host is gone, remove $lock first."
}

# A link is made with its content in one step. It lies beside .venv, which may be emptied.
take_lock() {
    local me stale
    me=$(process_name $$)
    if ! ln -s "$me" "$lock" 2>/dev/null; then
        stale=$(readlink "$lock") || err "no link can be made in $root: its file system knows" \
            "none. Clone the repository into a folder on another disk, then run there."
        is_held "$lock" && refuse "$lock"
        mv "$lock" "$lock.$$" 2>/dev/null || refuse "$lock"
        [ "$(readlink "$lock.$$")" = "$stale" ] || mv "$lock.$$" "$lock" # a third run was faster
        rm -f "$lock.$$"
        ln -s "$me" "$lock" 2>/dev/null || refuse "$lock"
    fi
    if is_held "$lock.uv"; then rm -f "$lock" && refuse "$lock.uv"; fi
}

# Say whose it is where something cannot be written, as after one run under sudo.
check_writable() {
    local place owner
    for place in "$@"; do
        if ! [ -e "$place" ] || [ -w "$place" ]; then continue; fi
        owner=$(ls -ld "$place" | tr -s ' ' | cut -d ' ' -f 3)
        [ "$owner" != "$(id -un)" ] ||
            err "$place cannot be written. Change that, or clone elsewhere, then run again."
        err "$place belongs to $owner and cannot be written." \
            "Run: sudo chown -R $(id -un) $(printf %q "$place"), then run again."
    done
}

# The same for all that uv may write: too much to look at where nothing has failed.
check_owners() {
    local foreign
    foreign=$(find "$venv/" "$cache" ! -user "$(id -u)" 2>/dev/null | head -n 1) || true
    check_writable "${foreign:-$root}"
}

# An active environment must receive nothing, so neither uv nor pip gets to see it. Nor do they
# see another project that is named; a parent folder's is shut off by run_uv.
leave_active_environment() {
    python_path=${PYTHONPATH:-} python_home=${PYTHONHOME:-}
    unset VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV UV_SYSTEM_PYTHON PYTHONHOME PYTHONPATH
    unset UV_PROJECT UV_WORKING_DIR UV_WORKING_DIRECTORY
    [ -n "${UV_TORCH_BACKEND:-}" ] || unset UV_TORCH_BACKEND # set but empty is an error to uv
}

# pip's variable, or what its files say: a later file counts more, [install] more than [global].
pip_setting() {
    local file files=(/dev/null) home=${HOME:-/nonexistent} mac="Library/Application Support"
    if [[ -n $2 || ${PIP_CONFIG_FILE:-} == /dev/null ]]; then say "$2" && return; fi
    for file in "${XDG_CONFIG_DIRS:-/etc/xdg}/pip/pip.conf" /etc/pip.conf "/$mac/pip/pip.conf" \
        "$home/.pip/pip.conf" "${XDG_CONFIG_HOME:-$home/.config}/pip/pip.conf" \
        "$home/$mac/pip/pip.conf" "${PIP_CONFIG_FILE:-}"; do
        if [ -f "$file" ] && [ -r "$file" ]; then files+=("$file"); fi
    done
    awk -v wanted="$1" '
        FNR == 1 { section = name = "" }
        { sub(/\r$/, "") }
        /^[ \t]*([#;]|$)/ { next }
        /^\[/ { section = substr($0, 2, index($0, "]") - 2); name = ""; next }
        /^[^ \t]/ {
            at = match($0, /[=:]/); name = tolower(substr($0, 1, at - 1)); $0 = substr($0, at + 1)
            gsub(/[ \t]/, "", name); gsub(/_/, "-", name)
            if (name == wanted) said[section] = ""
        }
        name == wanted { $1 = $1; said[section] = said[section] (said[section] ? " " : "") $0 }
        END { print ("install" in said) ? said["install"] : said["global"] }' "${files[@]}"
}

# pip's settings name a wheel folder or a mirror for a reason: uv gets them where it has none.
hand_pip_settings_to_uv() {
    local links index more
    links=$(pip_setting find-links "${PIP_FIND_LINKS:-}")
    index=$(pip_setting index-url "${PIP_INDEX_URL:-}")
    more=$(pip_setting extra-index-url "${PIP_EXTRA_INDEX_URL:-}")
    # pip separates the places by spaces, uv by commas
    links=$(printf %s "$links" | tr -s '[:space:]' ,)
    [ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"
    if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        export UV_DEFAULT_INDEX="$index"
    fi
    if [ -n "$more" ] && [ -z "${UV_INDEX:-}${UV_EXTRA_INDEX_URL:-}" ]; then
        # as pip does: the best version from any index, not the first index that has the name
        export UV_INDEX="$more" UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
    fi
}

# A link to another disk is kept, and .venv made where it leads, unless others have something there.
check_link() {
    local target
    target=$(readlink "$venv") || return 0
    if ! [ -e "$venv" ]; then
        (cd -- "$root" && mkdir -p "$target") ||
            err ".venv is a link to $target, which cannot be made: mount its disk, then run again."
    elif [ -f "$marker" ] || [ -z "$(venv_problem)" ]; then return
    elif ! [ -d "$venv" ] || [ -n "$(ls -A "$venv/")" ]; then
        err ".venv is a link to $target, and what lies there is not ours: remove one or the other."
    fi
    echo installing >"$marker"
}

# Whether $1 starts, and is recent enough to choose a torch build.
is_usable_uv() {
    [ -x "$1" ] && [[ "$("$1" pip install --help 2>/dev/null)" == *--torch-backend* ]]
}

# Set uv to a usable uv: on PATH, where Astral's installer puts it, or where an earlier run of
# this script kept it. One in .venv/bin does not count: rebuilding .venv would remove it.
find_uv() {
    local candidate
    for candidate in \
        "$(type -P uv || true)" "${UV_INSTALL_DIR:-/nonexistent}/uv" \
        "${XDG_BIN_HOME:-/nonexistent}/uv" "${XDG_DATA_HOME:-/nonexistent}/../bin/uv" \
        "${HOME:-/nonexistent}/.local/bin/uv" "$venv/uv/bin/uv"; do
        [[ $candidate == "$venv/bin/"* ]] && continue
        uv=$candidate
        is_usable_uv "$uv" && return
    done
    return 1
}

# Fetch Astral's installer whole, then run it.
get_uv_from_astral() {
    local url=https://astral.sh/uv/install.sh installer
    if type -P curl >/dev/null; then
        installer=$(curl -LsSf --connect-timeout 10 "$url" 2>/dev/null) || return
    else
        installer=$(wget -qO- -T 10 -t 2 "$url" 2>/dev/null) || return
    fi
    say "$installer" | sh && find_uv
}

# Put uv into .venv/uv with any Python that is there, leaving that Python as it is. Sets pip_said.
get_uv_from_index() {
    local python pip said
    [ -d "$venv" ] || rm -f "$venv"
    mkdir -p "$venv"
    for python in python3 python python3.15 python3.14 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || continue
        pip=$python
        if ! "$python" -c 'import pip' 2>/dev/null; then
            pip=$venv/pip/bin/python
            "$python" -m venv "$venv/pip" >/dev/null 2>&1 || pip=: # this one has no way to get pip
        fi
        # pip's own settings may forbid a target or an install outside an environment
        said=$(PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_PREFIX="" PYTHONDONTWRITEBYTECODE=1 \
            "$pip" -m pip install --quiet --disable-pip-version-check --retries 2 \
            --upgrade --only-binary :all: --target "$venv/uv" uv 2>&1) || true
        rm -rf "$venv/pip"
        pip_said=${said:-$pip_said}
        find_uv && return
    done
    return 1
}

get_uv() {
    local pip_said=""
    if find_uv; then say "uv: found, $uv" && return; fi
    say "uv: not found, running Astral's installer"
    if get_uv_from_astral; then say "uv: installed, $uv" && return; fi
    say "uv: Astral's installer cannot be had here, getting uv from the Python package index"
    if get_uv_from_index; then say "uv: installed, $uv" && return; fi
    [ -n "$pip_said" ] || err "there is no uv, and neither Astral's installer (with curl or wget)" \
        "nor pip could get it. Install uv (https://docs.astral.sh/uv) or Python 3.11 or later" \
        "with pip, then run again."
    say "$pip_said" >&2
    err "pip could not get uv from the index: see above. Check the network, pip's mirror and the" \
        "proxy (HTTPS_PROXY), or install uv (https://docs.astral.sh/uv), then run again."
}

# uv, shut off from the settings of a project in a parent folder, but not from the user's own. Its
# process counts as a run, too: it outlives a bash that was killed.
run_uv() (
    process=$(exec sh -c 'echo $PPID') # of this subshell, then of uv
    ln -sfn "$(process_name "$process")" "$lock.uv"
    exec "$uv" "$@" --project /
)

# Print why .venv cannot be kept; print nothing if it can.
venv_problem() {
    local made_for version
    made_for=$(cat "$marker" 2>/dev/null || true)
    if [ ! -f "$venv/pyvenv.cfg" ]; then say "it is not a virtual environment"
    elif [ "$made_for" = installing ]; then say "an earlier install did not finish"
    elif [ ! -x "$venv/bin/python" ]; then say "its Python is gone"
    elif ! version=$(python_version); then say "its Python does not start"
    elif [[ -n $made_for && ! $made_for -ef $venv ]]; then
        say "it was moved or copied from $made_for"
    elif ! is_supported "$version"; then say "its Python is $version, not 3.11 to 3.15"
    fi
}

from_python() { "$venv/bin/python" -I -c "$1" 2>/dev/null; }
is_supported() { [[ $1 == 3.1[1-5].* ]]; }
python_version() { from_python 'import platform; print(platform.python_version())'; }

# Leave a healthy .venv in place, marked as being worked on.
make_venv() {
    local problem output version wanted=${UV_PYTHON:-$pythons} new='^(\.lecture-install)?(uv)?$'
    if [ -e "$venv" ]; then
        problem=$(venv_problem)
        if [ -z "$problem" ]; then
            say "environment: .venv is kept, Python $(python_version)"
            echo installing >"$marker"
            return
        fi
        # one that holds nothing, or the uv just fetched, is new
        [[ "$(ls -A "$venv" | tr -d '\n')" =~ $new ]] ||
            say "environment: .venv is rebuilt, since $problem"
        [ -d "$venv" ] || { rm -f "$venv" && mkdir "$venv"; }
        find "$venv/" -mindepth 1 -maxdepth 1 ! -name uv -exec rm -rf {} + ||
            err "removing the old .venv failed: close the programs that use it, then run again."
    fi
    mkdir -p "$venv/"
    echo installing >"$marker"
    if ! output=$(run_uv venv --quiet --no-project --allow-existing --python "$wanted" "$venv" 2>&1)
    then
        say "$output" >&2
        [[ $output != *"o interpreter found"* && $output != *"Failed to download"* ]] ||
            err "making .venv failed: no Python $wanted was found or could be fetched. Install" \
                "one, or check the network or proxy (HTTPS_PROXY), then run again."
        check_owners
        err "making .venv failed: uv's own message above is the cause. Set UV_CACHE_DIR where its" \
            "cache fails, clone elsewhere where a disk is full or lacks links. Then run again."
    fi
    version=$(python_version) || true
    is_supported "$version" ||
        err "this is Python $version. Set UV_PYTHON to one of 3.11 to 3.15, then run again."
    # on PATH once .venv is active
    [ ! -d "$venv/uv" ] || ln -sf ../uv/bin/uv ../uv/bin/uvx "$venv/bin/"
    say "environment: .venv is made, Python $version"
}

# uv, installing into .venv and nowhere else.
uv_pip_install() { run_uv pip install --python "$venv/bin/python" "$@"; }

# End the run if $1, which uv said, is that packages are not made for this platform.
check_wheels() {
    local platform advice="That can be changed: set UV_PYTHON=cpython-3.13-"
    [[ $1 == *"no wheels with a matching platform tag"* ]] || return 0
    platform=$(from_python \
        "import platform, sysconfig; print(sysconfig.get_platform(), *platform.libc_ver())")
    case "$(uname -s) $(uname -m) $platform" in
        "Darwin arm64 "*x86_64*) advice+="macos-aarch64, then run again." ;;
        "Linux x86_64 "*i?86*) advice+="linux-x86_64, then run again." ;;
        *) advice=$elsewhere ;;
    esac
    err "there is no PyTorch for this Python's platform, $platform: it is for 64-bit Linux with" \
        "glibc 2.28, 64-bit Windows, and Macs with Apple silicon. $advice"
}

# Let uv choose the torch build for this machine, unless the user has chosen, one is there that
# will do, or the index of builds is out of reach. A build that the user names is exchanged for it.
choose_torch_build() {
    local build=${UV_TORCH_BACKEND:-auto} chosen=${UV_TORCH_BACKEND:+yes} old="" new output
    local ours='^[^+]*$|[+](cpu|cu[0-9]|rocm)'
    [ -z "$chosen" ] ||
        old=$(from_python "import importlib.metadata as m; print(m.version('torch'))") || old=""
    if [ "$build" != auto ]; then
        say "torch build: $build, from UV_TORCH_BACKEND"
        [[ -n $old && $old != *"+$build" ]] || return 0
    fi
    if ! output=$(UV_HTTP_RETRIES="${UV_HTTP_RETRIES:-1}" uv_pip_install --dry-run --no-deps \
        ${chosen:+--reinstall-package torch} --torch-backend "$build" \
        "$(grep '^torch' "$root/requirements.txt")" 2>&1); then
        check_wheels "$output"
        if [[ $build == auto && $output == *pytorch.org* ]]; then
            unset UV_TORCH_BACKEND
            say "torch build: the PyTorch index cannot be reached, taking the default index's"
            return
        fi
        say "$output" >&2
        err "choosing the torch build failed. Check the network or proxy (HTTPS_PROXY), run again."
    fi
    new=${output##*+ torch==} new=${new%%[[:space:]]*} # where there is none, the first word
    if ! [[ $build != auto || $new =~ $ours ]]; then
        say "torch build: cpu, since these scripts do not use what ${new#*+} is for"
        build=cpu new=${new%+*}+cpu
    elif [[ -z $chosen && $output == *"no changes"* ]]; then
        say "torch build: the one that is there" && return
    elif [ "$build" = auto ]; then
        say "torch build: chosen by uv for this machine"
    fi
    export UV_TORCH_BACKEND="$build"
    [[ -z $old || $old == "$new" ]] || exchange=yes
}

install_packages() {
    local missing="" exchange="" output
    output=$(uv_pip_install --dry-run --offline "${packages[@]}" 2>&1) || true
    [[ $output == *"no changes"* ]] || missing=yes
    [ -z "$missing${UV_TORCH_BACKEND:-}" ] || choose_torch_build
    if [ -z "$missing$exchange" ]; then say "packages: all there" && return; fi
    say "packages: installing requirements.txt"
    uv_pip_install "${packages[@]}" ${exchange:+--reinstall-package torch} && return
    check_wheels "$(uv_pip_install --dry-run "${packages[@]}" 2>&1)"
    check_owners
    err "installing the packages failed: uv's own message above is the cause. Where the network" \
        "fails, check the proxy (HTTPS_PROXY); where links do, as on OneDrive, set" \
        "UV_LINK_MODE=copy; where the cache or its disk does, UV_CACHE_DIR. Then run again."
}

# With what reaches into every Python that the user will start.
check_environment() {
    [ -z "$python_path" ] || export PYTHONPATH="$python_path"
    [ -z "$python_home" ] || export PYTHONHOME="$python_home"
    "$venv/bin/python" "$root/script/check_environment.py" ||
        err "the packages are there and do not work. The lines above say why, and what helps."
    printf '%s\n' "$venv" >"$marker"
}

# Lines that can be pasted, whatever is in the path.
next_steps() {
    local bin=${1:-.venv/bin} cd plain='^[^]$`"\!*?[:cntrl:][]*$'
    say "Done. Next:"
    [[ $root =~ $plain ]] && cd="cd \"$root\"" || cd="cd $(printf %q "$root")"
    [ "$root" = "$started_in" ] || say "    $cd"
    if [[ $bin == .venv/bin && $root != *:* ]]; then
        say "    source .venv/bin/activate"
        say "    python script/gd_1d_torch.py"
        say "    pytest"
    else
        say "    $bin/python script/gd_1d_torch.py"
        say "    $bin/pytest"
    fi
    [[ $root != *:* ]] || say "The colon in this path forbids activating .venv."
}

# However the run ends: .venv is gone if we began it in vain, unless uv is still at it.
clean_up() {
    if is_held "$lock.uv"; then return; fi
    if [ -z "$had_venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then rm -rf "$venv"; fi
    rm -f "$lock" "$lock.uv"
}

main() {
    if [ $# -gt 0 ]; then
        say "usage: bash script/install.sh (it takes no options, and sets up .venv)"
        if [[ $* == --help || $* == -h ]]; then exit; else exit 2; fi
    fi
    unset CDPATH
    started_in=$(pwd -P)
    find_root
    check_platform
    check_writable "$root" "$venv" "$venv"/*
    take_lock
    had_venv=$(ls -d "$venv" 2>/dev/null) || true
    trap clean_up EXIT

    leave_active_environment
    hand_pip_settings_to_uv
    check_link
    get_uv
    cache=$("$uv" cache dir --project / 2>/dev/null) || cache=$venv
    check_writable "$cache" "$cache"/*
    make_venv
    install_packages
    check_environment
    next_steps
}

main "$@"
