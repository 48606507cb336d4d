#include "format/base/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* XXH3_* in this file: the library chooses the instruction set */
#endif

const digest_alg digest_algs[DIGEST_COUNT] = {
#define X(name, word, number, bytes) DIGEST_##name,
    DIGEST_LIST(X)
#undef X
};

#define X(name, word, number, bytes)                                                               \
    _Static_assert((bytes) <= DIGEST_MAX, "DIGEST_MAX must hold every digest");
DIGEST_LIST(X)
#undef X

/* ---- whole data ------------------------------------------------ */

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

/* libcrypto fails only if memory is short; the digest of zeros then fails every comparison. */
void digest_sha256(const void *data, size_t bytes, unsigned char out[SHA256_BYTES])
{
    if (EVP_Digest(data, bytes, out, NULL, EVP_sha256(), NULL) != 1) {
        memset(out, 0, SHA256_BYTES);
    }
}

/* ---- data in parts --------------------------------------------- */

static void *xxh3_create(void)
{
    return XXH3_createState();
}

static bool xxh3_restart(void *state)
{
    return XXH3_128bits_reset(state) == XXH_OK;
}

static bool xxh3_add(void *state, const void *data, size_t bytes)
{
    return XXH3_128bits_update(state, data, bytes) == XXH_OK;
}

static bool xxh3_finish(void *state, unsigned char *out)
{
    store_xxh3(XXH3_128bits_digest(state), out);
    return true;
}

static void xxh3_discard(void *state)
{
    XXH3_freeState(state);
}

static void *sha256_create(void)
{
    return EVP_MD_CTX_new();
}

static bool sha256_restart(void *state)
{
    return EVP_DigestInit_ex(state, EVP_sha256(), NULL) == 1;
}

static bool sha256_add(void *state, const void *data, size_t bytes)
{
    return EVP_DigestUpdate(state, data, bytes) == 1;
}

static bool sha256_finish(void *state, unsigned char *out)
{
    return EVP_DigestFinal_ex(state, out, NULL) == 1;
}

static void sha256_discard(void *state)
{
    EVP_MD_CTX_free(state);
}

/* ---- any algorithm --------------------------------------------- */

typedef struct algorithm {
    digest_alg alg;
    const char *name;
    size_t bytes;
    void (*whole)(const void *data, size_t bytes, unsigned char *out);
    void *(*create)(void); /* NULL: no memory */
    bool (*restart)(void *state);
    bool (*add)(void *state, const void *data, size_t bytes);
    bool (*finish)(void *state, unsigned char *out);
    void (*discard)(void *state);
} algorithm;

static const algorithm table[DIGEST_COUNT] = {
#define X(name, word, number, bytes)                                                               \
    {DIGEST_##name,  #word,      bytes,         digest_##word, word##_create,                      \
     word##_restart, word##_add, word##_finish, word##_discard},
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

void digest_of(digest_alg alg, const void *data, size_t bytes, unsigned char *out)
{
    of(alg)->whole(data, bytes, out);
}

void digest_combine(digest_alg alg, const unsigned char *pieces, size_t count, unsigned char *out)
{
    const size_t each = digest_bytes(alg);
    if (count == 1) {
        memcpy(out, pieces, each);
    } else {
        digest_of(alg, pieces, count * each, out);
    }
}

struct digest_stream {
    const algorithm *how;
    void *state;
    bool failed; /* until the next restart: libcrypto had no memory */
};

digest_stream *digest_start(digest_alg alg)
{
    digest_stream *const s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->how = of(alg);
    s->state = s->how->create();
    if (!s->state || !s->how->restart(s->state)) {
        digest_discard(s);
        return NULL;
    }
    return s;
}

void digest_add(digest_stream *s, const void *data, size_t bytes)
{
    s->failed = s->failed || !s->how->add(s->state, data, bytes);
}

void digest_restart(digest_stream *s)
{
    s->failed = !s->how->restart(s->state);
}

/* A digest of zeros fails every comparison. */
void digest_finish(digest_stream *s, unsigned char *out)
{
    if (s->failed || !s->how->finish(s->state, out)) {
        memset(out, 0, s->how->bytes);
    }
    digest_discard(s);
}

void digest_discard(digest_stream *s)
{
    if (s) {
        s->how->discard(s->state);
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
