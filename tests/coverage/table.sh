#!/bin/bash
# Print which part of each room the tests have reached, from what the programs of `make coverage` have counted so far.
#
#     BUILD=build/coverage tests/coverage/table.sh
#
# FILES=1 prints each file as well, those with the most lines that no test reached first. BUILD/coverage.csv has the table
# of all files; BUILD/coverage.txt has the lines that no test reached.
set -eu
cd "$(dirname "$0")/../.."
gcovr --root . --filter '(format|quant|verify|convert|bin)/' --csv "$BUILD/coverage.csv" --txt "$BUILD/coverage.txt" \
    --sort-uncovered "$BUILD"
# filename,line_total,line_covered,line_percent,branch_total,branch_covered,...
awk -F, -v files="${FILES-}" '
    function row(name, lines, reached, branches, taken) {
        printf "%-40s %6d %6.1f %9d %6.1f\n", name, lines, lines ? 100 * reached / lines : 100, branches,
            branches ? 100 * taken / branches : 100
    }
    NR == 1 { printf "%-40s %6s %6s %9s %6s\n", "", "lines", "%", "branches", "%"; next }
    {
        room = $1
        sub(/\/.*/, "", room)
        lines[room] += $2; reached[room] += $3; branches[room] += $5; taken[room] += $6
        if (files) row($1, $2, $3, $5, $6)
    }
    END { for (room in lines) row(room, lines[room], reached[room], branches[room], taken[room]) }' "$BUILD/coverage.csv"
