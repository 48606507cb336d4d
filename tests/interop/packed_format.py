"""The packed format as tables and small rules (spec/format.md), shared by the Python reader, writer
and patcher.

Written from the specification alone and sharing no code with the tool, so that the two can contradict
each other. Every structure is a Layout: a list of fields that must cover it without a gap, including
reserved fields; therefore tests/hostile/patch_packed.py can find every field without a separate list.

Needs python3-xxhash in addition to the standard library.
"""

import hashlib
import json
import re

import xxhash

PAGE = 4096
DATA_ALIGN = 1 << 16
SMALL_ALIGN = 256
CHUNK = 1 << 21
TILE = 128
NONE32 = 0xFFFFFFFF
MAGIC = bytes.fromhex("d74638500d0a1a0a")
TRAILER_MAGIC = bytes.fromhex("503846d70a1a0a0d")
HEAD_TAGS = ["TENS", "NIDX", "STRS", "FILE", "RCPE"]
TAIL_TAGS = ["CHNK", "TDIG", "SDIG", "STAT", "PROV"]
KEPT, CODES, SCALES = 0, 1, 2
QUANTIZED, CARRIED = 1, 2  # origins
CLASS_NAMES = ["kept", "codes", "scales"]
ORIGIN_NAMES = ["kept", "quantized", "carried"]
DIALECT_NAMES = ["none", "ieee", "deepgemm", "transformers", "transformer-engine"]
DIALECT_NAMES += ["compressed-tensors", "linghe"]
XXH3, SHA256 = 1, 2
DIGEST_NAMES = {XXH3: "xxh3", SHA256: "sha256"}
DIGEST_BYTES = {XXH3: 16, SHA256: 32}
SCALE_SUFFIX = "_scale_inv"

# number: (name, bits); spec/format.md 5.1
DTYPES = {
    1: ("F8_E4M3", 8),
    2: ("F8_E5M2", 8),
    3: ("BF16", 16),
    4: ("F16", 16),
    5: ("F32", 32),
    6: ("I64", 64),
    7: ("I32", 32),
    8: ("U8", 8),
    9: ("F8_E8M0", 8),
    10: ("F64", 64),
    11: ("BOOL", 8),
    12: ("I8", 8),
    13: ("I16", 16),
    14: ("U16", 16),
    15: ("U32", 32),
    16: ("U64", 64),
    17: ("C64", 64),
    18: ("F4", 4),
    19: ("F6_E2M3", 6),
    20: ("F6_E3M2", 6),
    21: ("F8_E4M3FNUZ", 8),
    22: ("F8_E5M2FNUZ", 8),
}
DTYPE_NUMBER = {name: number for number, (name, _) in DTYPES.items()}
DTYPE_BITS = {name: bits for name, bits in DTYPES.values()}
E4M3, F32, E8M0 = (DTYPE_NUMBER[name] for name in ("F8_E4M3", "F32", "F8_E8M0"))


class Layout:
    """A structure of fixed size: unpack() gives a dict, pack() takes one. Integers up to 8 bytes,
    else bytes."""

    def __init__(self, size, fields):
        self.size = size
        self.fields = {}
        at = 0
        for name, offset, length in fields:
            assert offset == at, (name, offset, at)
            self.fields[name] = (offset, length)
            at += length
        assert at == size, (at, size)

    def is_bytes(self, name):
        return self.fields[name][1] > 8 or name.startswith("reserved") or name in ("magic", "tag")

    def unpack(self, raw):
        assert len(raw) == self.size
        out = {}
        for name, (offset, length) in self.fields.items():
            part = bytes(raw[offset : offset + length])
            out[name] = part if self.is_bytes(name) else int.from_bytes(part, "little")
        return out

    def pack(self, values):
        raw = bytearray(self.size)
        for name, value in values.items():
            self.put(raw, 0, name, value)
        return bytes(raw)

    def put(self, raw, base, name, value):
        offset, length = self.fields[name]
        if not self.is_bytes(name):
            value = value.to_bytes(length, "little")
        assert len(value) == length, name
        raw[base + offset : base + offset + length] = value

    def reserved(self):
        return [name for name in self.fields if name.startswith("reserved")]


SUPERBLOCK = Layout(
    PAGE,
    [
        ("magic", 0, 8),
        ("version", 8, 4),
        ("block_bytes", 12, 4),
        ("incompat", 16, 8),
        ("compat", 24, 8),
        ("align_log2", 32, 1),
        ("chunk_log2", 33, 1),
        ("digest_alg", 34, 1),
        ("reserved_35", 35, 1),
        ("head_sections", 36, 4),
        ("tensor_count", 40, 8),
        ("chunk_count", 48, 8),
        ("data_off", 56, 8),
        ("data_end", 64, 8),
        ("plan_id", 72, 16),
        ("reserved_88", 88, 424),
        ("dir", 512, 1024),
        ("reserved_1536", 1536, 2544),
        ("self", 4080, 16),
    ],
)

TRAILER = Layout(
    PAGE,
    [
        ("magic", 0, 8),
        ("version", 8, 4),
        ("sections", 12, 4),
        ("incompat", 16, 8),
        ("compat", 24, 8),
        ("file_bytes", 32, 8),
        ("data_end", 40, 8),
        ("plan_id", 48, 16),
        ("root", 64, 32),
        ("reserved_96", 96, 416),
        ("dir", 512, 3072),
        ("reserved_3584", 3584, 496),
        ("self", 4080, 16),
    ],
)

ENTRY = Layout(
    64,
    [
        ("tag", 0, 4),
        ("flags", 4, 4),
        ("off", 8, 8),
        ("len", 16, 8),
        ("reserved_24", 24, 8),
        ("sha256", 32, 32),
    ],
)

RECORD = Layout(
    128,
    [
        ("name_off", 0, 4),
        ("name_len", 4, 2),
        ("dtype", 6, 1),
        ("ndim", 7, 1),
        ("shape0", 8, 8),
        ("shape1", 16, 8),
        ("shape2", 24, 8),
        ("shape3", 32, 8),
        ("shape4", 40, 8),
        ("shape5", 48, 8),
        ("off", 56, 8),
        ("len", 64, 8),
        ("chunk_bytes", 72, 8),
        ("chunk_first", 80, 8),
        ("chunk_count", 88, 8),
        ("scale_idx", 96, 4),
        ("layer", 100, 4),
        ("block_rows", 104, 4),
        ("block_cols", 108, 4),
        ("src_dtype", 112, 1),
        ("origin", 113, 1),
        ("dialect", 114, 1),
        ("flags", 115, 1),
        ("reserved_116", 116, 12),
    ],
)

STAT_ROW = Layout(
    64,
    [
        ("amax", 0, 4),
        ("scale_min", 4, 4),
        ("scale_max", 8, 4),
        ("reserved_12", 12, 4),
        ("saturated", 16, 8),
        ("zero", 24, 8),
        ("flushed", 32, 8),
        ("sum_sq_source", 40, 8),
        ("sum_sq_error", 48, 8),
        ("reserved_56", 56, 8),
    ],
)

SUPERBLOCK_DIR_ENTRIES, TRAILER_DIR_ENTRIES = 16, 48


def align(x, a):
    return -(-x // a) * a


def ceil_div(a, b):
    return -(-a // b)


def pad_to(data, a):
    return data + bytes(align(len(data), a) - len(data))


def xxh3(data):
    """XXH3-128 with seed 0 in canonical form, which python3-xxhash calls digest()."""
    return xxhash.xxh3_128_digest(data)


def sha256(data):
    return hashlib.sha256(data).digest()


def digest(alg, data):
    return xxh3(data) if alg == XXH3 else sha256(data)


def combine(alg, parts):
    """The digest of data that was divided into pieces (sections 6 and 7)."""
    return parts[0] if len(parts) == 1 else digest(alg, b"".join(parts))


def canonical_json(value):
    """Canonical JSON of section 1, as bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda k: k.encode("utf-8"))
        return (
            b"{" + b",".join(json_string(k) + b":" + canonical_json(value[k]) for k in keys) + b"}"
        )
    if isinstance(value, list):
        return b"[" + b",".join(canonical_json(v) for v in value) + b"]"
    if isinstance(value, str):
        return json_string(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    raise ValueError(f"canonical JSON has no {type(value).__name__}")


def json_string(text):
    out = []
    for unit in utf16_units(text):
        if unit in (0x22, 0x5C):
            out.append("\\" + chr(unit))
        elif 0x20 <= unit <= 0x7F:
            out.append(chr(unit))
        else:
            out.append(f"\\u{unit:04X}")
    return ('"' + "".join(out) + '"').encode("ascii")


def utf16_units(text):
    raw = text.encode("utf-16-be")
    return [raw[i] << 8 | raw[i + 1] for i in range(0, len(raw), 2)]


def parse_json(raw):
    """Parse JSON without duplicate keys; ValueError otherwise."""

    def unique(pairs):
        keys = [k for k, _ in pairs]
        if len(set(keys)) != len(keys):
            raise ValueError("duplicate key")
        return dict(pairs)

    return json.loads(raw.decode("utf-8"), object_pairs_hook=unique)


# Names (sections 5 and 5.2)


def canonical_decimal(component):
    """The number of a component without sign and leading zero, None for anything else."""
    return int(component) if re.fullmatch(r"0|[1-9][0-9]*", component, re.ASCII) else None


def layer_of(name):
    """The layer of a name, None without one."""
    parts = name.split(".")
    for before, part in zip(parts, parts[1:]):
        number = canonical_decimal(part)
        if before in ("layers", "h", "blocks") and number is not None and number < 1 << 31:
            return number
    return None


def expert_slot(name):
    """(prefix, component, suffix) around the component after the first component `experts`, None
    without one."""
    parts = name.split(".")
    if "experts" not in parts[:-1]:
        return None
    i = parts.index("experts") + 1
    return ".".join(parts[:i]) + ".", parts[i], "".join("." + p for p in parts[i + 1 :])


def is_stack(name):
    slot = expert_slot(name)
    return slot is not None and slot[1] == "*"


def expand(name, index):
    prefix, _, suffix = expert_slot(name)
    return f"{prefix}{index}{suffix}"


def name_bytes_valid(raw):
    if not 1 <= len(raw) <= 255 or any(b < 0x20 or b == 0x7F for b in raw):
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# Sizes (sections 5 and 6)


def product(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def slice_count(name, cls, shape, origin):
    if cls == CODES and len(shape) == 3:
        return shape[0]
    if cls == SCALES and origin == QUANTIZED:
        return 1
    return shape[0] if is_stack(name) else 1


def chunk_bytes_of(cls, shape):
    if cls != CODES:
        return CHUNK
    band = TILE * shape[-1]
    return band * max(1, CHUNK // band)


def pieces(length, piece):
    """[(start, end)] of `length` bytes divided from the start into pieces, the last one shorter."""
    return [(at, min(at + piece, length)) for at in range(0, length, piece)]


def place(cursor, length):
    """Where a record starts that follows `cursor` (section 5.3)."""
    if length == 0:
        return cursor
    return align(cursor, DATA_ALIGN if length >= DATA_ALIGN else SMALL_ALIGN)


# Embedded files (section 9)


def ustar(members):
    """The archive of [(name, bytes)] in its only spelling: numbers as POSIX pax and libarchive
    write them."""
    out = [
        ustar_header(name, len(data)) + pad_to(data, 512)
        for name, data in sorted(members, key=lambda m: m[0].encode())
    ]
    return b"".join(out) + bytes(1024)


def ustar_header(name, size):
    raw, prefix = name.encode("ascii"), b""
    if len(raw) > 100:
        prefix, _, raw = raw.partition(b"/")
    fields = [
        raw.ljust(100, b"\0"),
        b"000644 \0",
        b"000000 \0",
        b"000000 \0",
        b"%011o " % size,
        b"00000000000 ",
        b" " * 8,
        b"0",
        bytes(100),
        b"ustar\0",
        b"00",
        bytes(32),
        bytes(32),
        b"000000 \0",
        b"000000 \0",
        prefix.ljust(155, b"\0"),
        bytes(12),
    ]
    raw = b"".join(fields)
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


# Putting a file together (sections 2, 3, 4 and 10)


def entry(tag, off, content):
    return {"tag": tag.encode("ascii"), "off": off, "len": len(content), "sha256": sha256(content)}


def place_sections(sections, start):
    """Entries for [(tag, bytes)] from `start` on, their bytes with padding between them, and where
    they end."""
    entries, body, at = [], bytearray(), start
    for tag, content in sections:
        body += bytes(align(at, PAGE) - at)
        at = align(at, PAGE)
        entries.append(entry(tag, at, content))
        body += content
        at += len(content)
    return entries, bytes(body), at


def seal_superblock(values):
    raw = SUPERBLOCK.pack(values)[:-16]
    return raw + xxh3(raw)


def seal_trailer(values, superblock):
    """Root and self digest of a trailer whose other fields are `values`."""
    blank = TRAILER.pack({**values, "root": bytes(32)})[:-16]
    root = values.get("root") or sha256(superblock + blank)
    raw = TRAILER.pack({**values, "root": root})[:-16]
    return raw + xxh3(raw)


def pack_dir(entries, room):
    return b"".join(ENTRY.pack(e) for e in entries).ljust(room * ENTRY.size, b"\0")


def assemble(head, data_bytes, tail, alg, tensor_count, chunk_count):
    """Everything but the tensor data: ({offset: bytes}, file_bytes). `data_bytes` is the length
    from data_off to the end of the last tensor. The data goes to data_off, which is where the first
    piece ends."""
    head_entries, head_body, end = place_sections(head, PAGE)
    data_off = align(end, DATA_ALIGN)
    data_end = align(data_off + data_bytes, PAGE)
    tail_entries, tail_body, end = place_sections(tail, data_end)
    trailer_off = align(end, PAGE)
    head_body = head_body.ljust(data_off - PAGE, b"\0")
    shared = {
        "version": 1,
        "incompat": 0,
        "compat": 0,
        "data_end": data_end,
        "plan_id": xxh3(head_body),
    }
    superblock = seal_superblock(
        {
            **shared,
            "magic": MAGIC,
            "block_bytes": PAGE,
            "align_log2": 16,
            "chunk_log2": 21,
            "digest_alg": alg,
            "head_sections": len(head_entries),
            "tensor_count": tensor_count,
            "chunk_count": chunk_count,
            "data_off": data_off,
            "dir": pack_dir(head_entries, SUPERBLOCK_DIR_ENTRIES),
        }
    )
    trailer = seal_trailer(
        {
            **shared,
            "magic": TRAILER_MAGIC,
            "sections": len(head_entries + tail_entries),
            "file_bytes": trailer_off + PAGE,
            "dir": pack_dir(head_entries + tail_entries, TRAILER_DIR_ENTRIES),
        },
        superblock,
    )
    return {
        0: superblock + head_body,
        data_end: tail_body,
        trailer_off: trailer,
    }, trailer_off + PAGE
