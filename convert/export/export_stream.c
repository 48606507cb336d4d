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
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/pack/pack_read.h"
#include "format/thread/parallel.h"
#include "format/safetensors/safetensors_write.h"
#include "format/tensor/scale_value.h"

/* What one worker needs, allocated once. */
typedef struct desk {
    unsigned char *room;    /* chunks as they are read */
    unsigned char *numbers; /* what codes stand for; NULL where none are wanted */
    unsigned char *scales;  /* of `record` */
    uint32_t record;        /* UINT32_MAX: none yet */
} desk;

typedef struct shard_state {
    st_writer *writer; /* NULL: not made yet, or done */
    uint64_t left;     /* tasks to do */
} shard_state;

typedef struct stream {
    const export_stream_job *job;
    const monitor *m;
    direct_file source;
    export_tasks work;
    desk *desks;
    unsigned workers;
    uint64_t numbers_bytes, scales_bytes; /* of each desk */
    pthread_mutex_t lock;                 /* guards `shards` */
    pthread_mutex_t commit;               /* one at a time: it asks for the umask by setting it */
    shard_state *shards;
} stream;

/* ---- reading --------------------------------------------------- */

/* What the flag of a record of scales says, or the config of FP8 that was taken over. */
static err_code check_pow2(const stream *s, const pack_range *at, const unsigned char *data, err *e)
{
    const pack_record *const r = at->record;
    const bool by_flag = r->block.scale == SCALES_UE8M0;
    const bool by_config = r->origin == ORIGIN_CARRIED && s->job->plan->check_pow2;
    const bool wanted = r->cls == CLASS_SCALES && (by_flag || by_config);
    const uint64_t each = dtype_bits(r->type) / 8;
    for (uint64_t i = 0; wanted && i < at->bytes; i += each) {
        if (!scale_is_pow2(scale_value(r->type, data + i))) {
            return err_set(e, ERR_INPUT,
                           "%s: tensor %s: a scale is no power of two, as %s says (offset %" PRIu64
                           ")",
                           s->job->file->path, r->name, by_flag ? "POW2" : "the config",
                           r->off + at->begin + i);
        }
    }
    return OK;
}

/* The chunks of a task, checked. *data: where they begin. */
static err_code read_task(stream *s, const export_task *t, const desk *d, pack_range *at,
                          unsigned char **data, err *e)
{
    const pack_record *const r = &s->job->file->table.records[t->record];
    *at = pack_record_range(r, t->begin, t->end - t->begin);
    err_code code = direct_read(&s->source, r->off + at->begin, d->room, at->bytes, NULL, data, e);
    if (code == OK) {
        code = pack_check_range(s->job->file, s->job->evidence, at, *data, e);
    }
    return code == OK ? check_pow2(s, at, *data, e) : code;
}

/* All scales of a record of codes, unless the desk has them. */
static err_code read_scales(const stream *s, uint32_t codes, desk *d, err *e)
{
    const pack_table *const t = &s->job->file->table;
    const pack_record *const r = &t->records[t->records[codes].scale_idx];
    const pack_range at = pack_record_range(r, 0, r->len);
    if (d->record == codes) {
        return OK;
    }
    d->record = UINT32_MAX;
    err_code code = pack_read_range(s->job->file, s->job->evidence, &at, d->scales, e);
    if (code == OK) {
        code = check_pow2(s, &at, d->scales, e);
    }
    d->record = code == OK ? codes : UINT32_MAX;
    return code;
}

/* ---- numbers --------------------------------------------------- */

static err_code compute_numbers(const stream *s, const export_task *t, const pack_range *at,
                                const unsigned char *codes, desk *d, err *e)
{
    const pack_record *const r = at->record;
    const export_record *const x = &s->job->plan->records[t->record];
    const dtype type = s->job->plan->tensors[x->first].type;
    const uint64_t cols = pack_record_cols(r);
    const dtype scale_type = s->job->file->table.records[r->scale_idx].type;
    uint64_t done = 0; /* elements */
    const err_code code = read_scales(s, t->record, d, e);
    for (uint64_t i = 0; i < at->count && code == OK; i++) {
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
    return code;
}

/* Scales to 16 bits; each has to be the same there. */
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
            return err_set(e, ERR_INPUT,
                           "%s: tensor %s: a scale is none of its dialect, it has more than 16 "
                           "bits (offset %" PRIu64 ")",
                           s->job->file->path, r->name, r->off + t->begin + i * each);
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
    char *const path = io_join(s->job->dir, name);
    st_tensor *const tensors = calloc(x->count + 1, sizeof *tensors);
    json_t *const metadata = json_pack("{s:s}", "format", "pt"); /* transformers insists on it */
    err_code code = path && tensors && metadata ? OK : err_set(e, ERR_MEMORY, "no memory");
    for (uint64_t i = 0; i < x->count && code == OK; i++) {
        const export_tensor *const t = &plan->tensors[plan->order[x->first + i]];
        tensors[i] = (st_tensor){.name = t->name, .type = t->type, .ndim = t->ndim};
        memcpy(tensors[i].shape, t->shape, sizeof t->shape);
    }
    if (code == OK) {
        code = st_writer_open(path, false, tensors, x->count, metadata, out, e);
    }
    json_decref(metadata);
    free(tensors);
    free(path);
    return code;
}

/* The writer of a shard; who comes first makes it. */
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

/* A task is done; after the last one of a shard the shard is. */
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

/* Bytes [t->begin, t->end) of the record, which stand at `data` as `times` / `by` times as many. */
static err_code write_parts(stream *s, const export_task *t, const unsigned char *data,
                            uint64_t times, uint64_t by, err *e)
{
    const export_plan *const plan = s->job->plan;
    const export_record *const x = &plan->records[t->record];
    st_writer *w = NULL;
    err_code code = writer_of(s, t->shard, &w, e);
    for (uint64_t at = t->begin; at < t->end && code == OK;) {
        const uint64_t part = at / x->part_bytes;
        const uint64_t end = num_min((part + 1) * x->part_bytes, t->end);
        const export_tensor *const out = &plan->tensors[x->first + part];
        code = st_writer_write(w, out->place, (at - part * x->part_bytes) / by * times,
                               data + (at - t->begin) / by * times, (end - at) / by * times, e);
        at = end;
    }
    return code;
}

static err_code run_task(void *ctx, unsigned worker, uint64_t number, err *e)
{
    stream *const s = ctx;
    const export_task *const t = &s->work.tasks[number];
    const export_record *const x = &s->job->plan->records[t->record];
    desk *const d = &s->desks[worker];
    unsigned char *data = NULL;
    pack_range at;
    err_code code = read_task(s, t, d, &at, &data, e);
    if (code != OK) {
        return code;
    }
    unsigned char *const wanted = data + (t->begin - at.begin);
    if (x->form == FORM_NUMBERS) {
        code = compute_numbers(s, t, &at, data, d, e);
        const uint64_t times = dtype_bits(s->job->plan->tensors[x->first].type) / 8;
        code = code == OK ? write_parts(s, t, d->numbers, times, 1, e) : code;
    } else if (x->form == FORM_BF16_SCALES || x->form == FORM_F16_SCALES) {
        const uint64_t each = dtype_bits(at.record->type) / 8;
        code = narrow_scales(s, t, wanted, d->numbers, e);
        code = code == OK ? write_parts(s, t, d->numbers, 2, each, e) : code;
    } else {
        code = write_parts(s, t, wanted, 1, 1, e);
    }
    monitor_advance(s->m, code == OK ? t->end - t->begin : 0);
    return code == OK ? finish_task(s, t->shard, e) : code;
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

/* As many workers as the budget has room for. */
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

static err_code make_desks(stream *s, err *e)
{
    const uint64_t room = num_ceil_div(direct_room(s->work.max_bytes) + 1, DIRECT_ALIGN);
    s->desks = calloc(s->workers, sizeof *s->desks);
    bool good = s->desks != NULL;
    for (unsigned i = 0; i < s->workers && good; i++) {
        s->desks[i] = (desk){
            .room = aligned_alloc(DIRECT_ALIGN, room * DIRECT_ALIGN),
            .numbers = s->numbers_bytes > 0 ? malloc(s->numbers_bytes) : NULL,
            .scales = malloc(s->scales_bytes + 1),
            .record = UINT32_MAX,
        };
        good = s->desks[i].room && s->desks[i].scales &&
               (s->desks[i].numbers || s->numbers_bytes == 0);
    }
    return good ? OK
                : err_set(e, ERR_MEMORY, "no memory for the buffers of %u threads", s->workers);
}

static err_code stream_open(stream *s, err *e)
{
    const export_plan *const plan = s->job->plan;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->commit, NULL);
    const int fd = fcntl(s->job->file->fd, F_DUPFD_CLOEXEC, 0);
    direct_init(&s->source, s->job->file->path, fd);
    if (fd < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot open again", s->job->file->path);
    }
    err_code code = export_tasks_make(&s->job->file->table, plan, &s->work, e);
    if (code == OK) {
        code = choose_workers(s, e);
    }
    if (code == OK) {
        code = make_desks(s, e);
    }
    s->shards = calloc((size_t)plan->shard_count + 1, sizeof *s->shards);
    if (code == OK && !s->shards) {
        code = err_set(e, ERR_MEMORY, "no memory for %" PRIu32 " shards", plan->shard_count);
    }
    for (uint32_t i = 0; i < plan->shard_count && code == OK; i++) {
        s->shards[i].left = s->work.of_shard[i];
    }
    return code;
}

static void stream_close(stream *s)
{
    for (uint32_t i = 0; s->shards && i < s->job->plan->shard_count; i++) {
        st_writer_abandon(&s->shards[i].writer);
    }
    for (unsigned i = 0; s->desks && i < s->workers; i++) {
        free(s->desks[i].room);
        free(s->desks[i].numbers);
        free(s->desks[i].scales);
    }
    free(s->shards);
    free(s->desks);
    export_tasks_free(&s->work);
    if (s->source.fd >= 0) {
        direct_close(&s->source);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->commit);
}

/* Shards whose tensors have no bytes at all. */
static err_code write_empty_shards(stream *s, err *e)
{
    err_code code = OK;
    for (uint32_t i = 0; i < s->job->plan->shard_count && code == OK; i++) {
        st_writer *w = NULL;
        if (s->work.of_shard[i] == 0) {
            code = open_shard(s, i, &w, e);
            code = code == OK ? st_writer_commit(&w, e) : code;
            st_writer_abandon(&w);
        }
    }
    return code;
}

err_code export_stream(const export_stream_job *job, const monitor *m, err *e)
{
    stream s = {.job = job, .m = m};
    err_code code = stream_open(&s, e);
    if (code == OK) {
        monitor_stage(m, "export", export_stream_bytes(&job->file->table, job->plan));
        code = parallel_for(s.workers, s.work.count, run_task, &s, m, e);
    }
    if (code == OK) {
        code = write_empty_shards(&s, e);
    }
    stream_close(&s);
    return code;
}
