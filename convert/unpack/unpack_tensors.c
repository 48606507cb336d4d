/* Write the data of the chosen tensors. Threads take the chunks of the packed file that hold any of
 * them, check each chunk, and write its parts to the places of their tensors in the output. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "convert/plain/dequantize.h"
#include "convert/unpack/unpack.h"
#include "format/base/num.h"
#include "format/pack/pack_read.h"
#include "format/thread/parallel.h"
#include "format/thread/worker_buffers.h"
#include "format/safetensors/safetensors_write.h"

/* The parts of a worker's buffer. */
enum { PART_CHUNK, PART_PLAIN, PART_SCALES };

typedef struct tensor_job {
    unpack_job *u;
    st_writer *w;
    const monitor *monitor;
    uint64_t *chunks; /* numbers, in the packed file, of the chunks to read */
    uint64_t chunk_count;
    uint64_t total_bytes;
    worker_need need; /* for the largest chunk */
    worker_buffers buffers;
    pack_range *have; /* [workers] the range that PART_SCALES holds; record NULL: none yet */
} tensor_job;

/* A chunk, and where it lies in its record. */
typedef struct chunk_place {
    const pack_record *r;
    uint32_t record;
    uint64_t number; /* of the chunk in the record */
    pack_chunk chunk;
    uint64_t begin; /* its first byte in the record */
} chunk_place;

static chunk_place place_of(const unpack_job *u, uint32_t record, uint64_t number)
{
    chunk_place at = {.r = &u->file->table.records[record], .record = record, .number = number};
    at.chunk = pack_record_chunk(at.r, number);
    at.begin = at.chunk.off - at.r->off;
    return at;
}

static uint64_t member_bytes(const pack_record *r)
{
    return r->len / unpack_members(r);
}

/* The index of the tensor that a byte of a record belongs to, SIZE_MAX if it is not chosen. */
static size_t tensor_at(const unpack_job *u, const chunk_place *at, uint64_t byte)
{
    return u->places[u->first_place[at->record] + byte / member_bytes(at->r)];
}

static bool is_wanted(const unpack_job *u, const chunk_place *at)
{
    const uint64_t each = member_bytes(at->r);
    const uint64_t end = at->begin + at->chunk.bytes;
    for (uint64_t byte = at->begin; byte < end; byte = (byte / each + 1) * each) {
        if (tensor_at(u, at, byte) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

/* Bytes of output for each byte of a chunk; 1: the bytes are copied. */
static unsigned growth(const unpack_job *u, const pack_record *r)
{
    if (r->cls != CLASS_CODES || u->options.form == UNPACK_STORED) {
        return 1;
    }
    return u->options.form == UNPACK_BF16 ? 2 : 4;
}

/* The bytes of the scale record that belong to a chunk of codes. */
static void scale_bytes(const unpack_job *u, const chunk_place *at, uint64_t *begin,
                        uint64_t *bytes)
{
    const pack_record *const s = &u->file->table.records[at->r->scale_idx];
    const uint64_t each = dtype_bits(s->type) / 8;
    const pack_blocks blocks = pack_chunk_blocks(at->r, &at->chunk);
    *begin = blocks.first * each;
    *bytes = blocks.down * blocks.across * each;
}

static pack_range scale_range(const unpack_job *u, const chunk_place *at, uint64_t *begin)
{
    uint64_t bytes = 0;
    scale_bytes(u, at, begin, &bytes);
    return pack_record_range(&u->file->table.records[at->r->scale_idx], *begin, bytes);
}

/* ---- one chunk ------------------------------------------------- */

/* A chunk of scales may hold those of several members. */
static err_code write_stored(const tensor_job *j, const chunk_place *at, const unsigned char *data,
                             err *e)
{
    const uint64_t each = member_bytes(at->r);
    const uint64_t end = at->begin + at->chunk.bytes;
    for (uint64_t byte = at->begin, next = 0; byte < end; byte = next) {
        next = num_min((byte / each + 1) * each, end);
        const size_t tensor = tensor_at(j->u, at, byte);
        if (tensor != SIZE_MAX) {
            TRY(st_writer_write(j->w, tensor, byte % each, data + (byte - at->begin), next - byte,
                                e));
        }
    }
    return OK;
}

/* The scales of one matrix often serve many of its chunks, so a worker keeps the last range. */
static err_code load_scales(const tensor_job *j, const chunk_place *at, unsigned worker,
                            const unsigned char **scales, err *e)
{
    uint64_t begin = 0;
    const pack_range need = scale_range(j->u, at, &begin);
    unsigned char *const data = worker_buffers_part(&j->buffers, worker, PART_SCALES);
    pack_range *const have = &j->have[worker];
    if (have->record != need.record || have->first != need.first || have->count != need.count) {
        *have = (pack_range){0};
        TRY(pack_read_range(j->u->file, &j->u->evidence, &need, j->monitor, data, e));
        *have = need;
    }
    *scales = data + (begin - need.begin);
    return OK;
}

static err_code write_plain(const tensor_job *j, const chunk_place *at, unsigned worker, err *e)
{
    unsigned char *const plain = worker_buffers_part(&j->buffers, worker, PART_PLAIN);
    const dtype as = j->u->options.form == UNPACK_BF16 ? DTYPE_BF16 : DTYPE_F32;
    const unsigned times = growth(j->u, at->r);
    code_band band = {.codes = worker_buffers_part(&j->buffers, worker, PART_CHUNK),
                      .block = at->r->block,
                      .cols = pack_record_cols(at->r),
                      .scale_type = j->u->file->table.records[at->r->scale_idx].type};
    band.rows = at->chunk.bytes / band.cols;
    TRY(load_scales(j, at, worker, &band.scales, e));
    dequantize(&band, as, plain);
    return st_writer_write(j->w, tensor_at(j->u, at, at->begin),
                           at->begin % member_bytes(at->r) * times, plain, at->chunk.bytes * times,
                           e);
}

static err_code unpack_chunk(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const tensor_job *const j = ctx;
    unsigned char *const data = worker_buffers_part(&j->buffers, worker, PART_CHUNK);
    const pack_table *const t = &j->u->file->table;
    const uint64_t number = j->chunks[task];
    const uint32_t record = pack_table_chunk_owner(t, number);
    const chunk_place at = place_of(j->u, record, number - t->records[record].chunk_first);
    const pack_range range = pack_record_range(at.r, at.begin, at.chunk.bytes);
    TRY(pack_read_range(j->u->file, &j->u->evidence, &range, j->monitor, data, e));
    TRY(growth(j->u, at.r) == 1 ? write_stored(j, &at, data, e) : write_plain(j, &at, worker, e));
    monitor_advance(j->monitor, at.chunk.bytes);
    return OK;
}

/* ---- all chunks ------------------------------------------------ */

static void add_chunk(tensor_job *j, const chunk_place *at)
{
    const unsigned times = growth(j->u, at->r);
    uint64_t *const bytes = j->need.bytes;
    if (at->chunk.bytes > bytes[PART_CHUNK]) {
        bytes[PART_CHUNK] = at->chunk.bytes;
        j->need.tensor = at->r->name;
    }
    if (times > 1) {
        uint64_t begin = 0;
        bytes[PART_PLAIN] = num_max(bytes[PART_PLAIN], at->chunk.bytes * times);
        bytes[PART_SCALES] = num_max(bytes[PART_SCALES], scale_range(j->u, at, &begin).bytes);
    }
    j->chunks[j->chunk_count++] = at->r->chunk_first + at->number;
    j->total_bytes += at->chunk.bytes;
}

static err_code plan_chunks(tensor_job *j, err *e)
{
    const pack_table *const t = &j->u->file->table;
    j->chunks = calloc(t->chunk_count + 1, sizeof *j->chunks);
    if (!j->chunks) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %" PRIu64 " chunks", j->u->options.path,
                       t->chunk_count);
    }
    for (uint32_t k = 0; k < t->count; k++) {
        for (uint64_t i = 0; i < t->records[k].chunk_count; i++) {
            const chunk_place at = place_of(j->u, k, i);
            TRY(monitor_step(j->monitor, t->records[k].chunk_first + i, e));
            if (is_wanted(j->u, &at)) {
                add_chunk(j, &at);
            }
        }
    }
    return OK;
}

static err_code create_buffers(tensor_job *j, err *e)
{
    TRY(worker_buffers_create(&j->buffers, &j->need, e));
    j->have = calloc(j->buffers.workers, sizeof *j->have);
    return j->have ? OK : err_set(e, ERR_MEMORY, "no memory for buffers");
}

err_code unpack_tensors(unpack_job *u, st_writer *w, const monitor *m, err *e)
{
    tensor_job j = {.u = u,
                    .w = w,
                    .monitor = m,
                    .need = {.task = "unpacking a chunk",
                             .tensor = "",
                             .memory = u->options.memory,
                             .threads = u->options.threads}};
    err_code code = OK;
    TRY_OUT(plan_chunks(&j, e));
    TRY_OUT(create_buffers(&j, e));
    posix_fadvise(u->file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    monitor_stage(m, "unpack", j.total_bytes);
    TRY_OUT(parallel_for(j.buffers.workers, j.chunk_count, unpack_chunk, &j, m, e));
out:
    worker_buffers_free(&j.buffers);
    free(j.have);
    free(j.chunks);
    u->bytes_read += j.total_bytes;
    return code;
}
