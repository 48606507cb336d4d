/* Whole exports: the same bytes for any number of threads and any memory budget; nothing is left
 * after damage and refusals. tests/interop/export_check.py checks what the bytes mean. */
#include <check.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "convert/export/export.h"
#include "format/file/io.h"
#include "format/json/json.h"
#include "format/base/num.h"
#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"

static small_pack small;
static export_options options;
static monitor watcher;

static void write_pack(const small_model *model, const small_options *how)
{
    small_pack_free(&small);
    small_pack_build(model, how, &small);
    scratch_write("p", small.bytes, small.length);
}

static void setup(void)
{
    scratch_make();
    write_pack(&small_model_default, &(small_options){0});
    options = (export_options){.path = strdup(scratch("p")),
                               .output = strdup(scratch("out")),
                               .preset = &preset_table[PRESET_HF],
                               .shard_bytes = 1 << 20,
                               .threads = 2,
                               .memory = 64 * MIB};
    watcher = (monitor){0};
}

static void teardown(void)
{
    free((char *)options.path);
    free((char *)options.output);
    small_pack_free(&small);
    small = (small_pack){0};
    scratch_remove();
}

static err_code run(err *e)
{
    export_job job;
    export_report report;
    *e = (err){0};
    err_code code = export_prepare(&options, NULL, &job, e);
    if (code == OK) {
        code = export_run(&job, &watcher, &report, e);
        export_close(&job);
    }
    return code;
}

static void succeeds(void)
{
    err e;
    expect_ok(run(&e), &e);
}

static int entries(const char *dir)
{
    DIR *const d = opendir(scratch(dir));
    int count = -2; /* "." and ".." */
    ck_assert_ptr_nonnull(d);
    while (readdir(d)) {
        count++;
    }
    closedir(d);
    return count;
}

/* Nothing is left except the packed file. */
static void fails(err_code code, const char *why)
{
    err e;
    expect_error(run(&e), code, &e, why);
    ck_assert_int_eq(entries(""), 1);
}

/* XXH3 of names and contents, in the order of the names. */
static void digest_tree(const char *dir, unsigned char out[XXH3_BYTES])
{
    struct dirent **found = NULL;
    const int count = scandir(scratch(dir), &found, NULL, alphasort);
    digest_stream *s = NULL;
    expect_ok(digest_open(DIGEST_XXH3, &s, NULL), NULL);
    ck_assert(count >= 0);
    for (int i = 0; i < count; i++) {
        char *data = NULL;
        size_t bytes = 0;
        char name[300];
        snprintf(name, sizeof name, "%s/%s", dir, found[i]->d_name);
        expect_ok(digest_add(s, found[i]->d_name, strlen(found[i]->d_name) + 1, NULL), NULL);
        if (found[i]->d_name[0] != '.') {
            expect_ok(io_read_file(scratch(name), 1 << 24, &data, &bytes, NULL), NULL);
            expect_ok(digest_add(s, data, bytes, NULL), NULL);
        }
        free(data);
        free(found[i]);
    }
    free(found);
    expect_ok(digest_finish(s, out, NULL), NULL);
    digest_close(s);
}

static void same_in_other_ways(void)
{
    static const struct {
        unsigned threads;
        uint64_t memory;
    } ways[] = {{1, 64 * MIB}, {7, 64 * MIB}, {3, MIB}};
    unsigned char first[XXH3_BYTES];
    unsigned char found[XXH3_BYTES];
    options.force = true;
    succeeds();
    digest_tree("out", first);
    for (int i = 0; i < COUNT(ways); i++) {
        options.threads = ways[i].threads;
        options.memory = ways[i].memory;
        succeeds();
        digest_tree("out", found);
        ck_assert_mem_eq(found, first, sizeof found);
        ck_assert_int_eq(entries(""), 2);
    }
}

START_TEST(bytes_do_not_depend_on_the_way)
{
    static const uint64_t shards[] = {1, 3000, 1 << 20};
    options.shard_bytes = shards[_i / 2];
    options.preset = &preset_table[_i % 2 ? PRESET_BF16 : PRESET_HF];
    same_in_other_ways();
}
END_TEST

START_TEST(config_has_to_be_there)
{
    small_model model = small_model_default;
    model.config = NULL;
    write_pack(&model, &(small_options){0});
    fails(ERR_INPUT, "no config.json is embedded");
    model.config = "[1]";
    write_pack(&model, &(small_options){0});
    fails(ERR_INPUT, "embedded config.json: not an object");
    model.config = "{\"a\":1";
    write_pack(&model, &(small_options){0});
    fails(ERR_INPUT, "embedded config.json");
    model.config = "{\"quantization_config\":{}}";
    write_pack(&model, &(small_options){0});
    fails(ERR_INPUT, "says that the model is quantized");
    model.config = "{}";
    write_pack(&model, &(small_options){0});
    succeeds();
    json_t *config = NULL;
    err e = {0};
    expect_ok(json_parse_file(scratch("out/config.json"), JSON_PYTHON, &config, &e), &e);
    ck_assert_uint_eq(json_object_size(config), 1);
    json_decref(config);
}
END_TEST

/* Flip one bit in every record that has bytes. */
START_TEST(damage_is_seen)
{
    for (uint32_t i = 0; i < small.table.count; i++) {
        const pack_record *const r = &small.table.records[i];
        for (int side = 0; side < 2 && r->len > 0; side++) {
            const uint64_t at = side == 0 ? r->off : r->off + r->len - 1;
            small.bytes[at] ^= 4;
            scratch_write("p", small.bytes, small.length);
            options.preset = &preset_table[side ? PRESET_BF16 : PRESET_HF];
            fails(ERR_DAMAGED, r->name);
            small.bytes[at] ^= 4;
        }
    }
}
END_TEST

static void spoil_scale(small_pack *p, const void *ctx)
{
    (void)ctx;
    for (uint32_t i = 0; i < p->table.count; i++) {
        if (p->table.records[i].cls == CLASS_SCALES) {
            p->bytes[p->table.records[i].off + 1] |= 1;
        }
    }
}

START_TEST(scales_are_what_the_flag_says)
{
    static const preset_id presets[] = {PRESET_HF, PRESET_BF16, PRESET_COMPRESSED};
    write_pack(&small_model_default, &(small_options){.ue8m0 = true});
    options.dequantize = true;
    for (int i = 0; i < COUNT(presets); i++) {
        options.preset = &preset_table[presets[i]];
        options.force = true;
        succeeds();
    }
    ck_assert_int_eq(rename(scratch("out"), scratch("p.d")), 0);
    write_pack(&small_model_default, &(small_options){.ue8m0 = true, .tamper = spoil_scale});
    for (int i = 0; i < COUNT(presets); i++) {
        err e;
        options.preset = &preset_table[presets[i]];
        expect_error(run(&e), ERR_INPUT, &e, "a scale is not a power of two although POW2 says so");
        ck_assert_int_eq(entries(""), 2);
    }
}
END_TEST

START_TEST(too_little_memory_names_the_need)
{
    options.memory = 1;
    fails(ERR_MEMORY, "one piece needs 1 MiB of buffers, the budget is 1 B");
}
END_TEST

static err_code plan(void *ctx, const monitor *m, err *e)
{
    export_job job;
    (void)ctx;
    TRY(export_prepare(&options, m, &job, e));
    export_close(&job);
    return OK;
}

START_TEST(planning_can_be_cancelled)
{
    ck_assert_uint_eq(cancel_each(plan, NULL), 9);
}
END_TEST

static bool always(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(cancelled_leaves_nothing)
{
    watcher.cancelled = always;
    err e;
    ck_assert_int_eq(run(&e), ERR_CANCELLED);
    ck_assert_int_eq(entries(""), 1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("export");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, bytes_do_not_depend_on_the_way, 0, 6);
    tcase_add_test(tc, config_has_to_be_there);
    tcase_add_test(tc, damage_is_seen);
    tcase_add_test(tc, scales_are_what_the_flag_says);
    tcase_add_test(tc, too_little_memory_names_the_need);
    tcase_add_test(tc, planning_can_be_cancelled);
    tcase_add_test(tc, cancelled_leaves_nothing);
    return run_tests("export", tc);
}
