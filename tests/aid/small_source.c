#include "tests/aid/small_source.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/digest.h"
#include "format/file/io.h"
#include "format/tensor/tensor_name.h"
#include "format/base/num.h"
#include "tests/aid/small_pack.h"

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* Mostly multiples of a sixteenth, so that halves of steps of E4M3 occur; the rest makes amax
 * differ from tile to tile. The first element of a tensor, the largest, makes the scale of its tile
 * 2^-10. */
static float value(uint64_t i, uint64_t *state)
{
    const uint64_t r = next(state);
    const float magnitude = ldexpf((float)(r % 32) / 256, 1 - (int)(r >> 8 & 0xff) % 10);
    const float finer = r >> 16 & 3 ? 1 : 1 + (float)(r >> 20 & 0xff) / 512;
    const float sign = r >> 40 & 1 ? -1 : 1;
    return i == 0 ? 0.4375f : sign * magnitude * finer;
}

static uint16_t to_f16(float x)
{
    int exponent = 0;
    const float m = frexpf(fabsf(x), &exponent); /* x = m * 2^exponent, m in [0.5, 1) */
    const unsigned sign = signbit(x) ? 0x8000 : 0;
    if (m == 0 || exponent < -13) {
        return (uint16_t)sign;
    }
    return (uint16_t)(sign | (unsigned)(exponent + 14) << 10 | ((unsigned)(m * 2048) & 0x3ff));
}

static float from_f16(uint16_t h)
{
    const int exponent = h >> 10 & 31;
    const float mantissa = (float)(h & 0x3ff);
    const float m = exponent ? ldexpf(1024 + mantissa, exponent - 25) : ldexpf(mantissa, -24);
    return h & 0x8000 ? -m : m;
}

static void store(dtype type, float x, unsigned char *to)
{
    uint32_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    if (type == DTYPE_F32) {
        le32_store(to, bits);
    } else {
        le16_store(to, type == DTYPE_F16 ? to_f16(x) : (uint16_t)(bits >> 16));
    }
}

void small_source_fill(uint64_t seed, const char *name, dtype type, uint64_t bytes,
                       unsigned char *out)
{
    unsigned char digest[XXH3_BYTES];
    digest_xxh3(name, strlen(name), digest);
    uint64_t state = seed ^ le64_load(digest);
    const bool is_float = type == DTYPE_BF16 || type == DTYPE_F16 || type == DTYPE_F32;
    const uint64_t each = is_float ? dtype_bits(type) / 8 : 1;
    for (uint64_t i = 0; i < bytes / each; i++) {
        if (is_float) {
            store(type, value(i, &state), out + i * each);
        } else {
            out[i] = (unsigned char)next(&state);
        }
    }
}

void small_source_widen(dtype type, const unsigned char *source, uint64_t count, float *out)
{
    for (uint64_t i = 0; i < count; i++) {
        if (type == DTYPE_F16) {
            out[i] = from_f16(le16_load(source + 2 * i));
            continue;
        }
        const uint32_t bits = type == DTYPE_BF16 ? (uint32_t)le16_load(source + 2 * i) << 16
                                                 : le32_load(source + 4 * i);
        memcpy(&out[i], &bits, sizeof bits);
    }
}

/* ---- checkpoint ------------------------------------------------ */

static void *must_have(void *p)
{
    if (!p) {
        abort();
    }
    return p;
}

/* Source tensor `e` of a small tensor: its name, and its shape without the stack's dimension. */
static uint64_t member_of(const small_tensor *t, uint64_t e, char *name, unsigned *first_dim)
{
    const bool stack = strchr(t->name, '*') != NULL;
    uint64_t elements = 0;
    uint64_t bytes = 0;
    *first_dim = stack;
    if (!stack || !name_expand_stack(t->name, e, name)) {
        snprintf(name, NAME_MAX_BYTES + 1, "%s", t->name);
    }
    if (!dtype_tensor_bytes(t->type, t->shape + stack, t->ndim - stack, &elements, &bytes)) {
        abort();
    }
    return bytes;
}

static void write_header(const small_model *model, FILE *to)
{
    uint64_t off = 0;
    const char *separator = "{";
    for (size_t i = 0; i < model->count; i++) {
        const small_tensor *const t = &model->tensors[i];
        for (uint64_t e = 0; e < (strchr(t->name, '*') ? t->shape[0] : 1); e++) {
            char name[NAME_MAX_BYTES + 1];
            unsigned dim = 0;
            const uint64_t bytes = member_of(t, e, name, &dim);
            fprintf(to, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", separator, name,
                    dtype_name(t->type));
            for (const unsigned first = dim; dim < t->ndim; dim++) {
                fprintf(to, "%s%" PRIu64, dim > first ? "," : "", t->shape[dim]);
            }
            fprintf(to, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", off, off + bytes);
            off += bytes;
            separator = ",";
        }
    }
    fputs("}", to);
}

static void write_tensors(const small_model *model, FILE *to)
{
    for (size_t i = 0; i < model->count; i++) {
        const small_tensor *const t = &model->tensors[i];
        for (uint64_t e = 0; e < (strchr(t->name, '*') ? t->shape[0] : 1); e++) {
            char name[NAME_MAX_BYTES + 1];
            unsigned dim = 0;
            const uint64_t bytes = member_of(t, e, name, &dim);
            unsigned char *const data = must_have(malloc(bytes + 1));
            small_source_fill(model->seed, name, t->type, bytes, data);
            fwrite(data, 1, bytes, to);
            free(data);
        }
    }
}

static FILE *open_in(const char *dir, const char *name)
{
    char *const path = must_have(io_join(dir, name));
    FILE *const f = must_have(fopen(path, "wb"));
    free(path);
    return f;
}

void small_checkpoint_write(const small_model *model, const char *dir)
{
    char *header = NULL;
    size_t header_bytes = 0;
    FILE *const text = must_have(open_memstream(&header, &header_bytes));
    write_header(model, text);
    if (fclose(text) != 0) {
        abort();
    }
    FILE *const f = open_in(dir, "model.safetensors");
    unsigned char length[8];
    le64_store(length, header_bytes);
    fwrite(length, 1, sizeof length, f);
    fwrite(header, 1, header_bytes, f);
    write_tensors(model, f);
    free(header);
    if (fclose(f) != 0) {
        abort();
    }
    if (model->config) {
        FILE *const config = open_in(dir, "config.json");
        fputs(model->config, config);
        if (fclose(config) != 0) {
            abort();
        }
    }
}

void small_checkpoint_remove(const char *dir)
{
    static const char *const names[] = {"model.safetensors", "config.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *const path = must_have(io_join(dir, names[i]));
        if (unlink(path) != 0 && errno != ENOENT) {
            abort();
        }
        free(path);
    }
    if (rmdir(dir) != 0) {
        abort();
    }
}
