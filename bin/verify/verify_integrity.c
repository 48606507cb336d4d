/* The first check of verify: structure and digests. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/cli/text.h"
#include "bin/verify/verify_prepare.h"
#include "bin/verify/verify_report.h"
#include "format/base/printable.h"
#include "format/pack/pack_end.h"
#include "format/store/model_path.h"

/* Source tensors, not counting scales. */
static uint64_t count_tensors(const pack_table *t)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        count += t->records[i].cls == CLASS_SCALES ? 0 : pack_record_sources(&t->records[i]);
    }
    return count;
}

/* What is checked: a file, or a stream from standard input. */
typedef struct subject {
    const char *name; /* for messages */
    int fd;           /* -1: none */
    int own;          /* the same, if it has to be closed */
    bool streamed;
    file_stamp stamp; /* unless it is streamed */
} subject;

static void print_intact(const verify_request *q, const subject *s, const pack_file *p,
                         const integrity_report *found, double seconds)
{
    shown size, time, rate;
    char path[256], root[2 * SHA256_BYTES + 1];
    printable(path, sizeof path, s->name);
    hex_encode(p->trailer.root, sizeof p->trailer.root, root);
    const uint64_t tensors = count_tensors(&p->table);
    printf("%s: %" PRIu64 " tensor%s, %" PRIu64 " chunk%s, %s\n", path, tensors, text_s(tensors),
           p->table.chunk_count, text_s(p->table.chunk_count), text_size(size.s, p->file_bytes));
    if (!(q->checks & CHECK_DIGESTS)) {
        printf("structure: OK; not checked: weights, their digests, statistics, provenance\n");
    } else {
        printf("integrity: OK, every %sbyte matches its digest: %s, %" PRIu64
               " chunk%s in %s (%s)\n",
               q->tensor ? "checked " : "", text_size(size.s, found->bytes_checked),
               found->chunks_checked, text_s(found->chunks_checked), text_seconds(time.s, seconds),
               text_rate(rate.s, found->bytes_checked, seconds));
    }
    printf("root %s\n", root);
}

/* Open what was checked (of a stream: the memory file with its ends). It must still be the same. */
static err_code open_checked(const subject *s, const monitor *m, const integrity_report *found,
                             pack_file **out, err *e)
{
    err late = {0};
    const err_code code = pack_open_again(s->name, s->fd, s->streamed ? NULL : &s->stamp, out, e);
    if (code != OK) { /* what it says about the content is not true of what was checked */
        late.code = file_stamp_refuse(s->name, &late);
        return err_overrule(e, code, &late);
    }
    if (memcmp(found->root, (*out)->trailer.root, sizeof found->root) != 0) {
        return file_stamp_refuse(s->name, e);
    }
    return s->streamed ? OK : pack_end(*out, m, OK, e);
}

/* Report an intact file, and leave it to the checks that follow. */
static err_code report_intact(verify_request *q, const subject *s, verify_inputs *in,
                              const monitor *m, const integrity_report *found, double seconds,
                              err *e)
{
    TRY(open_checked(s, m, found, &in->packed, e));
    const pack_file *const p = in->packed;
    if (q->report->json) {
        report *const r = q->report;
        report_put(r, r->root, "file_bytes", report_number(p->file_bytes));
        report_put(r, r->root, "root", report_hex(p->trailer.root, sizeof p->trailer.root));
    } else if (report_says(q->report, LEVEL_NORMAL)) {
        print_intact(q, s, p, found, seconds);
    }
    return OK;
}

/* A regular file that standard input was redirected from can be read at any offset. */
static bool is_whole_file(int fd, file_stamp *stamp)
{
    struct stat st = {0};
    const bool whole = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) == 0;
    *stamp = file_stamp_of(&st);
    return whole;
}

static void choose_subject(const verify_inputs *in, subject *s)
{
    *s = (subject){.name = in->q->path, .fd = in->fd, .own = -1, .stamp = in->opened};
    if (model_path_is_stream(in->q->path)) {
        s->name = "standard input";
        s->streamed = !is_whole_file(STDIN_FILENO, &s->stamp);
        s->fd = s->streamed ? -1 : STDIN_FILENO;
    }
}

static err_code check_subject(const verify_request *q, subject *s, const monitor *m,
                              integrity_report *found, err *e)
{
    const integrity_options options = {.quick = !(q->checks & CHECK_DIGESTS),
                                       .tensor_glob = q->tensor,
                                       .threads = q->job.threads,
                                       .memory = q->job.memory,
                                       .opened = &s->stamp};
    if (!s->streamed) {
        return integrity_check(s->fd, s->name, &options, m, found, e);
    }
    const err_code code =
        integrity_check_stream(STDIN_FILENO, s->name, &options, m, found, &s->own, e);
    s->fd = s->own;
    return code;
}

err_code verify_integrity(verify_request *q, verify_inputs *in, const monitor *m, err *e)
{
    subject s;
    integrity_report found = {0};
    err_code code = OK;
    choose_subject(in, &s);
    const double start = progress_clock();
    TRY_OUT(check_subject(q, &s, m, &found, e));
    const double seconds = progress_clock() - start;
    if (q->report->json) {
        report_put(q->report, q->report->root, "integrity",
                   verify_integrity_json(q->report, &found, !(q->checks & CHECK_DIGESTS), seconds));
    }
    TRY_OUT(verify_judge_damage(q->report, s.name, &found, e));
    TRY_OUT(report_intact(q, &s, in, m, &found, seconds, e));
out:
    integrity_report_free(&found);
    if (s.own >= 0) {
        close(s.own);
    }
    return code;
}
