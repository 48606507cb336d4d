#include "format/safetensors/safetensors_write.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "format/json/json_memory.h"
#include "format/base/num.h"
#include "format/output/output.h"
#include "format/base/utf8.h"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

struct st_writer {
    output *out;
    uint64_t *off; /* [count + 1]: of each tensor in the file, and the end of the last one */
    size_t count;
    _Atomic uint64_t written; /* bytes of tensors */
};

/* The length field and the text of a header, padded. */
typedef struct header {
    unsigned char *bytes;
    size_t length;
} header;

/* ---- the header ------------------------------------------------ */

/* Sets off[0 … count], relative to the data area; off[0] is 0. */
static err_code place_tensors(const st_tensor *tensors, size_t count, uint64_t *off, err *e)
{
    for (size_t i = 0; i < count; i++) {
        const st_tensor *const t = &tensors[i];
        uint64_t elements = 0;
        uint64_t bytes = 0;
        if (t->ndim > TENSOR_MAX_DIMS ||
            !dtype_tensor_bytes(t->type, t->shape, t->ndim, &elements, &bytes) ||
            !num_add(off[i], bytes, &off[i + 1]) || off[i + 1] > INT64_MAX) {
            return err_set(e, ERR_INPUT, "tensor %s: shape and dtype %s do not give a valid size",
                           t->name, dtype_name(t->type));
        }
    }
    return OK;
}

static json_t *tensor_json(const st_tensor *t, uint64_t start, uint64_t end)
{
    json_t *const shape = json_array();
    int failed = 0; /* jansson returns -1 if memory is short */
    for (unsigned i = 0; i < t->ndim; i++) {
        failed |= json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    }
    json_t *const o = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(t->type), "shape",
                                shape, "data_offsets", (json_int_t)start, (json_int_t)end);
    if (o && failed) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* jansson keeps the order in which members were added, and refuses names that are not UTF-8 without
 * saying so: check before. */
static err_code add_tensors(json_t *root, const st_tensor *tensors, size_t count,
                            const uint64_t *off, const monitor *m, err *e)
{
    for (size_t i = 0; i < count; i++) {
        TRY(monitor_step(m, i, e));
        const char *const name = tensors[i].name;
        if (!utf8_valid(name)) {
            return err_set(e, ERR_INPUT, "tensor %s: the name is not UTF-8", name);
        }
        if (json_object_get(root, name)) {
            return err_set(e, ERR_INPUT, "tensor %s: duplicate name", name);
        }
        if (json_object_set_new(root, name, tensor_json(&tensors[i], off[i], off[i + 1])) != 0) {
            return err_set(e, ERR_MEMORY, "no memory for a header of %zu tensors", count);
        }
    }
    return OK;
}

/* A text that jansson writes piece by piece: 100 MB take seconds, so the run may end in between. */
typedef struct growing {
    char *bytes;
    size_t used, room, pieces;
    const monitor *m;
    err *e;
    err_code code;
} growing;

static err_code make_room(growing *g, size_t bytes)
{
    enum { FIRST = 1 << 16 };
    const size_t room = (size_t)num_max(num_max(2 * g->room, FIRST), g->used + bytes);
    char *const larger = realloc(g->bytes, room);
    if (!larger) {
        return err_set(g->e, ERR_MEMORY, "no memory for a header of %zu bytes", room);
    }
    g->bytes = larger;
    g->room = room;
    return OK;
}

static int add_piece(const char *piece, size_t bytes, void *ctx)
{
    growing *const g = ctx;
    g->code = monitor_step(g->m, g->pieces++, g->e);
    if (g->code == OK && bytes > g->room - g->used) {
        g->code = make_room(g, bytes);
    }
    if (g->code != OK) {
        return -1;
    }
    memcpy(g->bytes + g->used, piece, bytes);
    g->used += bytes;
    return 0;
}

/* jansson does not say so if memory is short, and leaves something out. */
static err_code write_text(const json_t *root, growing *g)
{
    const unsigned long before = json_failed_allocations();
    const int result = json_dump_callback(root, add_piece, g, JSON_COMPACT);
    if (g->code == OK && (result != 0 || json_failed_allocations() != before)) {
        return err_set(g->e, ERR_MEMORY, "no memory for a header");
    }
    return g->code;
}

/* The length field, then the text, padded with spaces to a multiple of 8. */
static err_code frame(const char *text, size_t length, header *h, err *e)
{
    const uint64_t padded = num_ceil_div(length, ALIGNMENT) * ALIGNMENT;
    if (padded > ST_MAX_HEADER_BYTES) {
        return err_set(e, ERR_INPUT, "a header of %zu bytes, at most %d are allowed", length,
                       ST_MAX_HEADER_BYTES);
    }
    h->length = LENGTH_BYTES + (size_t)padded;
    h->bytes = malloc(h->length);
    if (!h->bytes) {
        return err_set(e, ERR_MEMORY, "no memory for a header of %zu bytes", h->length);
    }
    le64_store(h->bytes, padded);
    memcpy(h->bytes + LENGTH_BYTES, text, length);
    memset(h->bytes + LENGTH_BYTES + length, ' ', (size_t)padded - length);
    return OK;
}

static err_code make_header(const st_tensor *tensors, size_t count, const json_t *metadata,
                            const uint64_t *off, const monitor *m, header *h, err *e)
{
    err_code code = OK;
    growing text = {.m = m, .e = e};
    json_t *const root = json_object();
    if (!root ||
        (metadata && json_object_set_new(root, "__metadata__", json_deep_copy(metadata)) != 0)) {
        code = err_set(e, ERR_MEMORY, "no memory for a header");
        goto out;
    }
    TRY_OUT(add_tensors(root, tensors, count, off, m, e));
    TRY_OUT(write_text(root, &text));
    TRY_OUT(frame(text.bytes, text.used, h, e));
out:
    free(text.bytes);
    json_decref(root);
    return code;
}

/* The rules are the reader's: a header that it would refuse is not written. */
static err_code check_header(const char *path, const header *h, uint64_t data_bytes,
                             const monitor *m, err *e)
{
    st_header back;
    TRY(st_header_parse(path, (const char *)h->bytes + LENGTH_BYTES, h->length - LENGTH_BYTES,
                        h->length + data_bytes, m, &back, e));
    st_header_free(&back);
    return OK;
}

/* ---- the file -------------------------------------------------- */

/* Where the file is made: at a path, or, if `folder` is not NULL, as its entry `path`. */
typedef struct place {
    const output_folder *folder;
    const char *path;
    bool force;
} place;

static err_code start_file(const place *at, st_writer *w, const header *h, err *e)
{
    TRY(at->folder ? output_open_in(at->folder, at->path, &w->out, e)
                   : output_open(at->path, at->force, &w->out, e));
    TRY(output_reserve(w->out, w->off[w->count], e));
    return output_write(w->out, 0, h->bytes, h->length, e);
}

static err_code plan_header(const st_tensor *tensors, const json_t *metadata, const monitor *m,
                            st_writer *w, header *h, err *e)
{
    TRY(place_tensors(tensors, w->count, w->off, e));
    return make_header(tensors, w->count, metadata, w->off, m, h, e);
}

static err_code plan_file(const char *path, const st_tensor *tensors, const json_t *metadata,
                          const monitor *m, st_writer *w, header *h, err *e)
{
    const err_code code = plan_header(tensors, metadata, m, w, h, e);
    if (code != OK) {
        err_prefix(code == ERR_CANCELLED ? NULL : e, "%s", path);
        return code;
    }
    TRY(check_header(path, h, w->off[w->count], m, e));
    for (size_t i = 0; i <= w->count; i++) {
        w->off[i] += h->length; /* both are below 2^63 */
    }
    return w->off[w->count] <= INT64_MAX
               ? OK
               : err_set(e, ERR_INPUT, "%s: more bytes than a file can have", path);
}

static void writer_free(st_writer *w)
{
    if (w) {
        output_abandon(&w->out);
        free(w->off);
        free(w);
    }
}

static err_code open_at(const place *at, const st_tensor *tensors, size_t count,
                        const json_t *metadata, const monitor *m, st_writer **out, err *e)
{
    err_code code = OK;
    header h = {0};
    st_writer *w = calloc(1, sizeof *w);
    uint64_t *const off = calloc(count + 1, sizeof *off);
    if (!w || !off) {
        free(w);
        free(off);
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu tensors", at->path, count);
    }
    w->off = off;
    w->count = count;
    TRY_OUT(plan_file(at->path, tensors, metadata, m, w, &h, e));
    TRY_OUT(start_file(at, w, &h, e));
    *out = w;
    w = NULL;
out:
    writer_free(w);
    free(h.bytes);
    return code;
}

err_code st_writer_open(const char *path, bool force, const st_tensor *tensors, size_t count,
                        const json_t *metadata, const monitor *m, st_writer **out, err *e)
{
    const place at = {NULL, path, force};
    return open_at(&at, tensors, count, metadata, m, out, e);
}

err_code st_writer_open_in(const output_folder *folder, const char *name, const st_tensor *tensors,
                           size_t count, const json_t *metadata, const monitor *m, st_writer **out,
                           err *e)
{
    const place at = {folder, name, false};
    return open_at(&at, tensors, count, metadata, m, out, e);
}

err_code st_writer_write(st_writer *w, size_t tensor, uint64_t off, const void *data,
                         uint64_t bytes, err *e)
{
    uint64_t end = 0;
    if (tensor >= w->count || !num_add(off, bytes, &end) ||
        end > w->off[tensor + 1] - w->off[tensor]) {
        return err_set(e, ERR_INTERNAL, "%s: tensor %zu written beyond its end",
                       output_part_path(w->out), tensor);
    }
    TRY(output_write(w->out, w->off[tensor] + off, data, bytes, e));
    atomic_fetch_add(&w->written, bytes);
    return OK;
}

err_code st_writer_commit(st_writer **out, err *e)
{
    st_writer *const w = *out;
    const uint64_t expected = w->off[w->count] - w->off[0];
    const uint64_t written = atomic_load(&w->written);
    if (written != expected) {
        return err_set(e, ERR_INTERNAL,
                       "%s: %" PRIu64 " bytes of tensors written, expected %" PRIu64,
                       output_part_path(w->out), written, expected);
    }
    const err_code code = output_commit(&w->out, e);
    if (!w->out) { /* the file has its name, whatever failed after that */
        writer_free(w);
        *out = NULL;
    }
    return code;
}

void st_writer_abandon(st_writer **w)
{
    writer_free(*w);
    *w = NULL;
}
