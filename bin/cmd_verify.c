/* octavo verify: integrity first, then the weights; each reports what it found before the next
 * starts, and damage ends the command. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "bin/cmd.h"
#include "bin/packed_view.h"
#include "bin/signals.h"
#include "bin/text.h"
#include "bin/value.h"
#include "bin/verify_report.h"
#include "format/checkpoint.h"
#include "format/io.h"
#include "format/num.h"
#include "format/parallel.h"
#include "quant/tile.h"

/* Bits in the order of the words of --only. */
enum { CHECK_STRUCTURE = 1, CHECK_DIGESTS = 2, CHECK_WEIGHTS = 4 };

enum { THREADS_MAX = 4096 };

typedef struct verify_request {
    const char *path, *against;
    const char *tensor; /* NULL: all */
    bool quick;
    unsigned only;   /* 0: not given */
    unsigned checks; /* what is to be done */
    unsigned threads, progress;
    uint64_t memory;
    report *report;
} verify_request;

static err_code take(void *ctx, const option_spec *o, const char *value, err *e)
{
    verify_request *const q = ctx;
    switch (o->id) {
    case OPTION_AGAINST:
        q->against = value;
        return OK;
    case OPTION_QUICK:
        q->quick = true;
        return OK;
    case OPTION_ONLY:
        return value_words("--only", value, o->words, &q->only, e);
    case OPTION_TENSOR:
        q->tensor = value;
        return value_glob("--tensor", value, e);
    case OPTION_THREADS:
        return value_count("--threads", value, 1, THREADS_MAX, &q->threads, e);
    case OPTION_MEMORY:
        return value_size("--memory", value, &q->memory, e);
    case OPTION_PROGRESS:
        return value_word("--progress", value, o->words, &q->progress, e);
    case OPTION_QUIET:
        q->report->level = LEVEL_QUIET;
        return OK;
    case OPTION_VERBOSE:
        q->report->level = LEVEL_VERBOSE;
        return OK;
    default: /* --json, which main has seen */
        return OK;
    }
}

/* Which checks were asked for; what contradicts itself is refused rather than guessed. */
static err_code choose_checks(verify_request *q, err *e)
{
    if (q->quick && (q->against || q->only || q->tensor)) {
        return err_set(e, ERR_USAGE, "--quick reads no weights, so %s makes no sense with it",
                       q->against ? "--against"
                       : q->only  ? "--only"
                                  : "--tensor");
    }
    if ((q->only & CHECK_WEIGHTS) && !q->against) {
        return err_set(e, ERR_USAGE, "--only weights needs --against CHECKPOINT");
    }
    if (q->against && q->only && !(q->only & CHECK_WEIGHTS)) {
        return err_set(e, ERR_USAGE, "--against is for weights, which --only leaves out");
    }
    q->checks = CHECK_STRUCTURE | CHECK_DIGESTS | (q->against ? CHECK_WEIGHTS : 0U);
    if (q->only) {
        q->checks = q->only;
    }
    if (q->quick) {
        q->checks = CHECK_STRUCTURE;
    }
    if (q->tensor && q->checks == CHECK_STRUCTURE) {
        return err_set(e, ERR_USAGE, "--tensor makes no sense with --only structure");
    }
    return OK;
}

/* ---- integrity ------------------------------------------------------------------------------- */

static void print_whole(const verify_request *q, const pack_file *p, const integrity_report *found,
                        double seconds)
{
    shown size, time, rate;
    char path[256], root[2 * SHA256_BYTES + 1];
    snprintf(path, sizeof path, "%s", q->path);
    text_mask(path);
    hex_encode(p->trailer.root, sizeof p->trailer.root, root);
    printf("%s: %" PRIu64 " tensor%s, %" PRIu64 " chunk%s, %s\n", path, p->table.source_count,
           text_s(p->table.source_count), p->table.chunk_count, text_s(p->table.chunk_count),
           text_size(size.s, p->file_bytes));
    if (!(q->checks & CHECK_DIGESTS)) {
        printf("structure: sound; the weights were not read\n");
    } else {
        printf("integrity: every byte%s is what was written: %s, %" PRIu64 " chunk%s in %s (%s)\n",
               q->tensor ? " that was checked" : "", text_size(size.s, found->bytes_checked),
               found->chunks_checked, text_s(found->chunks_checked), text_seconds(time.s, seconds),
               text_rate(rate.s, found->bytes_checked, seconds));
    }
    printf("root %s\n", root);
}

/* The file was found whole: say so. */
static err_code report_whole(verify_request *q, const integrity_report *found, double seconds,
                             err *e)
{
    pack_file *p = NULL;
    const err_code code = pack_open(q->path, &p, e);
    if (code != OK) {
        return code;
    }
    if (q->report->json) {
        report *const r = q->report;
        report_put(r, r->root, "file_bytes", report_number(p->file_bytes));
        report_put(r, r->root, "root", report_hex(p->trailer.root, sizeof p->trailer.root));
    } else if (report_says(q->report, LEVEL_NORMAL)) {
        print_whole(q, p, found, seconds);
    }
    pack_close(p);
    return OK;
}

static err_code check_integrity(verify_request *q, const monitor *m, err *e)
{
    const integrity_options options = {.quick = !(q->checks & CHECK_DIGESTS),
                                       .tensor_glob = q->tensor,
                                       .threads = q->threads,
                                       .memory = q->memory};
    integrity_report found = {0};
    int fd = -1;
    err_code code = io_open_read(q->path, &fd, NULL, e);
    if (code != OK) {
        return code;
    }
    const double start = progress_clock();
    code = integrity_check(fd, q->path, &options, m, &found, e);
    const double seconds = progress_clock() - start;
    if (code == OK && q->report->json) {
        report_put(q->report, q->report->root, "integrity",
                   verify_integrity_json(q->report, &found, options.quick, seconds));
    }
    if (code == OK) {
        code = verify_judge_damage(q->report, q->path, &found, e);
    }
    if (code == OK) {
        code = report_whole(q, &found, seconds, e);
    }
    integrity_report_free(&found);
    close(fd);
    return code;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* How many tensors of the source were compared, and whether they are right, for one class. */
static void print_class(const pack_table *t, const weights_report *found, const char *glob,
                        bool quantized, const char *praise)
{
    uint64_t count = 0, wrong = 0;
    for (size_t i = 0; i < found->count; i++) {
        const weight_result *const w = &found->results[i];
        const pack_record *const r = pack_table_find(t, w->name);
        if (w->quantized == quantized && r) {
            count += packed_count_matches(r, glob);
            wrong += w->wrong_bytes + w->wrong_codes + w->wrong_scales > 0;
        }
    }
    if (count == 0) {
        return;
    }
    printf("  %" PRIu64 " %s: ", count, quantized ? "quantized" : "kept");
    if (wrong > 0) {
        printf("%" PRIu64 " record%s wrong\n", wrong, text_s(wrong));
    } else {
        printf("%s\n", praise);
    }
}

static const char *source_verdict(const weights_report *found)
{
    if (!verify_same_source(found)) {
        return "not the one this file was made from, by its digests";
    }
    return found->difference_count == 0 ? "the one this file was made from, by its digests"
                                        : "the same bytes in what was compared, by their digests";
}

static err_code print_compared(const verify_request *q, const pack_file *p,
                               const weights_report *found, double seconds, err *e)
{
    shown db, time;
    char against[256];
    snprintf(against, sizeof against, "%s", q->against);
    text_mask(against);
    printf("weights: compared with %s in %s\n", against, text_seconds(time.s, seconds));
    print_class(&p->table, found, q->tensor, true,
                "every code and every scale is the one that is defined");
    print_class(&p->table, found, q->tensor, false, "bit for bit the source");
    if (found->count == 0) {
        printf("  nothing could be compared\n");
        return OK;
    }
    printf("  source: %s\n", source_verdict(found));
    if (found->sum_sq_source > 0) {
        printf("  error: %s over all that was quantized\n",
               text_quality(db.s, stats_sqnr(found->sum_sq_source, found->sum_sq_error)));
    }
    return verify_print_weights(&p->table, found, q->report->level >= LEVEL_VERBOSE, e);
}

static err_code report_weights(verify_request *q, const pack_file *p, const weights_report *found,
                               double seconds, err *e)
{
    report *const r = q->report;
    const err_code judged = verify_judge_weights(r, q->path, q->against, found, e);
    err_code code = OK;
    if (r->json) {
        report_put(r, r->root, "weights", verify_weights_json(r, found, q->against, seconds));
    } else if (report_says(r, LEVEL_NORMAL)) {
        code = print_compared(q, p, found, seconds, e);
    }
    return err_worse(judged, code);
}

static err_code check_weights(verify_request *q, const monitor *m, err *e)
{
    const weights_options options = {
        .tensor_glob = q->tensor, .threads = q->threads, .memory = q->memory};
    pack_file *p = NULL;
    checkpoint *cp = NULL;
    weights_report found = {0};
    err_code code = pack_open(q->path, &p, e);
    if (code == OK) {
        code = checkpoint_open(q->against, m, &cp, e);
    }
    const double start = progress_clock();
    if (code == OK) {
        code = weights_check(p, cp, &options, m, &found, e);
    }
    if (code == OK) {
        code = report_weights(q, p, &found, progress_clock() - start, e);
    }
    weights_report_free(&found);
    checkpoint_close(cp);
    pack_close(p);
    return code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static err_code verify(verify_request *q, err *e)
{
    report *const r = q->report;
    const monitor *const m = report_monitor(r, (progress_when)q->progress);
    err_code code = OK;
    if (r->json) {
        report_put(r, r->root, "kind", report_text("verification"));
        report_put(r, r->root, "path", report_text(q->path));
    }
    if (q->checks & (CHECK_STRUCTURE | CHECK_DIGESTS)) {
        code = check_integrity(q, m, e);
    }
    if (code == OK && (q->checks & CHECK_WEIGHTS)) {
        code = check_weights(q, m, e);
    }
    return code;
}

err_code cmd_verify(int argc, char **argv, report *r, err *e)
{
    verify_request q = {.report = r, .memory = 512 * MIB, .threads = parallel_processors()};
    command_line line;
    err_code code = options_parse(COMMAND_VERIFY, argc, argv, take, &q, &line, e);
    if (code == OK && line.wish == WISH_RUN) {
        code = choose_checks(&q, e);
    }
    if (code != OK || line.wish != WISH_RUN) {
        return code != OK ? code : cmd_answer(line.wish, COMMAND_VERIFY, r, e);
    }
    signals_install();
    q.path = line.operand;
    return verify(&q, e);
}
