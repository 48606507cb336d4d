"""What a disk may hold after a power cut: the model of spec/reliability.md section 5.

    log = record(room, arguments)          run a program under strace; what it did below the directory `room`
    log.tree()                             {name: (mode, bytes or None)}: the tree that the program left
    log.tree(k, kept, choose)              the same after a power cut before operation k

Operations are data and modes of inodes, and entries of directories. A sync makes durable what was done before to that inode: of a
file its data, size and mode; of a directory its mode and all changes of its entries (a rename: when the directory that gets the
name is synced). Of all the rest any part may be lost:

- changes of entries in any subset in which a change comes with the earlier ones of the same names, and the removal of a directory
  with the removal of what was in it; a rename or exchange happens as a whole;
- data in sectors of 512 bytes, each new, old (or zeros), or garbage; the size with or without them; modes.
"""

import os
import re
import subprocess

SECTOR = 512
GARBAGE = 0xDB
UMASK = 0o022  # of the recorded program
CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,fcntl,write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,fallocate,fsync,"
    "fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat,symlink,symlinkat"
)
LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)")
UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
ARGUMENT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"|([^",\s][^",]*)')


class Inode:
    def __init__(self, number, mode, data):
        self.number, self.mode, self.data = number, mode, data  # data: bytes, or None: a directory
        self.offset = 0  # of write(2); nothing opens a file twice


class Operation:
    """kind: write (offset, bytes), size (bytes), mode (bits): of `inode`. entry (changes, emptied): {(directory, name): inode or None}
    and the directory that has to be empty."""

    def __init__(self, kind, inode, what):
        self.kind, self.inode, self.what = kind, inode, what
        self.since = None  # sync: it makes durable what was done before this operation, when it began
        self.durable = None  # the operation before which it became durable
        self.needs = []  # entry operations without which it cannot have happened


class Log:
    """What a program did below `room`, whose tree is read when the log is made."""

    def __init__(self, room):
        self.room = os.path.realpath(room)
        self.inodes, self.start, self.operations, self.descriptors = [], {}, [], {}
        self.root, self.of_inode = self._read(self.room), {}
        self.entries = dict(self.start)

    def _read(self, path):
        mode = os.lstat(path).st_mode & 0o7777
        if not os.path.isdir(path):
            with open(path, "rb") as f:
                return self._inode(mode, f.read())
        inode = self._inode(mode, None)
        for name in sorted(os.listdir(path)):
            self.start[inode.number, name] = self._read(os.path.join(path, name)).number
        return inode

    def _inode(self, mode, data):
        self.inodes.append(Inode(len(self.inodes), mode, data))
        return self.inodes[-1]

    # ---- following the program --------------------------------------

    def _find(self, path, at=None):
        """(directory, name, inode) of a path below the room, None if it is not below it."""
        if path.startswith("/"):
            path = os.path.normpath(path)
            if path != self.room and not path.startswith(self.room + "/"):
                return None
            at, path = self.root.number, path[len(self.room) :]
        if at is None:
            return None
        parts = [part for part in path.split("/") if part not in ("", ".")]
        directory, name, inode = None, None, at
        for part in parts:
            directory, name, inode = inode, part, self.entries.get((inode, part))
            if inode is None and part is not parts[-1]:
                return None
        return directory, name, inode

    def _do(self, kind, inode, what):
        self.operations.append(Operation(kind, inode, what))

    def _change(self, changes, emptied=None):
        self._do("entry", None, (changes, emptied))
        for key, inode in changes.items():
            if inode is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = inode

    def _at(self, arguments, i):
        """The directory descriptor and the path that are arguments i and i + 1."""
        directory = None if arguments[i] == "AT_FDCWD" else self.descriptors.get(int(arguments[i]))
        return self._find(arguments[i + 1], directory)

    def _open(self, found, flags, mode, result):
        if found is None:
            return
        directory, name, inode = found
        if inode is None:
            inode = self._inode(int(mode, 8) & ~UMASK, b"").number
            self._change({(directory, name): inode})
        elif "O_TRUNC" in flags:
            self._do("size", inode, 0)
        self.inodes[inode].offset = 0
        self.descriptors[result] = inode

    def _remove(self, found, is_directory):
        if found:
            self._change({found[:2]: None}, found[2] if is_directory else None)

    def _make_directory(self, found, mode):
        if found:
            inode = self._inode(int(mode, 8) & ~UMASK, None)
            self._change({found[:2]: inode.number})

    def _rename(self, old, new, flags=""):
        if old and new:
            swapped = new[2] if "RENAME_EXCHANGE" in flags else None
            self._change({old[:2]: swapped, new[:2]: old[2]})

    def call(self, name, a, result, begun):
        """One successful system call; `a` are its arguments; how many operations there were when it began."""
        inode = self.descriptors.get(int(a[0])) if re.fullmatch(r"\d+", a[0]) else None
        if name == "openat":
            self._open(self._at(a, 0), a[2], a[3] if len(a) > 3 else "0", result)
        elif name == "open":
            self._open(self._find(a[0]), a[1], a[2] if len(a) > 2 else "0", result)
        elif name in ("mkdirat", "mkdir"):
            self._make_directory(self._at(a, 0) if name == "mkdirat" else self._find(a[0]), a[-1])
        elif name in ("unlinkat", "unlink", "rmdir"):
            self._remove(self._at(a, 0) if name == "unlinkat" else self._find(a[0]), name == "rmdir" or "AT_REMOVEDIR" in a[-1])
        elif name in ("renameat", "renameat2"):
            self._rename(self._at(a, 0), self._at(a, 2), a[-1])
        elif name == "rename":
            self._rename(self._find(a[0]), self._find(a[1]))
        elif name == "linkat":
            old, new = self._at(a, 0), self._at(a, 2)
            self._change({new[:2]: old[2]})
        elif inode is not None:
            self._call_on(name, inode, a, result, begun)
        elif name in ("link", "truncate", "creat", "chmod", "fchmodat", "symlink", "symlinkat") and self.room in " ".join(a):
            raise NotImplementedError(name)

    def _call_on(self, name, inode, a, result, begun):
        if name == "close":
            del self.descriptors[int(a[0])]
        elif name == "fcntl" and "DUPFD" in a[1]:
            self.descriptors[result] = inode
        elif name == "pwrite64":
            self._do("write", inode, (int(a[3]), a[1][:result]))
        elif name == "write":
            self._do("write", inode, (self.inodes[inode].offset, a[1][:result]))
            self.inodes[inode].offset += result
        elif name == "ftruncate":
            self._do("size", inode, int(a[1]))
        elif name == "fallocate":
            assert a[1] == "0", a
            self._do("grow", inode, int(a[2]) + int(a[3]))
        elif name == "fchmod":
            self._do("mode", inode, int(a[1], 8))
        elif name in ("fsync", "fdatasync"):
            self._do("sync", inode, None)
            self.operations[-1].since = begun
        elif name != "fcntl":
            raise NotImplementedError(name)

    def finish(self):
        """Find what became durable when, and what depends on what."""
        self.of_inode = {}
        for i, o in enumerate(self.operations):
            if o.kind not in ("entry", "sync"):
                self.of_inode.setdefault(o.inode, []).append(i)
        last = {}
        touched = {}  # directory: entry operations in it
        for i, o in enumerate(self.operations):
            if o.kind == "sync":
                for earlier in self.operations[: o.since]:
                    if earlier.durable is None and self._is_synced_by(earlier, o.inode):
                        earlier.durable = i
            if o.kind == "entry":
                changes, emptied = o.what
                o.needs = [last[key] for key in changes if key in last] + touched.get(emptied, [])
                for key in changes:
                    last[key] = i
                    touched.setdefault(key[0], []).append(i)

    @staticmethod
    def _is_synced_by(o, inode):
        if o.kind != "entry":
            return o.inode == inode and o.kind != "sync"
        changes, _ = o.what
        gaining = [key[0] for key, new in changes.items() if new is not None]
        return inode in (gaining or [key[0] for key in changes])

    # ---- power cuts --------------------------------------------------

    def pending(self, k):
        """Entry operations before operation k that may be lost."""
        return [i for i, o in enumerate(self.operations[:k]) if o.kind == "entry" and not self.is_durable(i, k)]

    def is_durable(self, i, k):
        return self.operations[i].durable is not None and self.operations[i].durable < k

    def entries_after(self, k, kept):
        """The entries if of those that may be lost `kept` are not, nor what they depend on."""
        done = set()
        pending = [i for i, o in enumerate(self.operations[:k]) if o.kind == "entry" and (i in kept or self.is_durable(i, k))]
        while pending:
            i = pending.pop()
            if i not in done:
                done.add(i)
                pending += self.operations[i].needs
        entries = dict(self.start)
        for i in sorted(done):
            entries.update(self.operations[i].what[0])
        return {key: inode for key, inode in entries.items() if inode is not None}

    def content_after(self, inode, k, choose):
        """(mode, data) of a file or directory; choose(operation) gives "keep", "drop", or a Random to tear it."""
        mode, data = self.inodes[inode].mode, self.inodes[inode].data
        data = None if data is None else bytearray(data)
        for i in self.of_inode.get(inode, []):
            if i >= k:
                break
            o = self.operations[i]
            how = "keep" if self.is_durable(i, k) else choose(o)
            if o.kind == "mode":
                mode = mode if how == "drop" else o.what
            elif how != "drop":
                apply(data, o, None if how == "keep" else how)
        return mode, None if data is None else bytes(data)

    def tree(self, k=None, kept=None, choose=lambda o: "keep"):
        """{name: (mode, data)} after a power cut before operation k; without arguments, at the end of the program."""
        k = len(self.operations) if k is None else k
        entries = self.entries_after(k, self.pending(k) if kept is None else kept)
        found, below = {}, {}
        for (directory, name), inode in entries.items():
            below.setdefault(directory, []).append((name, inode))
        todo = [("", self.root.number)]
        while todo:
            path, directory = todo.pop()
            for name, inode in below.get(directory, []):
                found[path + name] = self.content_after(inode, k, choose)
                if self.inodes[inode].data is None:
                    todo.append((path + name + "/", inode))
        return found


def grow(data, size):
    if len(data) < size:
        data.extend(bytes(size - len(data)))


def apply(data, o, random):
    """Do `o` to the data of a file; `random` tears a write."""
    if o.kind == "grow":
        grow(data, o.what)
    elif o.kind == "size":
        del data[o.what :]
        grow(data, o.what)
    elif random is None:
        offset, new = o.what
        grow(data, offset + len(new))
        data[offset : offset + len(new)] = new
    else:
        tear(data, *o.what, random)


def tear(data, offset, new, random):
    if random.random() < 0.5:
        grow(data, offset + len(new))
    at = offset
    while at < offset + len(new):
        end = min(at - at % SECTOR + SECTOR, offset + len(new))
        fate = random.random()
        if fate < 0.7:
            grow(data, end)
            data[at:end] = new[at - offset : end - offset] if fate < 0.5 else bytes([GARBAGE]) * (end - at)
        at = end


# ---- recording ------------------------------------------------------


def parse(line):
    """(name, arguments, result) of a line of strace -xx, None if the call failed; data are bytes, all other strings text."""
    match = LINE.match(line)
    if not match or int(match[4]) < 0:
        return None
    name = match[2]
    arguments = []
    for number, found in enumerate(ARGUMENT.finditer(match[3])):
        if found[1] is None and found[2] is not None:
            arguments.append(found[2].strip())
        else:
            raw = bytes.fromhex((found[1] or "").replace("\\x", ""))
            arguments.append(raw if name in ("write", "pwrite64") and number == 1 else raw.decode("utf-8", "surrogateescape"))
    return name, arguments, int(match[4])


def record(room, command):
    """Run `command`, which must succeed, and follow what it does below `room`."""
    log = Log(room)
    trace = os.path.join(os.getcwd(), "trace")
    subprocess.run(
        ["strace", "-f", "-qq", "-xx", "-s", "100000000", "-o", trace, "-e", f"trace={CALLS}", "--seccomp-bpf", *command],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, umask=UMASK,
    )  # fmt: skip
    begun = {}  # calls of threads that others' calls interrupted in the trace
    with open(trace, encoding="ascii") as f:
        for line in f:
            unfinished, resumed = UNFINISHED.match(line), RESUMED.match(line)
            if unfinished:
                begun[unfinished[1]] = line[: line.rindex(" <unfinished ...>")], len(log.operations)
                continue
            first, count = begun.pop(resumed[1]) if resumed else ("", len(log.operations))
            call = parse(first + resumed[2] if resumed else line)
            if call and call[1]:
                log.call(*call, count)
    os.remove(trace)
    log.finish()
    return log
