# Makes and keeps the virtual environment of this checkout. Sourced by ops/gateway, ops/test and ops/lint.
#
#   PYTHON                    the interpreter to use (default: the first of 3.13, 3.12, 3.11 that is found)
#   GATEWAY_VENV              where the environment is (default: .venv in the checkout)
#   GATEWAY_WITHOUT_EMBEDDED  1: leave out the embedded voice
#
# Packages come from the pinned, hashed ops/requirements/*.txt, as wheels only: an sdist would run a build whose
# own requirements nobody pinned. This checkout is then installed as an editable package by the pinned setuptools
# of build.txt, without an index, so that the command `gateway` and the pytest plugin are where packages have them.
# A set is installed again only when its file has changed: the environment keeps the checksums.
# shellcheck shell=sh

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=${GATEWAY_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
stamps=$venv/.installed

# Our matrices are small; a BLAS that spreads them over threads only costs wake-ups.
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# -- which Python -----------------------------------------------------------------------------------

is_usable() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_usable "$PYTHON" || die "PYTHON=$PYTHON is not a Python >= 3.11 with venv and ensurepip."
        command -v "$PYTHON"
        return
    fi
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if is_usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "The gateway needs Python >= 3.11 with venv and ensurepip; tried python3.13, python3.12, python3.11," \
        "python3 and python. Install one (Debian, Ubuntu: apt-get install python3 python3-venv)," \
        "or name one: PYTHON=/path/to/python $0"
}

version_of() { "$1" -c 'import platform; print(platform.python_version())'; }

# Why the embedded voice cannot be installed here; nothing when it can.
# Its speech-to-text has wheels for glibc >= 2.34 on x86_64 and aarch64: none for macOS, musl, Debian 11.
embedded_gap() {
    "$venv/bin/python" -c '
import platform
system, machine, (libc, version) = platform.system(), platform.machine(), platform.libc_ver()
fits = libc == "glibc" and [int(part) for part in version.split(".")] >= [2, 34]
if not (fits and system == "Linux" and machine in ("x86_64", "aarch64")):
    print(f"it has no wheels for {system} {machine}" + (f" with {libc} {version}" if libc else ""))
'
}

# -- what is installed ------------------------------------------------------------------------------

checksum() { # SET
    case $1 in
    project) printf '%s %s\n' "$(cksum <"$root/pyproject.toml")" "$root" ;;
    *) cksum <"$root/ops/requirements/$1.txt" ;;
    esac
}

stale_sets() { # SET...
    for name in "$@"; do
        [ "$(cat "$stamps/$name" 2>/dev/null)" = "$(checksum "$name")" ] || printf '%s ' "$name"
    done
}

# Whether the environment stands and runs on the wanted Python. A link to a Python that is gone is not executable.
has_venv() {
    [ -x "$venv/bin/python" ] && [ -e "$stamps/python" ] &&
        { [ -z "${PYTHON:-}" ] || [ "$(cat "$stamps/python")" = "$(version_of "$PYTHON")" ]; }
}

is_prepared() { has_venv && [ -z "$(stale_sets "$@")" ]; }

# -- installing -------------------------------------------------------------------------------------

quietly() { # COMMAND...
    output=$(mktemp)
    "$@" >"$output" 2>&1 && result=0 || result=$?
    [ "$result" = 0 ] || cat "$output" >&2
    rm -f "$output"
    return "$result"
}

pip_install() { PIP_USER=0 quietly "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "$@"; }

make_venv() {
    python=$(find_python) || exit 1
    if [ -e "$venv" ] && [ ! -d "$stamps" ] && [ -n "$(ls -A "$venv")" ]; then
        die "$venv exists and was not made here: remove it, or set GATEWAY_VENV to another place."
    fi
    say "Making $venv with Python $(version_of "$python"); this and the installation take a minute or two, once."
    quietly "$python" -m venv --clear "$venv" || die "The virtual environment could not be made."
    mkdir -p "$stamps"
    version_of "$python" >"$stamps/python"
}

install_sets() { # SET...
    started_s=$(date +%s)
    files=''
    for name in "$@"; do
        if [ "$name" = embedded ] && gap=$(embedded_gap) && [ -n "$gap" ]; then
            say "The embedded voice is left out: $gap. Everything else works; calls need another voice."
        elif [ "$name" != project ]; then
            files="$files -r $name.txt"
        fi
    done
    say "Installing into $venv: $* ..."
    if [ -n "$files" ]; then
        # shellcheck disable=SC2086  # a list of options
        (cd "$root/ops/requirements" && pip_install --require-hashes --only-binary :all: $files) ||
            die "The packages could not be installed; what pip said is above." \
                "Without the embedded voice: GATEWAY_WITHOUT_EMBEDDED=1 $0"
    fi
    case " $* " in *" project "*)
        pip_install --no-deps --no-build-isolation --no-index --editable "$root" ||
            die "The gateway itself could not be installed; what pip said is above."
        ;;
    esac
    for name in "$@"; do checksum "$name" >"$stamps/$name"; done
    say "Installed in $(($(date +%s) - started_s)) s."
}

# Brings the environment up to the requirement sets; returns at once when nothing has changed.
prepare() { # SET...
    [ "${GATEWAY_WITHOUT_EMBEDDED:-0}" != 0 ] || set -- embedded "$@"
    set -- build gateway "$@" project
    if is_prepared "$@"; then return; fi

    # One set-up at a time in this checkout. The lock goes with descriptor 9 and is taken by Python, because not
    # every system has flock(1).
    python=$(find_python) || exit 1
    exec 9<"$root/pyproject.toml"
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    has_venv || make_venv
    # shellcheck disable=SC2046  # a list of sets
    if ! is_prepared "$@"; then install_sets $(stale_sets "$@"); fi
    exec 9<&-
}
