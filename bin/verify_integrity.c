/* The first check of verify: structure and digests. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "bin/text.h"
#include "bin/verify_report.h"
#include "bin/verify_request.h"
#include "format/io.h"

/* Of the source; scales count with their weight. */
static uint64_t count_tensors(const pack_table *t)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        count += t->records[i].cls == CLASS_SCALES ? 0 : pack_record_sources(&t->records[i]);
    }
    return count;
}

static void print_whole(const verify_request *q, const pack_file *p, const integrity_report *found,
                        double seconds)
{
    shown size, time, rate;
    char path[256], root[2 * SHA256_BYTES + 1];
    snprintf(path, sizeof path, "%s", q->path);
    text_mask(path);
    hex_encode(p->trailer.root, sizeof p->trailer.root, root);
    const uint64_t tensors = count_tensors(&p->table);
    printf("%s: %" PRIu64 " tensor%s, %" PRIu64 " chunk%s, %s\n", path, tensors, text_s(tensors),
           p->table.chunk_count, text_s(p->table.chunk_count), text_size(size.s, p->file_bytes));
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

err_code verify_integrity(verify_request *q, const monitor *m, err *e)
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
