/* Why this is safe with several threads: parallel_for hands out tasks in ascending order, and tasks
 * are sorted by shard, so usually only one or two shards are open at a time, and never more than
 * there are threads plus one. A task has the writer of its shard, which stays open while
 * `left` > 0: the task itself is one of those left until finish_task. Tasks of a shard write
 * different bytes of it, which st_writer_write allows in parallel. Whichever thread counts `left`
 * down to 0 knows that all other tasks of the shard have written, and commits it. */
#include "convert/export/export_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "convert/plain/dequantize.h"
#include "convert/export/export_tasks.h"
#include "format/file/direct.h"
#include "format/base/num.h"
#include "format/pack/pack_end.h"
#include "format/pack/pack_read.h"
#include "format/thread/parallel.h"
#include "format/safetensors/safetensors_write.h"
#include "format/tensor/scale_value.h"

/* The buffers of one worker, allocated once. */
typedef struct task_buffers {
    unsigned char *chunks;  /* as they are read */
    unsigned char *numbers; /* converted elements; NULL if the plan converts nothing */
    unsigned char *scales;  /* all scales of the codes in `record` */
    uint32_t record;        /* UINT32_MAX: none yet */
} task_buffers;

typedef struct shard_state {
    st_writer *writer; /* NULL: not opened yet, or committed */
    uint64_t left;     /* tasks that are not finished */
} shard_state;

typedef struct stream {
    const export_stream_job *job;
    const monitor *m;
    direct_file source;
    export_tasks work;
    task_buffers *buffers; /* [workers] */
    unsigned workers;
    uint64_t numbers_bytes, scales_bytes; /* of each worker */
    pthread_mutex_t lock;                 /* guards `shards` */
    pthread_mutex_t commit; /* one commit at a time: it reads the umask, which means setting it */
    shard_state *shards;
} stream;

/* ---- reading --------------------------------------------------- */

/* Scales have to be powers of two if the flag of their record says so. */
static err_code check_pow2(const stream *s, const pack_range *at, const unsigned char *data, err *e)
{
    const pack_record *const r = at->record;
    const bool wanted = r->cls == CLASS_SCALES && r->block.scale == SCALES_UE8M0;
    const uint64_t each = dtype_bits(r->type) / 8;
    for (uint64_t i = 0; wanted && i < at->bytes; i += each) {
        if (!scale_is_pow2(scale_value(r->type, data + i))) {
            return err_set(e, ERR_INPUT,
                           "%s: tensor %s: a scale is not a power of two although POW2 says so "
                           "(offset %" PRIu64 ")",
                           s->job->file->path, r->name, r->off + at->begin + i);
        }
    }
    return OK;
}

/* Read and check the chunks of a task. *at: their range in the record; *data: where they begin. */
static err_code read_task(stream *s, const export_task *t, const task_buffers *d, pack_range *at,
                          unsigned char **data, err *e)
{
    const pack_record *const r = &s->job->file->table.records[t->record];
    *at = pack_record_range(r, t->begin, t->end - t->begin);
    TRY(direct_read(&s->source, r->off + at->begin, d->chunks, at->bytes, NULL, data, e));
    TRY(pack_check_range(s->job->file, s->job->evidence, at, s->m, *data, e));
    return check_pow2(s, at, *data, e);
}

/* Read all scales of a record of codes, unless the worker has them from its last task. */
static err_code read_scales(const stream *s, uint32_t codes, task_buffers *d, err *e)
{
    const pack_table *const t = &s->job->file->table;
    const pack_record *const r = &t->records[t->records[codes].scale_idx];
    const pack_range at = pack_record_range(r, 0, r->len);
    if (d->record == codes) {
        return OK;
    }
    d->record = UINT32_MAX; /* if anything below fails, the buffer holds no record */
    TRY(pack_read_range(s->job->file, s->job->evidence, &at, s->m, d->scales, e));
    TRY(check_pow2(s, &at, d->scales, e));
    d->record = codes;
    return OK;
}

/* ---- conversion ------------------------------------------------ */

static err_code compute_numbers(const stream *s, const export_task *t, const pack_range *at,
                                const unsigned char *codes, task_buffers *d, err *e)
{
    const pack_record *const r = at->record;
    const export_record *const x = &s->job->plan->records[t->record];
    const dtype type = s->job->plan->tensors[x->first].type;
    const uint64_t cols = pack_record_cols(r);
    const dtype scale_type = s->job->file->table.records[r->scale_idx].type;
    uint64_t done = 0; /* elements */
    TRY(read_scales(s, t->record, d, e));
    for (uint64_t i = 0; i < at->count; i++) {
        const pack_chunk c = pack_record_chunk(r, at->first + i);
        const code_band band = {
            .block = r->block,
            .codes = codes + done,
            .scales = d->scales + pack_chunk_blocks(r, &c).first * (dtype_bits(scale_type) / 8),
            .scale_type = scale_type,
            .rows = c.bytes / cols,
            .cols = cols,
        };
        dequantize(&band, type, d->numbers + done * (dtype_bits(type) / 8));
        done += c.bytes;
    }
    return OK;
}

/* Convert scales to 16 bits, where each has to be exact. */
static err_code narrow_scales(const stream *s, const export_task *t, const unsigned char *data,
                              unsigned char *narrowed, err *e)
{
    const pack_record *const r = &s->job->file->table.records[t->record];
    const bool half = s->job->plan->records[t->record].form == FORM_F16_SCALES;
    const uint64_t each = dtype_bits(r->type) / 8;
    for (uint64_t i = 0; i < (t->end - t->begin) / each; i++) {
        const float scale = scale_value(r->type, data + i * each);
        const uint16_t narrow = half ? f16_round(scale) : bf16_round(scale);
        const float again = half ? f16_widen(narrow) : bf16_widen(narrow);
        if (float_bits(again) != float_bits(scale)) {
            return err_set(
                e, ERR_INPUT, "%s: tensor %s: a scale is not exact in %s (offset %" PRIu64 ")",
                s->job->file->path, r->name, half ? "F16" : "BF16", r->off + t->begin + i * each);
        }
        le16_store(narrowed + 2 * i, narrow);
    }
    return OK;
}

/* ---- writing --------------------------------------------------- */

static err_code open_shard(const stream *s, uint32_t shard, st_writer **out, err *e)
{
    const export_plan *const plan = s->job->plan;
    const export_shard *const x = &plan->shards[shard];
    char name[SHARD_NAME_BYTES];
    export_shard_name(plan, shard, name);
    st_tensor *const tensors = calloc(x->count + 1, sizeof *tensors);
    json_t *const metadata = json_pack("{s:s}", "format", "pt"); /* transformers insists on it */
    err_code code = OK;
    TRY_OUT(tensors && metadata ? OK : err_set(e, ERR_MEMORY, "no memory"));
    for (uint64_t i = 0; i < x->count; i++) {
        const export_tensor *const t = &plan->tensors[plan->order[x->first + i]];
        tensors[i] = (st_tensor){.name = t->name, .type = t->type, .ndim = t->ndim};
        memcpy(tensors[i].shape, t->shape, sizeof t->shape);
    }
    TRY_OUT(st_writer_open_in(&s->job->folder, name, tensors, x->count, metadata, s->m, out, e));
out:
    json_decref(metadata);
    free(tensors);
    return code;
}

/* The writer of a shard; the first thread that asks opens it, and the others wait for that. */
static err_code writer_of(stream *s, uint32_t shard, st_writer **out, err *e)
{
    shard_state *const state = &s->shards[shard];
    err_code code = OK;
    pthread_mutex_lock(&s->lock);
    if (!state->writer) {
        code = open_shard(s, shard, &state->writer, e);
    }
    *out = state->writer;
    pthread_mutex_unlock(&s->lock);
    return code;
}

/* Count a task of a shard as done; after the last one, commit the shard. That happens outside
 * `lock`, because syncing takes long; no other thread uses the writer any more. */
static err_code finish_task(stream *s, uint32_t shard, err *e)
{
    shard_state *const state = &s->shards[shard];
    pthread_mutex_lock(&s->lock);
    const bool last = --state->left == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last) {
        return OK;
    }
    pthread_mutex_lock(&s->commit);
    const err_code code = st_writer_commit(&state->writer, e);
    pthread_mutex_unlock(&s->commit);
    return code;
}

/* Write bytes [t->begin, t->end) of the record to the tensors that they belong to. The bytes at
 * `data` are the converted ones: `times` bytes for every `by` bytes of the record. */
static err_code write_parts(stream *s, const export_task *t, const unsigned char *data,
                            uint64_t times, uint64_t by, err *e)
{
    const export_plan *const plan = s->job->plan;
    const export_record *const x = &plan->records[t->record];
    st_writer *w = NULL;
    TRY(writer_of(s, t->shard, &w, e));
    for (uint64_t at = t->begin; at < t->end;) {
        const uint64_t part = at / x->part_bytes; /* which may be a single byte */
        TRY(monitor_step(s->m, part, e));
        const uint64_t end = num_min((part + 1) * x->part_bytes, t->end);
        const export_tensor *const out = &plan->tensors[x->first + part];
        TRY(st_writer_write(w, out->place, (at - part * x->part_bytes) / by * times,
                            data + (at - t->begin) / by * times, (end - at) / by * times, e));
        at = end;
    }
    return OK;
}

/* Of codes whole chunks are dequantized, so a task of FORM_NUMBERS begins and ends with chunks: they
 * never cross members of a stack, and shards begin with a member. Other tasks may begin within the
 * chunks that were read. */
static err_code convert_and_write(stream *s, const export_task *t, const pack_range *at,
                                  unsigned char *data, task_buffers *d, err *e)
{
    const export_record *const x = &s->job->plan->records[t->record];
    const unsigned char *const wanted = data + (t->begin - at->begin);
    if (x->form == FORM_NUMBERS) {
        const uint64_t times = dtype_bits(s->job->plan->tensors[x->first].type) / 8;
        TRY(compute_numbers(s, t, at, data, d, e));
        return write_parts(s, t, d->numbers, times, 1, e);
    }
    if (x->form == FORM_BF16_SCALES || x->form == FORM_F16_SCALES) {
        const uint64_t each = dtype_bits(at->record->type) / 8;
        TRY(narrow_scales(s, t, wanted, d->numbers, e));
        return write_parts(s, t, d->numbers, 2, each, e);
    }
    return write_parts(s, t, wanted, 1, 1, e);
}

static err_code run_task(void *ctx, unsigned worker, uint64_t number, err *e)
{
    stream *const s = ctx;
    const export_task *const t = &s->work.tasks[number];
    task_buffers *const d = &s->buffers[worker];
    unsigned char *data = NULL;
    pack_range at;
    TRY(read_task(s, t, d, &at, &data, e));
    TRY(convert_and_write(s, t, &at, data, d, e));
    monitor_advance(s->m, t->end - t->begin);
    return finish_task(s, t->shard, e);
}

/* ---- all of it ------------------------------------------------- */

uint64_t export_stream_bytes(const pack_table *t, const export_plan *plan)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        bytes += plan->records[i].parts * plan->records[i].part_bytes;
    }
    return bytes;
}

/* Choose the number of workers: the most whose buffers fit the budget, at most job->threads. */
static err_code choose_workers(stream *s, err *e)
{
    const pack_table *const t = &s->job->file->table;
    const export_plan *const plan = s->job->plan;
    unsigned widest = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const export_record *const x = &plan->records[i];
        if (t->records[i].cls == CLASS_CODES && x->form == FORM_NUMBERS) {
            const unsigned bits = dtype_bits(plan->tensors[x->first].type);
            widest = bits > widest ? bits : widest;
            s->scales_bytes = num_max(s->scales_bytes, t->records[t->records[i].scale_idx].len);
        } else if (x->form == FORM_BF16_SCALES || x->form == FORM_F16_SCALES) {
            widest = widest > 16 ? widest : 16;
        }
    }
    s->numbers_bytes = s->work.max_bytes * (widest / 8);
    const uint64_t each = direct_room(s->work.max_bytes) + s->numbers_bytes + s->scales_bytes;
    const uint64_t workers = each > 0 ? s->job->memory / each : 1;
    if (workers == 0) {
        const num_memory budget = num_as_memory(s->job->memory);
        err_set(e, ERR_MEMORY,
                "one piece needs %" PRIu64 " MiB of buffers, the budget is %" PRIu64 " %s",
                num_ceil_div(each, MIB), budget.count, budget.unit);
        err_hint(e, "give more with --memory");
        return ERR_MEMORY;
    }
    s->workers = (unsigned)num_min(workers, s->job->threads);
    return OK;
}

static err_code make_buffers(stream *s, err *e)
{
    const uint64_t pages = num_ceil_div(direct_room(s->work.max_bytes) + 1, DIRECT_ALIGN);
    s->buffers = calloc(s->workers, sizeof *s->buffers);
    bool good = s->buffers != NULL;
    for (unsigned i = 0; i < s->workers && good; i++) {
        s->buffers[i] = (task_buffers){
            .chunks = aligned_alloc(DIRECT_ALIGN, pages * DIRECT_ALIGN),
            .numbers = s->numbers_bytes > 0 ? malloc(s->numbers_bytes) : NULL,
            .scales = malloc(s->scales_bytes + 1),
            .record = UINT32_MAX,
        };
        good = s->buffers[i].chunks && s->buffers[i].scales &&
               (s->buffers[i].numbers || s->numbers_bytes == 0);
    }
    return good ? OK
                : err_set(e, ERR_MEMORY, "no memory for the buffers of %u threads", s->workers);
}

static err_code stream_open(stream *s, err *e)
{
    const export_plan *const plan = s->job->plan;
    const int fd = fcntl(s->job->file->fd, F_DUPFD_CLOEXEC, 0);
    direct_init(&s->source, s->job->file->path, fd);
    if (fd < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot open again", s->job->file->path);
    }
    TRY(export_tasks_make(&s->job->file->table, plan, s->m, &s->work, e));
    TRY(choose_workers(s, e));
    TRY(make_buffers(s, e));
    s->shards = calloc((size_t)plan->shard_count + 1, sizeof *s->shards);
    if (!s->shards) {
        return err_set(e, ERR_MEMORY, "no memory for %" PRIu32 " shards", plan->shard_count);
    }
    for (uint32_t i = 0; i < plan->shard_count; i++) {
        s->shards[i].left = s->work.of_shard[i];
    }
    return OK;
}

static void stream_close(stream *s)
{
    for (uint32_t i = 0; s->shards && i < s->job->plan->shard_count; i++) {
        st_writer_abandon(&s->shards[i].writer);
    }
    for (unsigned i = 0; s->buffers && i < s->workers; i++) {
        free(s->buffers[i].chunks);
        free(s->buffers[i].numbers);
        free(s->buffers[i].scales);
    }
    free(s->shards);
    free(s->buffers);
    export_tasks_free(&s->work);
    if (s->source.fd >= 0) {
        direct_close(&s->source);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->commit);
}

static err_code write_empty_shard(const stream *s, uint32_t shard, err *e)
{
    st_writer *w = NULL;
    err_code code = OK;
    TRY_OUT(open_shard(s, shard, &w, e));
    TRY_OUT(st_writer_commit(&w, e));
out:
    st_writer_abandon(&w);
    return code;
}

/* A shard whose tensors have no bytes at all has no tasks, but it has to exist. */
static err_code write_empty_shards(const stream *s, err *e)
{
    for (uint32_t i = 0; i < s->job->plan->shard_count; i++) {
        if (s->work.of_shard[i] == 0) {
            TRY(monitor_step(s->m, 0, e));
            TRY(write_empty_shard(s, i, e));
        }
    }
    return OK;
}

err_code export_stream(const export_stream_job *job, const monitor *m, err *e)
{
    stream s = {
        .job = job, .m = m, .lock = PTHREAD_MUTEX_INITIALIZER, .commit = PTHREAD_MUTEX_INITIALIZER};
    err_code code = OK;
    TRY_OUT(stream_open(&s, e));
    monitor_stage(m, "export", export_stream_bytes(&job->file->table, job->plan));
    TRY_OUT(parallel_for(s.workers, s.work.count, run_task, &s, m, e));
    TRY_OUT(write_empty_shards(&s, e));
out:
    stream_close(&s);
    return pack_end(job->file, m, code, e);
}
