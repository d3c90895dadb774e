# shellcheck shell=bash
# What every script here shares: how it talks. Source it; it starts nothing.
#
# Everything for people goes to stderr, so that stdout stays free for what a program reads
# (`eval "$(scripts/services env)"`).

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\e[1m' RED=$'\e[31m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' YELLOW='' PLAIN=''
fi
readonly BOLD RED YELLOW PLAIN

say() { printf '%s\n' "${BOLD}${0##*/}:${PLAIN} $*" >&2; }
warn() { printf '%s\n' "${BOLD}${0##*/}:${PLAIN} ${YELLOW}$*${PLAIN}" >&2; }
complain() { printf '%s\n' "${BOLD}${0##*/}:${PLAIN} ${RED}$*${PLAIN}" >&2; }

# One clear line, then exit 1. What to do about it belongs into the line.
die() {
    complain "$@"
    exit 1
}

# A mistake in how the script was called: exit 64, like the binaries on a bad setting.
die_usage() {
    complain "$@"
    printf 'Try: %s --help\n' "$0" >&2
    exit 64
}

have() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages: as root, or by sudo if that asks no password. apt's own words go to the file LOG.
apt_install() {
    local log=$1
    shift
    local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    have apt-get || die "missing, and no apt-get here to install it: $* (Debian's names); install by hand"
    if [ "$(id -u)" -ne 0 ]; then
        if ! have sudo || ! sudo -n true 2>/dev/null; then
            die "missing; run:  sudo apt-get install $*"
        fi
        apt=(sudo -n "${apt[@]}")
    fi
    say "installing by apt-get: $*"
    # The lists of a fresh machine are empty, those of an old one name versions that are gone.
    if ! "${apt[@]}" install -y --no-install-recommends "$@" >"$log" 2>&1 </dev/null; then
        "${apt[@]}" update >>"$log" 2>&1 </dev/null || true
        "${apt[@]}" install -y --no-install-recommends "$@" >>"$log" 2>&1 </dev/null || {
            tail -n 15 "$log" >&2
            die "apt-get failed, as above (all of it: $log); when mended, run this again: $*"
        }
    fi
    hash -r
}
