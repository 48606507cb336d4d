#include "convert/stream/convert.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "convert/stream/work_items.h"
#include "convert/stream/pipeline.h"
#include "convert/stream/scale_runs.h"
#include "format/file/direct.h"
#include "format/checkpoint/checkpoint_inputs.h"
#include "format/output/inputs.h"
#include "format/base/num.h"
#include "format/output/output.h"
#include "format/thread/parallel.h"

enum { SLOTS_AHEAD = 2 }; /* more than computing threads: these read and write meanwhile */

/* Codes of one slot: large enough that the overhead of a read or write is small, small enough to
 * stay in the cache. */
#define SLOT_OUT_BYTES (2 * MIB)

/* Their sources in 16 bits, and the most that alignment for direct reads adds to them. */
#define SLOT_IN_BYTES (2 * SLOT_OUT_BYTES)
#define SLOT_IN_EXTRA (SLOT_IN_BYTES / DIRECT_MIN * 2 * DIRECT_ALIGN)

/* The file is read back through the same buffers: a chunk of it, with the padding before it. */
#define READ_BACK_EXTRA (PACK_ALIGN + PACK_WRITTEN_MARGIN)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- prepare --------------------------------------------------- */

static err_code refuse_memory(uint64_t need, uint64_t memory, err *e)
{
    const num_memory budget = num_as_memory(memory);
    err_set(e, ERR_MEMORY,
            "one row of tiles needs %" PRIu64 " MiB of buffers, the budget is %" PRIu64 " %s",
            num_ceil_div(need, MIB), budget.count, budget.unit);
    err_hint(e, "give more with --memory");
    return ERR_MEMORY;
}

/* As many slots as the threads keep busy, as large as is useful, within the budget. The same is
 * best for a GPU: with more or larger slots the data leaves the processor's cache, which costs more
 * than small copies to the device. */
static err_code choose_slots(const plan *p, unsigned threads, uint64_t memory, convert_slots *out,
                             err *e)
{
    uint64_t in_bytes = 0;
    uint64_t out_bytes = 0;
    pipeline_need need;
    items_largest_chunk(&p->table, &in_bytes, &out_bytes);
    in_bytes = num_max(in_bytes, SLOT_IN_BYTES + SLOT_IN_EXTRA);
    in_bytes = num_max(in_bytes, out_bytes + READ_BACK_EXTRA);
    out_bytes = num_max(out_bytes, SLOT_OUT_BYTES);
    TRY(pipeline_measure(p, in_bytes, out_bytes, &need, e));
    const uint64_t each = in_bytes + out_bytes + need.slot_bytes;
    const uint64_t scales = scale_runs_bytes(&p->table);
    const uint64_t left = memory - num_min(scales, memory);
    assert(each > 0);
    if (left < each) {
        return refuse_memory(each + scales, memory, e);
    }
    const uint64_t count = num_min(left / each, (uint64_t)threads + SLOTS_AHEAD);
    *out = (convert_slots){
        .count = (unsigned)count,
        .in_bytes = in_bytes,
        .out_bytes = out_bytes,
        .max_tiles = need.max_tiles,
        .total_bytes = count * each + scales,
    };
    return OK;
}

err_code convert_prepare(const convert_options *options, const monitor *m, convert_job *job, err *e)
{
    *job = (convert_job){.options = *options};
    const plan_options how = {
        .recipe = options->recipe,
        .embed = &job->embed,
        .digest = options->digest,
        .allow_none = options->allow_none,
        .source_sha256 = options->source_sha256,
        .monitor = m,
    };
    err_code code = OK;
    TRY_OUT(checkpoint_open(options->source, m, &job->cp, e));
    TRY_OUT(checkpoint_check_whole(job->cp, e));
    TRY_OUT(embed_choose(job->cp->folder, options->embed_globs, options->embed_glob_count, m,
                         &job->embed, e));
    TRY_OUT(plan_make(job->cp, &how, &job->plan, e));
    embed_note(&job->embed, m);
    TRY_OUT(choose_slots(&job->plan, options->threads, options->memory, &job->slots, e));
out:
    if (code != OK) {
        code = job->cp ? checkpoint_end(job->cp, NULL, code, e) : code;
        convert_close(job);
    }
    return code;
}

void convert_close(convert_job *job)
{
    free(job->stats);
    plan_free(&job->plan);
    embed_list_free(&job->embed);
    checkpoint_close(job->cp);
    *job = (convert_job){0};
}

/* ---- run ------------------------------------------------------- */

/* Other files in the directory of the checkpoint, such as the packed file of an earlier run, are
 * not inputs. */
static err_code is_input(const void *ctx, const struct stat *st, bool *is_one, err *e)
{
    const convert_job *const job = ctx;
    TRY(input_is(job->options.recipe_path, st, is_one, e));
    TRY(input_is_of_checkpoint(job->cp, st, is_one, e));
    for (size_t i = 0; i < job->embed.count; i++) {
        const embed_file *const f = &job->embed.files[i];
        *is_one = *is_one ||
                  ((f->known || f->embedded) && f->device == st->st_dev && f->inode == st->st_ino);
    }
    return OK;
}

static err_code refuse_input_as_output(const convert_job *job, err *e)
{
    const convert_options *const o = &job->options;
    struct stat st;
    if (!o->stream) {
        return inputs_spare(o->output, is_input, job, e);
    }
    bool is_one = false;
    TRY(fstat(o->stream_fd, &st) == 0
            ? OK
            : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", o->output));
    TRY(is_input(job, &st, &is_one, e));
    return is_one ? err_set(e, ERR_USAGE, "%s: the output is one of the inputs", o->output) : OK;
}

typedef struct shard_digests {
    checkpoint *cp;
    const engine *engine; /* its slots, still idle, serve as buffers */
    const monitor *m;
    unsigned char *sha256; /* [shard_count] */
} shard_digests;

/* Read through the checkpoint, which reads only the file that it has opened before, and compares what was
 * read here with what is there at the end. */
static err_code add_shard(const shard_digests *d, uint32_t idx, unsigned char *buffer,
                          digest_stream *stream, err *e)
{
    enum { PIECE = 1 << 20 };
    const uint64_t bytes = d->cp->shards[idx].bytes;
    for (uint64_t off = 0; off < bytes;) {
        const uint64_t n = num_min(PIECE, bytes - off);
        TRY(checkpoint_read_shard(d->cp, idx, off, buffer, n, e));
        TRY(digest_add(stream, buffer, n, e));
        monitor_advance(d->m, n);
        if (monitor_cancelled(d->m)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        off += n;
    }
    return OK;
}

static err_code digest_shard(void *ctx, unsigned worker, uint64_t task, err *e)
{
    const shard_digests *const d = ctx;
    digest_stream *stream = NULL;
    err_code code = OK;
    TRY_OUT(digest_open(DIGEST_SHA256, &stream, e));
    TRY_OUT(add_shard(d, (uint32_t)task, d->engine->slots[worker].in, stream, e));
    TRY_OUT(digest_finish(stream, d->sha256 + task * SHA256_BYTES, e));
out:
    digest_close(stream);
    return code;
}

/* The SHA-256 of whole shards, which the Hugging Face Hub uses as object ids. A pass over the
 * source of its own, one shard per thread. */
static err_code digest_shards(convert_job *job, const engine *g, const monitor *m, err *e)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < job->cp->shard_count; i++) {
        bytes += job->cp->shards[i].bytes;
    }
    shard_digests d = {.cp = job->cp,
                       .engine = g,
                       .m = m,
                       .sha256 = calloc(job->cp->shard_count + 1, SHA256_BYTES)};
    if (!d.sha256) {
        return err_set(e, ERR_MEMORY, "no memory for the digests of the shards");
    }
    monitor_stage(m, "digest sources", bytes);
    const unsigned workers = (unsigned)num_min(job->options.threads, g->slot_count);
    err_code code = OK;
    TRY_OUT(parallel_for(workers, job->cp->shard_count, digest_shard, &d, m, e));
    TRY_OUT(plan_set_shard_digests(&job->plan, job->cp, d.sha256, e));
out:
    free(d.sha256);
    return code;
}

static err_code write_tensors(const convert_job *job, pipeline *p, output *out, const monitor *m,
                              convert_report *report, err *e)
{
    monitor_stage(m, "convert", job->plan.source_bytes);
    TRY(output_write(out, 0, job->plan.head.bytes, job->plan.head.length, e));
    return checkpoint_end(job->cp, m, pipeline_run(p, out, &report->nonfinite_kept, e), e);
}

static err_code write_tail(const plan *p, pack_evidence *v, pack_tail *tail, output *out,
                           convert_report *report, err *e)
{
    const pack_text provenance = {p->provenance, p->provenance_bytes};
    TRY(pack_tail_build(&p->head, &p->table, v, provenance, tail, e));
    memcpy(report->root, tail->root, SHA256_BYTES);
    TRY(output_write(out, p->table.data_end, tail->bytes, tail->length, e));
    return output_sync(out, e);
}

static void sum_up(const plan *p, const pack_evidence *v, convert_report *report)
{
    for (uint64_t i = 0; i < p->table.stat_count; i++) {
        pack_stat s;
        if (pack_stat_decode(pack_evidence_stat(v, i), &s)) {
            report->sum_sq_source += s.sum_sq_source;
            report->sum_sq_error += s.sum_sq_error;
            report->saturated += s.saturated;
            report->flushed += s.flushed;
        }
    }
}

/* The engine is idle now, and its buffers are free: `buffers` gets those of its slots. */
static err_code read_back(const convert_job *job, const engine *g, unsigned char **buffers,
                          const output *out, const monitor *m, convert_report *report, err *e)
{
    if (!job->options.check || output_is_stream(out)) {
        return OK;
    }
    const pack_written w = {.fd = output_descriptor(out),
                            .path = output_part_path(out),
                            .root = report->root,
                            .buffers = buffers,
                            .buffer_count = (unsigned)num_min(job->slots.count, g->slot_count),
                            .buffer_bytes = g->in_bytes};
    for (unsigned i = 0; i < w.buffer_count; i++) {
        buffers[i] = g->slots[i].in;
    }
    const double start = now();
    monitor_stage(m, "read back", job->plan.table.data_end - job->plan.table.data_off);
    const err_code code = job->options.check(&w, m, &report->read_from, e);
    report->read_back_seconds = now() - start;
    report->read_back = true;
    return code;
}

/* Write and sync all bytes of the output. */
static err_code fill_output(convert_job *job, engine *g, pipeline *p, pack_evidence *v,
                            pack_tail *tail, output *out, const monitor *m, convert_report *report,
                            err *e)
{
    TRY(output_reserve(out, job->plan.file_bytes, e));
    TRY(job->options.source_sha256 ? digest_shards(job, g, m, e) : OK);
    const double start = now();
    TRY(write_tensors(job, p, out, m, report, e));
    TRY(write_tail(&job->plan, v, tail, out, report, e));
    report->seconds = now() - start;
    sum_up(&job->plan, v, report);
    return OK;
}

static err_code open_output(const convert_options *o, const monitor *m, output **out, err *e)
{
    return o->stream ? output_open_stream(o->stream_fd, o->output, m, out, e)
                     : output_open(o->output, o->force, out, e);
}

/* Open the output and fill it. Whatever can be allocated before that, is. */
static err_code write_output(convert_job *job, engine *g, const monitor *m, convert_report *report,
                             output **out, err *e)
{
    pack_evidence v = {0};
    pack_tail tail = {0};
    pipeline *p = NULL;
    const plan *const made = &job->plan;
    const pipeline_job what = {.plan = &job->plan,
                               .cp = job->cp,
                               .engine = g,
                               .slots = (unsigned)num_min(job->slots.count, g->slot_count),
                               .evidence = &v};
    err_code code = OK;
    TRY_OUT(pack_evidence_create(&made->table, job->options.digest, &v, e));
    TRY_OUT(pack_tail_reserve(&made->table, v.alg, made->provenance_bytes, &tail, e));
    TRY_OUT(pipeline_open(&what, m, &p, e));
    TRY_OUT(open_output(&job->options, m, out, e));
    TRY_OUT(fill_output(job, g, p, &v, &tail, *out, m, report, e));
    free(job->stats);
    job->stats = v.stats;
    v.stats = NULL;
out:
    pipeline_close(p);
    free(tail.bytes);
    pack_evidence_free(&v);
    return code;
}

err_code convert_run(convert_job *job, engine *g, const monitor *m, convert_report *report, err *e)
{
    *report = (convert_report){0};
    output *out = NULL;
    err_code code = OK;
    unsigned char **const buffers = calloc(g->slot_count, sizeof *buffers);
    TRY_OUT(buffers ? OK : err_set(e, ERR_MEMORY, "%s: no memory", job->options.output));
    TRY_OUT(refuse_input_as_output(job, e));
    TRY_OUT(write_output(job, g, m, report, &out, e));
    TRY_OUT(read_back(job, g, buffers, out, m, report, e));
    TRY_OUT(monitor_cancelled(m) ? err_set(e, ERR_CANCELLED, "interrupted") : OK);
    TRY_OUT(output_commit(&out, e));
out:
    output_abandon(&out);
    free(buffers);
    return code;
}
