#include "format/base/digest.h"

#include <assert.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* XXH3_* in this file: the library chooses the instruction set */
#endif

#include "format/base/num.h"

const digest_alg digest_algs[DIGEST_COUNT] = {
#define X(name, word, number, bytes) DIGEST_##name,
    DIGEST_LIST(X)
#undef X
};

#define X(name, word, number, bytes)                                                               \
    _Static_assert((bytes) <= DIGEST_MAX, "DIGEST_MAX must hold every digest");
DIGEST_LIST(X)
#undef X

/* ---- XXH3 ------------------------------------------------------ */

static void store_xxh3(XXH128_hash_t hash, unsigned char out[XXH3_BYTES])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(out, canonical.digest, XXH3_BYTES);
}

void digest_xxh3(const void *data, size_t bytes, unsigned char out[XXH3_BYTES])
{
    store_xxh3(XXH3_128bits(data, bytes), out);
}

static err_code xxh3_whole(const void *data, size_t bytes, const monitor *m, unsigned char *out,
                           err *e)
{
    (void)m;
    (void)e;
    digest_xxh3(data, bytes, out);
    return OK;
}

static void *xxh3_create(void)
{
    return XXH3_createState();
}

/* The library refuses only a state that is NULL. */
static void xxh3_restart(void *state)
{
    (void)XXH3_128bits_reset(state);
}

static void xxh3_add(void *state, const void *data, size_t bytes)
{
    (void)XXH3_128bits_update(state, data, bytes);
}

static void xxh3_finish(void *state, unsigned char *out)
{
    store_xxh3(XXH3_128bits_digest(state), out);
}

static void xxh3_close(void *state)
{
    XXH3_freeState(state);
}

/* ---- SHA-256 --------------------------------------------------- */

static err_code sha256_whole(const void *data, size_t bytes, const monitor *m, unsigned char *out,
                             err *e)
{
    enum { PIECE = 4 << 20 }; /* 20 ms without instructions for SHA-256 */
    struct sha256_ctx state;
    sha256_init(&state);
    for (size_t done = 0; done < bytes;) {
        const size_t piece = num_min(PIECE, bytes - done);
        TRY(monitor_step(done > 0 ? m : NULL, 0, e));
        sha256_update(&state, piece, (const uint8_t *)data + done);
        done += piece;
    }
    sha256_digest(&state, SHA256_BYTES, out);
    return OK;
}

err_code digest_sha256(const void *data, size_t bytes, unsigned char out[SHA256_BYTES], err *e)
{
    return sha256_whole(data, bytes, NULL, out, e);
}

static void *sha256_create(void)
{
    return malloc(sizeof(struct sha256_ctx));
}

static void sha256_restart(void *state)
{
    sha256_init(state);
}

static void sha256_add(void *state, const void *data, size_t bytes)
{
    sha256_update(state, bytes, data);
}

static void sha256_finish(void *state, unsigned char *out)
{
    sha256_digest(state, SHA256_BYTES, out);
}

static void sha256_close(void *state)
{
    free(state);
}

/* ---- any algorithm --------------------------------------------- */

typedef struct algorithm {
    digest_alg alg;
    const char *name;
    size_t bytes;
    err_code (*whole)(const void *data, size_t bytes, const monitor *m, unsigned char *out, err *e);
    void *(*create)(void); /* NULL: no memory */
    void (*restart)(void *state);
    void (*add)(void *state, const void *data, size_t bytes);
    void (*finish)(void *state, unsigned char *out);
    void (*close)(void *state);
} algorithm;

static const algorithm table[DIGEST_COUNT] = {
#define X(name, word, number, bytes)                                                               \
    {DIGEST_##name,  #word,      bytes,         word##_whole, word##_create,                       \
     word##_restart, word##_add, word##_finish, word##_close},
    DIGEST_LIST(X)
#undef X
};

/* NULL if no algorithm has this number. */
static const algorithm *find(unsigned number)
{
    for (int i = 0; i < DIGEST_COUNT; i++) {
        if ((unsigned)table[i].alg == number) {
            return &table[i];
        }
    }
    return NULL;
}

static const algorithm *of(digest_alg alg)
{
    const algorithm *const a = find((unsigned)alg);
    assert(a);
    return a;
}

bool digest_known(unsigned number)
{
    return find(number) != NULL;
}

size_t digest_bytes(digest_alg alg)
{
    return of(alg)->bytes;
}

const char *digest_name(digest_alg alg)
{
    return of(alg)->name;
}

err_code digest_of(digest_alg alg, const void *data, size_t bytes, unsigned char *out, err *e)
{
    return of(alg)->whole(data, bytes, NULL, out, e);
}

err_code digest_long(digest_alg alg, const void *data, size_t bytes, const monitor *m,
                     unsigned char *out, err *e)
{
    return of(alg)->whole(data, bytes, m, out, e);
}

err_code digest_combine(digest_alg alg, const unsigned char *pieces, size_t count,
                        unsigned char *out, err *e)
{
    const size_t each = digest_bytes(alg);
    if (count == 1) {
        memcpy(out, pieces, each);
        return OK;
    }
    return digest_of(alg, pieces, count * each, out, e);
}

void digest_combine_xxh3(const unsigned char *pieces, size_t count, unsigned char out[XXH3_BYTES])
{
    if (count == 1) {
        memcpy(out, pieces, XXH3_BYTES);
    } else {
        digest_xxh3(pieces, count * XXH3_BYTES, out);
    }
}

struct digest_stream {
    const algorithm *how;
    void *state;
};

err_code digest_open(digest_alg alg, digest_stream **out, err *e)
{
    digest_stream *const s = calloc(1, sizeof *s);
    void *const state = of(alg)->create();
    if (!s || !state) {
        of(alg)->close(state);
        free(s);
        return err_set(e, ERR_MEMORY, "no memory for a digest");
    }
    s->how = of(alg);
    s->state = state;
    s->how->restart(state);
    *out = s;
    return OK;
}

err_code digest_add(digest_stream *s, const void *data, size_t bytes, err *e)
{
    (void)e;
    s->how->add(s->state, data, bytes);
    return OK;
}

err_code digest_finish(digest_stream *s, unsigned char *out, err *e)
{
    (void)e;
    s->how->finish(s->state, out);
    return OK;
}

err_code digest_restart(digest_stream *s, err *e)
{
    (void)e;
    s->how->restart(s->state);
    return OK;
}

void digest_close(digest_stream *s)
{
    if (s) {
        s->how->close(s->state);
        free(s);
    }
}

void hex_encode(const unsigned char *data, size_t bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}
