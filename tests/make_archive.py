#!/usr/bin/python3
"""Write an archive of a checkpoint's directory, intact or with a fault.

    make_archive.py KIND DIRECTORY ARCHIVE

KIND is a format: tar, tar.gz, tar.xz, zip (deflated) or stored (zip); optionally followed by a dash
and a fault, named after the functions fault_* and spoil_* below: tar-absolute, zip-dotdot,
tar.gz-twice, ... The members are in the directory top/.
"""

import gzip
import io
import lzma
import os
import struct
import sys
import tarfile
import zipfile

LAST = "top/model-00002-of-00002.safetensors"


class Tar:
    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.USTAR_FORMAT)

    def add(self, name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))

    def link(self, name, target):
        info = tarfile.TarInfo(name)
        info.type = tarfile.SYMTYPE
        info.linkname = target
        self.tar.addfile(info)

    def sparse(self, name, data):
        """PAX 0.1: a map of two pieces, with a hole between them."""
        info = tarfile.TarInfo(name)
        info.size = 1024
        info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": name,
                            "GNU.sparse.size": "4096", "GNU.sparse.numblocks": "2",
                            "GNU.sparse.map": "0,512,3584,512"}
        self.tar.format = tarfile.PAX_FORMAT
        self.tar.addfile(info, io.BytesIO(data[:1024]))

    def finish(self):
        self.tar.close()
        return self.bytes.getvalue()


class Zip:
    def __init__(self, method):
        self.bytes = io.BytesIO()
        self.zip = zipfile.ZipFile(self.bytes, "w", method)

    def add(self, name, data):
        self.zip.writestr(zipfile.ZipInfo(name), data, self.zip.compression)

    def link(self, name, target):
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = 0o120777 << 16
        self.zip.writestr(info, target)

    def finish(self):
        self.zip.close()
        return self.bytes.getvalue()


# ---- faults: members that are added, changes of the bytes ----

def fault_absolute(archive, files):
    archive.add("/etc/octavo", b"x")


def fault_dotdot(archive, files):
    archive.add("top/../../octavo", b"x")


def fault_twice(archive, files):
    archive.add(LAST, files[LAST])


def fault_several(archive, files):
    archive.add("other/model.safetensors", files[LAST])


def fault_linkout(archive, files):
    archive.link("top/NOTICE", "../../NOTICE")


def fault_sparse(archive, files):
    archive.sparse("top/NOTICE", files[LAST])


def spoil_cut(data):
    return data[:len(data) * 2 // 3]


def spoil_endless(data):
    """Without whatever follows the last member."""
    if data[:2] == b"PK":
        return data[:-22]
    return data[:(len(data.rstrip(b"\0")) + 511) // 512 * 512]


def spoil_flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]


def spoil_crc(data):
    """gzip: the checksum at its end. zip: those in the central directory."""
    if data[:2] != b"PK":
        return data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]
    return patch_zip(data, 16, lambda crc: crc ^ 1)


def spoil_encrypted(data):
    return patch_zip(data, 8, lambda flags: flags | 1)


def spoil_header(data):
    """tar: a letter of the second member's name, so that the checksum of its header is wrong."""
    second = 512 + (int(data[124:135], 8) + 511) // 512 * 512
    return data[:second] + b"X" + data[second + 1:]


def patch_zip(data, at, change):
    """Change a field of every entry: at `at` in the central directory, 2 less in the local header."""
    out = bytearray(data)
    for magic, off in ((b"PK\1\2", at), (b"PK\3\4", at - 2)):
        place = out.find(magic)
        while place >= 0:
            value = struct.unpack_from("<I", out, place + off)[0]
            struct.pack_into("<I", out, place + off, change(value))
            place = out.find(magic, place + 4)
    return bytes(out)


def read_files(directory):
    files = {}
    for at, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            path = os.path.join(at, name)
            with open(path, "rb") as f:
                files["top/" + os.path.relpath(path, directory)] = f.read()
    return files


def make(kind, directory):
    form, _, fault = kind.partition("-")
    files = read_files(directory)
    methods = {"zip": zipfile.ZIP_DEFLATED, "stored": zipfile.ZIP_STORED}
    archive = Zip(methods[form]) if form in methods else Tar()
    for name, data in files.items():
        archive.add(name, data)
    if "fault_" + fault in globals():
        globals()["fault_" + fault](archive, files)
    data = archive.finish()
    data = {"gz": gzip.compress, "xz": lzma.compress}.get(form.partition(".")[2], bytes)(data)
    return globals().get("spoil_" + fault, bytes)(data)


if __name__ == "__main__":
    import warnings
    warnings.simplefilter("ignore")  # about duplicate names
    with open(sys.argv[3], "wb") as out:
        out.write(make(sys.argv[1], sys.argv[2]))
