#include "tests/aid/packed_uses.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bin/show/inspect.h"
#include "convert/export/export.h"
#include "format/base/num.h"
#include "format/file/io.h"
#include "format/store/model_store.h"
#include "verify/diff/diff.h"
#include "verify/forward/forward.h"
#include "verify/ops/ops_cpu.h"

enum { MEMORY = 64 << 20, SHARD = 1 << 20, TOKENS = 3 };

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- a place for output ---------------------------------------- */

static char place[64];

static void leave_place(void)
{
    rmdir(place);
}

static const char *output_path(void)
{
    static char path[80];
    if (!place[0]) {
        snprintf(place, sizeof place, "%s/octavo-uses-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        must(mkdtemp(place) != NULL && atexit(leave_place) == 0);
        snprintf(path, sizeof path, "%s/out", place);
    }
    return path;
}

/* Remove a file or a directory of files; with directories below it, in which embedded files may be.
 */
static void remove_output(const char *path)
{
    DIR *const d = unlink(path) != 0 ? opendir(path) : NULL;
    for (const struct dirent *entry = d ? readdir(d) : NULL; entry; entry = readdir(d)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            char *const below = io_join(path, entry->d_name);
            must(below != NULL);
            remove_output(below);
            free(below);
        }
    }
    if (d) {
        closedir(d);
        rmdir(path);
    }
}

/* ---- uses ------------------------------------------------------ */

static err_code use_evidence(const char *path, err *e)
{
    packed_view v;
    const err_code code = packed_view_open(path, &v, e);
    packed_view_close(&v);
    return code;
}

static err_code use_inspect(const char *path, bool json, err *e)
{
    static bool silent = false;
    report r;
    silent = silent || freopen("/dev/null", "w", stdout);
    report_start(&r, COMMAND_INSPECT, json);
    r.level = LEVEL_VERBOSE;
    const err_code code = inspect_packed(path, NULL, &r, e);
    must(!r.no_memory);
    json_decref(r.root);
    return code;
}

/* The stored bytes of every tensor are those of the packed file. */
static void check_unpacked(const unpack_job *job, const unsigned char *bytes)
{
    char *data = NULL;
    size_t length = 0;
    st_header h = {0};
    must(io_read_file(output_path(), MEMORY, &data, &length, NULL) == OK);
    const uint64_t text = le64_load((const unsigned char *)data);
    must(st_header_parse("out", data + 8, text, length, NULL, &h, NULL) == OK);
    must(h.count == job->tensor_count);
    for (size_t i = 0; i < h.count; i++) {
        const unpack_tensor *const t = &job->tensors[i];
        const st_tensor *found = NULL;
        for (size_t k = 0; k < h.count && !found; k++) {
            found = strcmp(h.tensors[k].name, t->name) == 0 ? &h.tensors[k] : NULL;
        }
        must(found && found->bytes == t->bytes && found->type == t->type);
        must(job->options.form != UNPACK_STORED ||
             memcmp(data + found->off, bytes + t->record->off + t->member * t->bytes, t->bytes) ==
                 0);
    }
    st_header_free(&h);
    free(data);
}

static err_code use_unpack(const char *path, const packed_use_options *o, err *e)
{
    const unpack_options how = {.path = path,
                                .output = output_path(),
                                .place = UNPACK_FILE,
                                .form = o->form,
                                .threads = 1,
                                .memory = MEMORY};
    unpack_job job = {0};
    err_code code = OK;
    TRY_OUT(unpack_prepare(&how, NULL, &job, e));
    TRY_OUT(unpack_run(&job, NULL, e));
    check_unpacked(&job, o->bytes);
out:
    unpack_close(&job);
    must(code == OK || access(output_path(), F_OK) != 0);
    remove_output(output_path());
    return code;
}

static err_code use_export(const char *path, const packed_use_options *o, err *e)
{
    const export_options how = {.path = path,
                                .output = output_path(),
                                .preset = o->runtime,
                                .dequantize = o->dequantize,
                                .shard_bytes = SHARD,
                                .threads = 1,
                                .memory = MEMORY};
    export_job job = {0};
    export_report done;
    checkpoint *cp = NULL;
    TRY(export_prepare(&how, NULL, &job, e));
    const err_code code = export_run(&job, NULL, &done, e);
    const uint64_t count = job.plan.tensor_count;
    export_close(&job);
    if (code == OK) {
        must(checkpoint_open(output_path(), NULL, &cp, e) == OK && cp->tensor_count == count);
        checkpoint_close(cp);
    }
    must(code == OK || access(output_path(), F_OK) != 0);
    remove_output(output_path());
    return code;
}

static err_code use_diff(const char *path, const packed_use_options *o, err *e)
{
    const diff_options how = {.full = true, .threads = 1, .memory = MEMORY};
    store *a = NULL;
    store *b = NULL;
    diff_report r = {0};
    err_code code = OK;
    TRY_OUT(store_open(path, NULL, &a, e));
    TRY_OUT(store_open(o->other ? o->other : path, NULL, &b, e));
    TRY_OUT(diff_run(a, b, &how, NULL, &r, e));
    must(o->other || (r.different == 0 && r.files_different == 0 && r.alike == r.count));
    must(r.alike + r.different + r.only_a + r.only_b == r.count);
out:
    diff_report_free(&r);
    store_close(a);
    store_close(b);
    return code;
}

static err_code use_forward(const char *path, err *e)
{
    static ops *on_cpu = NULL;
    static const int32_t ids[TOKENS] = {0, 1, 2};
    const forward_options how = {.ids = ids,
                                 .sequences = 1,
                                 .length = TOKENS,
                                 .f32 = true,
                                 .fp8 = true,
                                 .prefill = true,
                                 .threads = 1,
                                 .memory = MEMORY};
    store *model = NULL;
    forward_report r = {0};
    err_code code = OK;
    if (!on_cpu) {
        TRY(ops_cpu_create(1, &on_cpu, e));
    }
    TRY_OUT(store_open(path, NULL, &model, e));
    TRY_OUT(forward_single(model, &how, on_cpu, NULL, &r, e));
    must(r.variant_count >= 1);
out:
    forward_report_free(&r);
    store_close(model);
    return code;
}

err_code packed_use(packed_use_id use, const char *path, const packed_use_options *o, err *e)
{
    switch (use) {
    case USE_INSPECT:
        return use_inspect(path, false, e);
    case USE_INSPECT_JSON:
        return use_inspect(path, true, e);
    case USE_UNPACK:
        return use_unpack(path, o, e);
    case USE_EXPORT:
        return use_export(path, o, e);
    case USE_DIFF:
        return use_diff(path, o, e);
    case USE_FORWARD:
        return use_forward(path, e);
    default:
        return use_evidence(path, e);
    }
}
