#include "tests/aid/live_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/base/num.h"

enum { AT_PLAN_ID_FRONT = 72, AT_PLAN_ID_BACK = 48, AT_ROOT = 64, AT_SELF = 4080, AT_SHA = 32 };

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

void live_pack_open(const small_model *model, const small_options *options, live_pack *out)
{
    *out = (live_pack){.fd = -1};
    small_pack_build(model, options, &out->pack);
    must(out->pack.length <= LIVE_MOST_BYTES);
    out->length = out->pack.length;
    out->fd = small_memfd(out->pack.bytes, out->length);
    out->bytes = mmap(NULL, LIVE_MOST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, out->fd, 0);
    must(out->bytes != MAP_FAILED);
    snprintf(out->path, sizeof out->path, "/proc/self/fd/%d", out->fd);
}

void live_pack_write(live_pack *l, uint64_t off, const void *from, uint64_t count)
{
    must(off <= l->pack.length && count <= l->pack.length - off);
    memcpy(l->bytes + off, from, count);
    for (uint64_t p = off / PACK_BLOCK; p * PACK_BLOCK < off + count; p++) {
        l->touched[p] = true;
    }
}

static bool is_touched(const live_pack *l, uint64_t off, uint64_t count)
{
    bool any = false;
    for (uint64_t p = off / PACK_BLOCK; p * PACK_BLOCK < off + count && !any; p++) {
        any = l->touched[p];
    }
    return any;
}

void live_pack_copy_directory(live_pack *l)
{
    live_pack_write(l, l->pack.length - PACK_BLOCK + PACK_DIR_OFF, l->bytes + PACK_DIR_OFF,
                    PACK_HEAD_SECTIONS * PACK_ENTRY_BYTES);
}

/* ---- signing --------------------------------------------------- */

static void sign_record(live_pack *l, uint32_t i, const pack_evidence *v, bool all)
{
    const pack_record *const r = &l->pack.table.records[i];
    const size_t each = digest_bytes(v->alg);
    if (!all && !is_touched(l, r->off, r->len)) {
        return;
    }
    for (uint64_t k = 0; k < r->chunk_count; k++) {
        const pack_chunk c = pack_record_chunk(r, k);
        unsigned char digest[DIGEST_MAX];
        const unsigned char *const to = pack_evidence_chunk(v, r->chunk_first + k);
        must(digest_of(v->alg, l->bytes + c.off, c.bytes, digest, NULL) == OK);
        live_pack_write(l, (uint64_t)(to - l->bytes), digest, each);
    }
    unsigned char digest[DIGEST_MAX];
    must(pack_tensor_digest(v, r, digest, NULL) == OK);
    live_pack_write(l, (uint64_t)(pack_evidence_tensor(v, i) - l->bytes), digest, each);
}

static void sign_tensors(live_pack *l)
{
    const pack_section *const chnk = small_pack_section(&l->pack, TAG_CHNK);
    const pack_section *const tdig = small_pack_section(&l->pack, TAG_TDIG);
    const uint64_t each = tdig->len / l->pack.table.count;
    const pack_evidence v = {.alg = each == SHA256_BYTES ? DIGEST_SHA256 : DIGEST_XXH3,
                             .chunks = l->bytes + chnk->off,
                             .tensors = l->bytes + tdig->off};
    const bool all = is_touched(l, chnk->off, chnk->len) || is_touched(l, tdig->off, tdig->len);
    for (uint32_t i = 0; i < l->pack.table.count; i++) {
        sign_record(l, i, &v, all);
    }
}

/* The digest of a section that was not touched is the one that the file was built with. */
static void sign_section(live_pack *l, unsigned i)
{
    const pack_section *const s = &l->pack.sections[i];
    const uint64_t entry = PACK_DIR_OFF + i * PACK_ENTRY_BYTES + AT_SHA;
    const uint64_t back = l->pack.length - PACK_BLOCK;
    unsigned char sha[SHA256_BYTES];
    if (is_touched(l, s->off, s->len)) {
        must(digest_sha256(l->bytes + s->off, s->len, sha, NULL) == OK);
    } else {
        memcpy(sha, l->pack.bytes + back + entry, sizeof sha);
    }
    live_pack_write(l, back + entry, sha, sizeof sha);
    if (i < PACK_HEAD_SECTIONS) {
        live_pack_write(l, entry, sha, sizeof sha);
    }
}

static void sign_rest(live_pack *l)
{
    unsigned char *const b = l->bytes;
    unsigned char *const back = b + l->pack.length - PACK_BLOCK;
    const uint64_t head = l->pack.table.data_off - PACK_BLOCK;
    for (unsigned i = 0; i < PACK_HEAD_SECTIONS + PACK_TAIL_SECTIONS; i++) {
        sign_section(l, i);
    }
    if (is_touched(l, PACK_BLOCK, head)) {
        digest_xxh3(b + PACK_BLOCK, head, b + AT_PLAN_ID_FRONT);
    } else {
        memcpy(b + AT_PLAN_ID_FRONT, l->pack.bytes + AT_PLAN_ID_FRONT, XXH3_BYTES);
    }
    memcpy(back + AT_PLAN_ID_BACK, b + AT_PLAN_ID_FRONT, XXH3_BYTES);
    digest_xxh3(b, AT_SELF, b + AT_SELF);
    must(pack_root(b, back, back + AT_ROOT, NULL) == OK);
    digest_xxh3(back, AT_SELF, back + AT_SELF);
}

void live_pack_sign(live_pack *l, unsigned what)
{
    if (what & LIVE_TENSORS) {
        sign_tensors(l);
    }
    if (what & LIVE_REST) {
        sign_rest(l);
    }
}

/* ---- putting back ---------------------------------------------- */

void live_pack_cut(live_pack *l, uint64_t length)
{
    must(length <= LIVE_MOST_BYTES && ftruncate(l->fd, (off_t)length) == 0);
    l->length = length;
}

bool live_pack_is_changed(const live_pack *l)
{
    bool changed = l->length != l->pack.length;
    for (uint64_t p = 0; p * PACK_BLOCK < l->pack.length && !changed; p++) {
        changed = l->touched[p] && memcmp(l->bytes + p * PACK_BLOCK, l->pack.bytes + p * PACK_BLOCK,
                                          PACK_BLOCK) != 0;
    }
    return changed;
}

void live_pack_restore(live_pack *l)
{
    for (uint64_t p = l->length / PACK_BLOCK; p * PACK_BLOCK < l->pack.length; p++) {
        l->touched[p] = true;
    }
    if (l->length != l->pack.length) {
        must(ftruncate(l->fd, (off_t)l->pack.length) == 0);
        l->length = l->pack.length;
    }
    for (uint64_t p = 0; p * PACK_BLOCK < l->pack.length; p++) {
        if (l->touched[p]) {
            memcpy(l->bytes + p * PACK_BLOCK, l->pack.bytes + p * PACK_BLOCK, PACK_BLOCK);
            l->touched[p] = false;
        }
    }
}
