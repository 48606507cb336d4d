/* The second check of verify: every weight against its source. */
#include <inttypes.h>
#include <stdio.h>

#include "bin/show/packed_view.h"
#include "bin/cli/text.h"
#include "bin/verify/verify_prepare.h"
#include "bin/verify/verify_report.h"
#include "format/base/printable.h"
#include "quant/tile/tile.h"

static pack_origin origin_of(const weight_result *w)
{
    return w->quantized ? ORIGIN_QUANTIZED : w->carried ? ORIGIN_CARRIED : ORIGIN_KEPT;
}

/* Print how many source tensors of one origin were compared, and either how many records of them are
 * wrong or the verdict. Scales count with their codes. */
static void print_origin(const pack_table *t, const weights_report *found, pack_origin origin,
                         const char *verdict)
{
    static const char *const names[] = {[ORIGIN_KEPT] = "kept",
                                        [ORIGIN_QUANTIZED] = "quantized",
                                        [ORIGIN_CARRIED] = "carried over"};
    uint64_t count = 0, wrong = 0;
    for (size_t i = 0; i < found->count; i++) {
        const weight_result *const w = &found->results[i];
        const pack_record *const r = pack_table_find(t, w->name);
        if (origin_of(w) == origin && r) {
            count += r->cls == CLASS_SCALES ? 0 : w->compared;
            wrong += w->wrong_bytes + w->wrong_codes + w->wrong_scales > 0;
        }
    }
    if (count == 0) {
        return;
    }
    printf("  %" PRIu64 " %s: ", count, names[origin]);
    if (wrong > 0) {
        printf("%" PRIu64 " record%s wrong\n", wrong, text_s(wrong));
    } else {
        printf("%s\n", verdict);
    }
}

/* Nothing was left out, on purpose or because it is missing or different. */
static bool compared_all(const verify_request *q, const weights_report *found)
{
    return !q->tensor && found->difference_count == 0;
}

static const char *source_verdict(const verify_request *q, const weights_report *found)
{
    if (!verify_same_source(found)) {
        return "digests differ from those of the checkpoint this file was made from";
    }
    return compared_all(q, found)
               ? "digests match the checkpoint this file was made from"
               : "digests of all compared tensors match the checkpoint this file was made from";
}

static err_code print_compared(const verify_request *q, const pack_file *p,
                               const weights_report *found, double seconds, err *e)
{
    shown db, time;
    char against[256];
    printable(against, sizeof against, q->against);
    printf("weights: compared with %s in %s\n", against, text_seconds(time.s, seconds));
    print_origin(&p->table, found, ORIGIN_QUANTIZED,
                 "all codes and scales match the specification");
    print_origin(&p->table, found, ORIGIN_CARRIED, "all codes and scales are equal to the source");
    print_origin(&p->table, found, ORIGIN_KEPT, "bit for bit equal to the source");
    if (found->count == 0) {
        printf("  nothing could be compared\n");
        return OK;
    }
    printf("  source: %s\n", source_verdict(q, found));
    if (found->sum_sq_source > 0) {
        printf("  error: %s over all %squantized tensors\n",
               text_quality(db.s, stats_sqnr(found->sum_sq_source, found->sum_sq_error)),
               compared_all(q, found) ? "" : "compared ");
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

err_code verify_weights(verify_request *q, verify_inputs *in, const monitor *m, err *e)
{
    const weights_options options = {
        .tensor_glob = q->tensor, .threads = q->job.threads, .memory = q->job.memory};
    weights_report found = {0};
    err_code code = OK;
    TRY(verify_inputs_packed(in, e));
    const double start = progress_clock();
    TRY_OUT(weights_check(in->packed, in->source, &options, m, &found, e));
    TRY_OUT(report_weights(q, in->packed, &found, progress_clock() - start, e));
    in->weights_proved = compared_all(q, &found); /* no tensor is wrong, or it would have ended */
out:
    weights_report_free(&found);
    return code;
}
