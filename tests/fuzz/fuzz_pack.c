/* Packed files: the input is a list of patches to a small valid file. Its first byte says what
 * happens after patching; with recomputed digests, patches get past the digests to the rules that
 * are checked after them.
 *
 *     byte 0      bits: 1 recompute CHNK and TDIG, 2 recompute all other digests, 4 first copy the
 *                 superblock's directory to the trailer, 8 set the length, 16 a file with SHA-256
 *     with 8      u24 length
 *     patches     u24 where, u8 count (% 33), the bytes. `where` counts the bytes that are not
 *                 padding, then those of the file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/num.h"
#include "format/pack/pack_file.h"
#include "tests/aid/small_pack.h"
#include "verify/integrity/integrity.h"

enum { SIGN_TENSORS = 1, SIGN_REST = 2, COPY_DIRECTORY = 4, SET_LENGTH = 8, USE_SHA256 = 16 };
enum { MAX_LENGTH = 1 << 18, HEAD_DIR_BYTES = PACK_HEAD_SECTIONS * PACK_ENTRY_BYTES };

typedef struct input {
    const uint8_t *next, *end;
} input;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t take(input *in, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes && in->next < in->end; i++) {
        v |= (uint64_t)*in->next++ << 8 * i;
    }
    return v;
}

/* Skip the first `*where` bytes of a range; true if that ends inside it. */
static bool lies_in(uint64_t off, uint64_t length, uint64_t *where)
{
    if (*where < length) {
        *where += off;
        return true;
    }
    *where -= length;
    return false;
}

static uint64_t locate(const small_pack *p, uint64_t where)
{
    if (lies_in(0, 1536, &where) || lies_in(p->length - 4096, 1536, &where)) {
        return where;
    }
    for (size_t i = 0; i < sizeof p->sections / sizeof p->sections[0]; i++) {
        if (lies_in(p->sections[i].off, p->sections[i].len, &where)) {
            return where;
        }
    }
    for (uint32_t i = 0; i < p->table.count; i++) {
        if (lies_in(p->table.records[i].off, p->table.records[i].len, &where)) {
            return where;
        }
    }
    return where % p->length;
}

static void patch(const small_pack *p, input *in, unsigned char *bytes)
{
    while (in->next < in->end) {
        const uint64_t at = locate(p, take(in, 3));
        const uint64_t wanted = take(in, 1) % 33;
        const uint64_t left = (uint64_t)(in->end - in->next);
        const uint64_t count = num_min(num_min(wanted, left), p->length - at);
        memcpy(bytes + at, in->next, count);
        in->next += count;
    }
}

static void sign(const small_pack *p, unsigned flags, unsigned char *bytes)
{
    unsigned char *const back = bytes + p->length - PACK_BLOCK;
    if (flags & COPY_DIRECTORY) {
        memcpy(back + PACK_DIR_OFF, bytes + PACK_DIR_OFF, HEAD_DIR_BYTES);
    }
    if (flags & SIGN_TENSORS) {
        small_pack_sign_tensors(p, bytes);
    }
    if (flags & SIGN_REST) {
        small_pack_sign(p, bytes);
    }
}

static void require(bool holds)
{
    if (!holds) {
        __builtin_trap();
    }
}

static void check_report(err_code code, const err *e, const integrity_report *r)
{
    require(code == e->code && (code == OK || e->text[0]));
    for (size_t i = 0; i < r->count; i++) {
        const damage *const d = &r->damages[i];
        require(d->place[0] && d->what[0]);
        require(d->code == ERR_DAMAGED || d->code == ERR_INPUT);
        require(i == 0 || r->damages[i - 1].off <= d->off);
    }
}

/* A file without damage opens and has its original length. True if no damage is found. */
static bool check_file(const small_pack *p, const unsigned char *bytes, uint64_t length)
{
    const integrity_options options = {.threads = 1, .memory = 16 << 20};
    const int fd = small_memfd(bytes, length);
    integrity_report r;
    err e = {0};
    const err_code code = integrity_check(fd, "f", &options, NULL, &r, &e);
    check_report(code, &e, &r);
    const bool whole = code == OK && r.count == 0;
    integrity_report_free(&r);

    char path[32];
    pack_file *file = NULL;
    pack_evidence v;
    err why = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const err_code opened = pack_open(path, &file, &why);
    require(opened == why.code && (opened == OK || !whole));
    if (opened == OK) {
        const err_code read = pack_read_evidence(file, &v, &why);
        require(read == OK || !whole);
        if (read == OK) {
            pack_evidence_free(&v);
        }
    }
    pack_close(file);
    close(fd);
    require(!whole || length == p->length);
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static small_pack files[2];
    static unsigned char bytes[MAX_LENGTH];
    input in = {data, data + size};
    const unsigned flags = (unsigned)take(&in, 1);
    const bool sha256 = flags & USE_SHA256;
    small_pack *const p = &files[sha256];
    if (!p->bytes) {
        small_pack_build(&small_model_default, &(small_options){.sha256 = sha256}, p);
    }
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, p->bytes, p->length);
    uint64_t length = p->length;
    if (flags & SET_LENGTH) {
        length = num_min(take(&in, 3), MAX_LENGTH);
    }
    patch(p, &in, bytes);
    sign(p, flags, bytes);
    const bool whole = check_file(p, bytes, length);
    const bool changed = memcmp(bytes, p->bytes, p->length) != 0;
    require(!whole || !changed || (flags & SIGN_REST));
    return 0;
}
