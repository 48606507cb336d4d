#!/bin/bash
# Standard streams that are full, broken or closed: the packed file is good all the same, or not there.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint

say 'full: the exit status tells, the file is complete'
echo '$ octavo convert checkpoint -o out.octavo >/dev/full'
{ "$OCTAVO" convert checkpoint -o out.octavo --device cpu >/dev/full; } 2>&1
echo "  exit status $?"
octavo verify out.octavo
echo '$ octavo convert checkpoint -o out.octavo -f --progress always 2>/dev/full'
"$OCTAVO" convert checkpoint -o out.octavo -f --progress always 2>/dev/full | mask
echo "  exit status ${PIPESTATUS[0]}"
files

say 'a pipe that nobody reads'
"$PYTHON" -c '
import os, subprocess, sys
read, write = os.pipe()
os.close(read)
print("status", subprocess.run(sys.argv[1:], stdout=write).returncode)' "$OCTAVO" convert checkpoint -o pipe.octavo
same out.octavo pipe.octavo

say 'standard streams are closed: no file takes their place'
tiny noted --plant model.norm.weight 3 80ff
quietly convert noted -o noted.octavo
echo '$ octavo convert noted -o new.octavo --no-read-back 2>&-'
"$OCTAVO" convert noted -o new.octavo --no-read-back 2>&- | mask
echo "  exit status ${PIPESTATUS[0]}"
same noted.octavo new.octavo
echo '$ octavo convert noted -o new.octavo -f --no-read-back <&- >&- 2>&-'
"$OCTAVO" convert noted -o new.octavo -f --no-read-back <&- >&- 2>&-
echo "  exit status $?"
same noted.octavo new.octavo
echo '$ octavo verify new.octavo >&-'
"$OCTAVO" verify new.octavo 2>&1 >&-
echo "  exit status $?"
files
