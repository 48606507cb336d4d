#include "format/base/digest.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* XXH3_* in this file: the library chooses the instruction set */
#endif

size_t digest_bytes(digest_alg alg)
{
    return alg == DIGEST_SHA256 ? SHA256_BYTES : XXH3_BYTES;
}

const char *digest_name(digest_alg alg)
{
    return alg == DIGEST_SHA256 ? "sha256" : "xxh3";
}

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

/* libcrypto can fail only without memory; a digest of zeros then fails every comparison. */
void digest_sha256(const void *data, size_t bytes, unsigned char out[SHA256_BYTES])
{
    if (EVP_Digest(data, bytes, out, NULL, EVP_sha256(), NULL) != 1) {
        memset(out, 0, SHA256_BYTES);
    }
}

void digest_of(digest_alg alg, const void *data, size_t bytes, unsigned char *out)
{
    if (alg == DIGEST_SHA256) {
        digest_sha256(data, bytes, out);
    } else {
        digest_xxh3(data, bytes, out);
    }
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

/* One of both states is there. */
struct digest_stream {
    XXH3_state_t *xxh3;
    EVP_MD_CTX *sha256;
    bool failed; /* libcrypto could not begin anew */
};

digest_stream *digest_start(digest_alg alg)
{
    digest_stream *const s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    if (alg == DIGEST_SHA256) {
        s->sha256 = EVP_MD_CTX_new();
    } else {
        s->xxh3 = XXH3_createState();
    }
    if (s->xxh3) {
        digest_restart(s);
    } else if (!s->sha256 || EVP_DigestInit_ex(s->sha256, EVP_sha256(), NULL) != 1) {
        digest_discard(s);
        return NULL;
    }
    return s;
}

void digest_add(digest_stream *s, const void *data, size_t bytes)
{
    if (s->xxh3) {
        (void)XXH3_128bits_update(s->xxh3, data, bytes); /* fails for NULL only */
    } else if (!s->failed) {
        s->failed = EVP_DigestUpdate(s->sha256, data, bytes) != 1;
    }
}

void digest_restart(digest_stream *s)
{
    if (s->xxh3) {
        (void)XXH3_128bits_reset(s->xxh3); /* fails for NULL only */
    } else {
        s->failed = EVP_DigestInit_ex(s->sha256, EVP_sha256(), NULL) != 1;
    }
}

void digest_finish(digest_stream *s, unsigned char *out)
{
    if (s->xxh3) {
        store_xxh3(XXH3_128bits_digest(s->xxh3), out);
    } else if (s->failed || EVP_DigestFinal_ex(s->sha256, out, NULL) != 1) {
        memset(out, 0, SHA256_BYTES);
    }
    digest_discard(s);
}

void digest_discard(digest_stream *s)
{
    if (s) {
        XXH3_freeState(s->xxh3);
        EVP_MD_CTX_free(s->sha256);
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
