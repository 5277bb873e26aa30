#!/usr/bin/env bash
# `make lint`: everything that can be checked without running the program.  Runs every check, then fails
# if one failed.
# shellcheck disable=SC2016,SC2317  # awk's $0; check() calls the functions
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
git rev-parse --git-dir >/dev/null || exit 1 # the files are those that git knows

failed=0
check() { # what, command...
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf '  ok    %s\n' "$what"
    else
        printf '  FAIL  %s\n%s\n' "$what" "$output" | head -n 60
        failed=1
    fi
}

# Those that git knows or would know: not what lies in build folders.
files() { # pattern...
    git ls-files -co --exclude-standard -- "$@" | while read -r file; do
        [[ -f $file ]] && echo "$file"
    done
}
c_files() { files '*.[ch]'; }
shell_files() { files 'scripts/*' .ci/run | xargs grep -lE '^#!.*\b(bash|sh)$'; }
python_files() { files '*.py'; }

# A file has one topic: a head comment that says what it is for, and at most 500 lines, of 100 columns.
file_shape() {
    c_files | xargs awk '
        FNR == 1 && !/^\/\*/ { printf "%s:1: no head comment\n", FILENAME; bad = 1 }
        length($0) > 100 { printf "%s:%d: more than 100 columns\n", FILENAME, FNR; bad = 1 }
        FNR == 501 { printf "%s: more than 500 lines\n", FILENAME; bad = 1 }
        END { exit bad }'
}

# Nothing may depend on one machine: no folder of a person or a workplace.
portable_paths() {
    ! files | grep -v '^scripts/lint.sh$' |
        xargs grep -nIE '(^|[^[:alnum:]_.$})/-])/(home|root|opt|work|Users)/'
}

static_checks() {
    cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --enable=warning,performance,portability \
        --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=invalidPointerCast --suppress=uninitvar --suppress=readdirCalled --suppress=unknownEvaluationOrder \
        --library=posix -D_GNU_SOURCE -Iinclude -Isrc -j "$(nproc)" src
}

shell_syntax() {
    local file
    shell_files | while read -r file; do
        bash -n "$file" || exit 1
    done
}
shell_checks() { shell_files | xargs shellcheck; }
python_syntax() {
    python_files | xargs -r python3 -c '
import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)'
}

# The tool is missing: said, but no failure; CI installs them all.
check_with() { # tool, what, command...
    if command -v "$1" >/dev/null; then
        check "${@:2}"
    else
        printf '  skip  %s: %s is missing (scripts/install-deps.sh --dev)\n' "$2" "$1"
    fi
}

check_with clang-format 'formatting (make format)' scripts/format.sh --check
check 'layers' scripts/check-layers
check 'layers, self-test' scripts/check-layers --self-test
check 'head comment, length, width' file_shape
check 'no paths of one machine' portable_paths
check_with cppcheck 'cppcheck' static_checks
check 'shell syntax' shell_syntax
check_with shellcheck 'shellcheck' shell_checks
check_with python3 'python syntax' python_syntax
exit $failed
