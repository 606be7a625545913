#!/bin/sh
# A stand-in for uv, and for the Python of the .venv that it makes, in which the packages are one
# file. It appends each call, with the settings it was given, to the file that STAND_IN_LOG names.
# What ON_VENV, ON_DRY_RUN, ON_INSTALL and ON_PYTHON hold is done at these calls, besides or before.

case "${0##*/}" in
    python*)
        eval "${ON_PYTHON:-:}"
        case "$*" in
            *metadata*) cat "${0%/*/*}/packages" ;;
            *python_version*) echo "${STAND_IN_PYTHON:-3.12.4}" ;;
            *get_platform*) echo "${STAND_IN_PLATFORM:-}" ;;
            *) echo "check: PYTHONPATH=${PYTHONPATH:-}" ;;
        esac
        exit
        ;;
esac
case "$*" in
    *--help*) echo "--torch-backend <TORCH_BACKEND>" && exit ;;
    "cache dir --project /") echo "$HOME/cache" && exit ;;
esac
(IFS="|" && echo "CALL=$*" && echo "PWD=$PWD" && env | grep -E '^(UV|PIP|VIRTUAL|PYTHON|CONDA)_?') \
    >>"$STAND_IN_LOG"
for word; do
    case "$word" in
        *.venv) venv=$word ;;
        */.venv/*) venv=${word%/*/*} ;;
    esac
done
case "$*" in
    "venv "*)
        eval "${ON_VENV:-:}"
        for python in bin/python Scripts/python.exe; do
            mkdir -p "$venv/${python%/*}"
            cp "$0" "$venv/$python"
        done
        echo "home = nowhere" >"$venv/pyvenv.cfg"
        ;;
    *--offline*) if [ -f "$venv/packages" ]; then echo "Would make no changes"; fi ;;
    *--dry-run*) eval "${ON_DRY_RUN:-:}" ;;
    *)
        eval "${ON_INSTALL:-:}"
        echo "2.13.0+${UV_TORCH_BACKEND:-default}" >"$venv/packages"
        ;;
esac
