"""What is run on the far side: small scripts for a POSIX shell that never change, and their arguments.

A path travels as an argument of `sh -c SCRIPT`, quoted once for the login shell that sshd starts, whichever that is.
rsync itself is given only plain names such as `results/`: how it would quote a path differs between versions, and
old ones do not quote at all. The scripts hold no single quotes, no backslashes, no line breaks and no history
marks, which csh and fish read in their own ways.
"""

from __future__ import annotations

import shlex

READY = "wtrace-ready"
NO_FOLDER, NO_RACE, NO_RSYNC = 71, 72, 73  # exit codes of the scripts

_RESOLVE = (
    "CDPATH=; p=$1; r=$2; shift 2; "
    'case $p in "~") p=$HOME;; "~/"*) p=$HOME/${p#"~/"};; /*) ;; *) p=./$p;; esac; '
    'case $r in "~/"*) r=$HOME/${r#"~/"};; esac; '
)  # `./` keeps a path from being an option or `-`
_PRIVATE = "umask 077; "  # what is made there is for its owner alone
_ENTER = f'{_RESOLVE}cd -- "$p" || exit {NO_FOLDER}; '
_VERSION = f'command -v "$r" >/dev/null || exit {NO_RSYNC}; "$r" --version 2>&1 | head -n 2'

_SET_ASIDE = (
    'old=$(head -c 200 results/.wtrace-race | tr -cd "A-Za-z0-9._-"); '
    '[ "$old" = "$1" ] || { case $old in .*|"") old=unnamed;; esac; d=earlier/$old; '
    'while [ -e "$d" ]; do d=$d+; done; mkdir -p "$d" && mv results "$d"/ && '
    '{ [ -d winner ] && mv winner "$d"/; }; }'
)
_PREPARE = (
    f'{_PRIVATE}{_RESOLVE}mkdir -p -- "$p" && cd -- "$p" || exit {NO_FOLDER}; {_VERSION}; '
    f"if [ -f results/.wtrace-race ]; then {_SET_ASIDE}; fi; "
    f'mkdir -p results && printf %s "$1" >results/.wtrace-race || exit {NO_FOLDER}'
)
_FIND_RACE = (
    f'{_ENTER}until [ -d .wtrace ] || [ "$PWD" = / ]; do cd ..; done; '
    'd=.wtrace/latest; [ -z "$1" ] || d=.wtrace/races/$1; '
    f'[ -d "$d/results" ] || exit {NO_RACE}; cd -P -- "$d"; {_VERSION}; '
    'printf "now=%s folder=%s" "$(date +%s)" "$PWD"'
)
_ABOUT = (
    f"{_RESOLVE}date +now=%s; uname -s | sed s/^/system=/; "
    f'command -v "$r" >/dev/null && "$r" --version 2>&1 | head -n 2 | sed s/^/rsync=/; '
    'q=$p; until [ -d "$q" ]; do case $q in */*) q=${q%/*};; *) q=.;; esac; [ -n "$q" ] || q=/; done; '
    'df -Pk "$q" | tail -n 1 | sed s/^/df=/; [ -w "$q" ] && echo writable=yes; true'
)


def entering(folder: str, rsync: str) -> str:
    """For rsync's option `--rsync-path`: start the rsync there inside the folder."""
    return _command(f'{_PRIVATE}{_ENTER}exec "$r" "$@"', folder, rsync)


def preparing(folder: str, rsync: str, race_id: str) -> str:
    """Make the mirror's folder and mark it as this race's; prints the rsync's version.

    What lies there of another race is set aside under `earlier/`, never deleted or overwritten. A `results` folder
    that wtrace did not mark is left as it is.
    """
    return _command(_PREPARE, folder, rsync, race_id)


def finding_race(folder: str, rsync: str, race_id: str = "") -> str:
    """Print the rsync's version, the time, and the folder of that race (the newest) of the repo around `folder`."""
    return _command(_FIND_RACE, folder, rsync, race_id)


def telling_about(folder: str, rsync: str) -> str:
    """Print what is to be known about a machine: lines of `name=value`."""
    return _command(_ABOUT, folder, rsync)


def holding() -> str:
    """Say that the login worked, then stay until whoever asked is gone: standard input is at its end then."""
    return f"echo {READY}; exec cat >/dev/null"


def _command(script: str, *arguments: str) -> str:
    return shlex.join(["sh", "-c", script, "wtrace", *arguments])
