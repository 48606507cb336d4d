#include "format/base/digest.h"

#include <assert.h>
#include <openssl/err.h>
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

static err_code xxh3_whole(const void *data, size_t bytes, unsigned char *out, err *e)
{
    (void)e;
    digest_xxh3(data, bytes, out);
    return OK;
}

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

static void xxh3_close(void *state)
{
    XXH3_freeState(state);
}

/* The library refuses only a state that is NULL, which it had no memory for. */
static err_code xxh3_refuse(err *e)
{
    return err_set(e, ERR_MEMORY, "no memory for an XXH3 digest");
}

/* ---- SHA-256 --------------------------------------------------- */

/* Memory is all that SHA-256 can lack. libcrypto does not always say so: depending on the allocation
 * that failed, its reason is "malloc failure", "initialization error", "unsupported", or none. */
static err_code sha256_refuse(err *e)
{
    char reason[256] = "libcrypto gives no reason";
    const unsigned long first = ERR_get_error();
    if (first != 0) {
        ERR_error_string_n(first, reason, sizeof reason);
    }
    ERR_clear_error();
    return err_set(e, ERR_MEMORY, "no memory for a SHA-256 digest (%s)", reason);
}

static err_code sha256_whole(const void *data, size_t bytes, unsigned char *out, err *e)
{
    const bool done = EVP_Digest(data, bytes, out, NULL, EVP_sha256(), NULL) == 1;
    return done ? OK : sha256_refuse(e);
}

err_code digest_sha256(const void *data, size_t bytes, unsigned char out[SHA256_BYTES], err *e)
{
    return sha256_whole(data, bytes, out, e);
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

static void sha256_close(void *state)
{
    EVP_MD_CTX_free(state);
}

/* ---- any algorithm --------------------------------------------- */

typedef struct algorithm {
    digest_alg alg;
    const char *name;
    size_t bytes;
    err_code (*whole)(const void *data, size_t bytes, unsigned char *out, err *e);
    void *(*create)(void); /* NULL: no memory */
    bool (*restart)(void *state);
    bool (*add)(void *state, const void *data, size_t bytes);
    bool (*finish)(void *state, unsigned char *out);
    void (*close)(void *state);
    err_code (*refuse)(err *e); /* after a function that returned NULL or false */
} algorithm;

static const algorithm table[DIGEST_COUNT] = {
#define X(name, word, number, bytes)                                                               \
    {DIGEST_##name,  #word,      bytes,         word##_whole, word##_create,                       \
     word##_restart, word##_add, word##_finish, word##_close, word##_refuse},
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
    return of(alg)->whole(data, bytes, out, e);
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
    if (!s) {
        return err_set(e, ERR_MEMORY, "no memory for a digest");
    }
    s->how = of(alg);
    s->state = s->how->create();
    if (!s->state || !s->how->restart(s->state)) {
        const err_code code = s->how->refuse(e);
        digest_close(s);
        return code;
    }
    *out = s;
    return OK;
}

err_code digest_add(digest_stream *s, const void *data, size_t bytes, err *e)
{
    return s->how->add(s->state, data, bytes) ? OK : s->how->refuse(e);
}

err_code digest_finish(digest_stream *s, unsigned char *out, err *e)
{
    return s->how->finish(s->state, out) ? OK : s->how->refuse(e);
}

err_code digest_restart(digest_stream *s, err *e)
{
    return s->how->restart(s->state) ? OK : s->how->refuse(e);
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
