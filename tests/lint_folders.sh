#!/bin/bash
# Check sources and symbols against the table of folders, tests/folders.txt.
#
#     tests/lint_folders.sh table       the table agrees with the tree and with the one in CONTRIBUTING.md
#     tests/lint_folders.sh includes    an #include is one that the table allows; libraries stay in the files wrapping them
#     tests/lint_folders.sh symbols     the same of what objects in build/release need from one another
#     tests/lint_folders.sh write       write the table into CONTRIBUTING.md
set -u
cd "$(dirname "$0")/.." || exit 1
rooms=(format quant convert verify gpu bin)

# "FOLDER MAY": a line for each pair that is allowed, ROOM/* expanded.
allowed() {
    awk -F '[ \t]*[|][ \t]*' '
    /^#/ || NF < 3 { next }
    {
        n = split($3, names, " ")
        for (i = 1; i <= n; i++) {
            room = names[i]
            known = 0
            sub(/\/\*$/, "/", room)
            for (j = 1; j <= count; j++) {
                if (names[i] == above[j] || (room != names[i] && index(above[j], room) == 1)) {
                    print $1, above[j]
                    known = 1
                }
            }
            if (!known) { print $1 ": " names[i] " is not above it in tests/folders.txt" >"/dev/stderr" }
        }
        print $1, $1
        above[++count] = $1
    }' tests/folders.txt
}

check_table() {
    local tree table bad=0
    tree=$(git ls-files -- "${rooms[@]}" | sed 's:/[^/]*$::' | sort -u)
    table=$(awk -F '[ \t]*[|]' '!/^#/ && NF == 3 { print $1 }' tests/folders.txt | sort)
    diff --label 'folders of the tree' --label tests/folders.txt -U0 <(echo "$tree") <(echo "$table") || bad=1
    allowed 2>&1 >/dev/null | grep . && bad=1
    # In a room itself lie only its folders, and what ties them together; in a folder lie only files.
    git ls-files -- "${rooms[@]}" | grep -E '^[a-z]+/[^/]*$|^[a-z]+/[^/]*/[^/]*/' |
        grep -vE '^bin/(main\.c|cmd\.h|cmd_[a-z]+\.c)$|^gpu/(none\.c|cuda\.mk)$' && bad=1
    diff --label CONTRIBUTING.md --label tests/folders.txt -U0 CONTRIBUTING.md <(with_table) || bad=1
    return "$bad"
}

check_includes() {
    git ls-files -- "${rooms[@]/%//*.[ch]}" "${rooms[@]/%//*.cu}" "${rooms[@]/%//*.cuh}" | xargs awk -v pairs="$(allowed)" '
    BEGIN {
        n = split(pairs, line, "\n")
        for (i = 1; i <= n; i++) { may[line[i]] = 1 }
        only["archive.h"] = "^format/archive/(archive_memory|archive_scan|decompress)\\.[ch]$"
        only["archive_entry.h"] = only["archive.h"]
        only["xxhash.h"] = "^format/base/digest\\.c$"
        only["nettle/sha2.h"] = "^format/base/digest\\.c$"
        only["pcre2.h"] = "^verify/tokenizer/pattern\\.c$"
        only["utf8proc.h"] = "^verify/tokenizer/unicode_normal\\.c$"
        only["zlib.h"] = "^format/archive/gzip\\.c$"
    }
    function folder_of(path) { sub(/\/[^\/]*$/, "", path); return path }
    function complain(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; bad = 1 }
    /^[ \t]*#[ \t]*include[ \t]/ {
        match($0, /["<][^">]*[">]/)
        name = substr($0, RSTART + 1, RLENGTH - 2)
        quoted = substr($0, RSTART, 1) == "\""
        if (name ~ /\.c$/) {
            complain("nobody includes a source file: " name)
        } else if (quoted && name !~ /\//) {
            complain("write the path from the root: " name)
        } else if (quoted && !((folder_of(FILENAME) " " folder_of(name)) in may)) {
            complain(folder_of(FILENAME) " may not include " folder_of(name) " (tests/folders.txt): " name)
        } else if (!quoted && name ~ /^cuda/ && FILENAME !~ /^gpu\//) {
            complain("<" name "> belongs to gpu/ alone")
        } else if (!quoted && name in only && FILENAME !~ only[name]) {
            owner = only[name]
            gsub(/[\^$\\]/, "", owner)
            complain("<" name "> belongs to " owner " alone")
        }
    }
    END { exit bad }'
}

# Objects of sources that are gone are not looked at.
check_symbols() {
    local object source
    find build/release -name '*.o' -not -path '*/tests/*' | while read -r object; do
        source=${object#build/release/}
        source=${source%.o}
        source=${source%.v[34]}
        [[ -e ${source%.baseline}.c ]] && printf '%s\0' "$object"
    done | xargs -0 nm -gA | awk -v pairs="$(allowed)" '
    BEGIN {
        n = split(pairs, line, "\n")
        for (i = 1; i <= n; i++) { may[line[i]] = 1 }
    }
    {
        file = $1
        sub(/^build\/release\//, "", file)
        sub(/:.*/, "", file)
        folder = file
        sub(/\/[^\/]*$/, "", folder)
        if ($(NF - 1) == "U") { needs[++count] = folder " " $NF " " file } else { home[$NF] = folder }
    }
    END {
        for (i = 1; i <= count; i++) {
            split(needs[i], need, " ")
            if (need[2] in home && !((need[1] " " home[need[2]]) in may)) {
                printf "%s needs %s of %s, which tests/folders.txt does not allow\n", need[3], need[2], home[need[2]]
                bad = 1
            }
        }
        if (!count) { print "no objects in build/release"; bad = 1 }
        exit bad
    }'
}

# CONTRIBUTING.md with the table of today.
with_table() {
    sed '/<!-- folders/q' CONTRIBUTING.md
    echo '| folder | what lives there | may include |'
    echo '|---|---|---|'
    awk -F '[ \t]*[|][ \t]*' '!/^#/ && NF == 3 {
        gsub(/\*/, "\\*", $3)
        printf "| `%s/` | %s | %s |\n", $1, $2, $3 == "" ? "–" : $3
    }' tests/folders.txt
    sed -n '/<!-- end of folders/,$p' CONTRIBUTING.md
}

write_table() {
    local text
    text=$(with_table) && printf '%s\n' "$text" >CONTRIBUTING.md
}

case ${1-} in
table) check_table ;;
includes) check_includes ;;
symbols) check_symbols ;;
write) write_table ;;
*) sed -n '2,7s/^# \{0,1\}//p' "$0" && exit 1 ;;
esac
