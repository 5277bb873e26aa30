#!/usr/bin/env bash
# `make format`: clang-format over all C, or the files named, banner comments at full width.
# --check: changes nothing, names the files that would change, and fails if there are any.
set -euo pipefail
cd "$(dirname "$0")/.."
git rev-parse --git-dir >/dev/null # the files are those that git knows

check=0
if [[ ${1:-} == --check ]]; then
    check=1
    shift
fi

formatted() { # file
    clang-format --style=file "$1" | awk '
        /^ *\/\* ---- .* ----* \*\/$/ {
            sub(/ -+ \*\/$/, " -")
            while (length($0) < 96)
                $0 = $0 "-"
            $0 = $0 " */"
        }
        { print }'
}

files() {
    if [[ $# -gt 0 ]]; then
        printf '%s\n' "$@"
    else
        git ls-files -co --exclude-standard '*.[ch]'
    fi
}

changed=0
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
while read -r file; do
    [[ -f $file ]] || continue
    formatted "$file" >"$scratch"
    if ! cmp -s "$scratch" "$file"; then
        changed=1
        if [[ $check -eq 1 ]]; then
            echo "$file: line $(cmp "$scratch" "$file" | sed 's/.*line //'): not as make format would write it"
        else
            cat "$scratch" >"$file"
        fi
    fi
done < <(files "$@")
[[ $check -eq 0 || $changed -eq 0 ]]
