/* The folder of a checkpoint in an archive: a checkpoint in an archive is the same as in a
 * directory. */
#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/checkpoint_dir.h"
#include "format/file/io.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

/* An archive of files of scratch("d"), "name=member" each; as gzip if asked. */
static void pack(bool gzip, const char *const *pairs, size_t count)
{
    struct archive *const a = archive_write_new();
    ck_assert_int_eq(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
    if (gzip) {
        ck_assert_int_eq(archive_write_add_filter_gzip(a), ARCHIVE_OK);
    }
    ck_assert_int_eq(archive_write_open_filename(a, scratch("a")), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        char name[64];
        char path[80];
        char *data = NULL;
        size_t bytes = 0;
        err e = {0};
        const char *const equals = strchr(pairs[i], '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals - pairs[i]), pairs[i]);
        snprintf(path, sizeof path, "d/%s", name);
        expect_ok(io_read_file(scratch(path), 1 << 20, &data, &bytes, &e), &e);
        struct archive_entry *const entry = archive_entry_new();
        archive_entry_set_pathname(entry, equals + 1);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, (la_int64_t)bytes);
        ck_assert_int_eq(archive_write_header(a, entry), ARCHIVE_OK);
        ck_assert_int_eq(archive_write_data(a, data, bytes), (la_ssize_t)bytes);
        archive_entry_free(entry);
        free(data);
    }
    ck_assert_int_eq(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static void setup(void)
{
    scratch_make();
    scratch_text("d/config.json", "{\"model_type\":\"x\"}");
    scratch_text("d/LICENSE", "as you like");
    scratch_safetensors("d/model.safetensors",
                        "{\"a\":{\"dtype\":\"U8\",\"shape\":[200000],\"data_offsets\":[0,200000]},"
                        "\"b\":{\"dtype\":\"F32\",\"shape\":[500],\"data_offsets\":[200000,"
                        "202000]}}",
                        202000, 7);
}

static checkpoint_dir *open_good(void)
{
    checkpoint_dir *f = NULL;
    err e = {0};
    expect_ok(checkpoint_dir_open(scratch("a"), NULL, &f, &e), &e);
    return f;
}

START_TEST(top_or_one_directory)
{
    static const char *const top[] = {
        "config.json=config.json", "model.safetensors=model.safetensors",
        "LICENSE=original/LICENSE", "model.safetensors=original/model.safetensors"};
    static const char *const below[] = {"config.json=m/config.json", "LICENSE=readme",
                                        "model.safetensors=m/model.safetensors",
                                        "model.safetensors=m/deeper/model.safetensors",
                                        "model.safetensors=other/.hidden.safetensors"};
    for (int gzip = 0; gzip < 2; gzip++) {
        pack(gzip, top, COUNT(top));
        checkpoint_dir *f = open_good();
        ck_assert_str_eq(f->path, scratch("a"));
        dir_list names;
        err e = {0};
        expect_ok(checkpoint_dir_list(f, &names, &e), &e);
        ck_assert_uint_eq(names.count, 3);
        ck_assert(dir_list_has(&names, "original"));
        ck_assert(dir_list_has(&names, "config.json") && dir_list_has(&names, "model.safetensors"));
        dir_list_free(&names);
        checkpoint_dir_close(f);

        pack(gzip, below, COUNT(below));
        f = open_good();
        ck_assert_str_eq(f->path, scratch("a/m"));
        expect_ok(checkpoint_dir_list(f, &names, &e), &e);
        ck_assert_uint_eq(names.count, 3);
        ck_assert(dir_list_has(&names, "deeper"));
        dir_list_free(&names);
        checkpoint_dir_close(f);
    }
}
END_TEST

static void expect_names(const checkpoint_dir *f, const char *dir, const char *expected)
{
    dir_list names;
    err e = {0};
    char text[256] = "";
    expect_ok(dir ? checkpoint_dir_list_below(f, dir, &names, &e)
                  : checkpoint_dir_list(f, &names, &e),
              &e);
    for (size_t i = 0; i < names.count; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s ", names.names[i]);
    }
    dir_list_free(&names);
    ck_assert_str_eq(text, expected);
}

static bool is_directory(const checkpoint_dir *f, const char *name)
{
    bool found = false;
    err e = {0};
    expect_ok(checkpoint_dir_is_directory(f, name, &found, &e), &e);
    return found;
}

/* Of directories that the archive names nowhere, with names between them that look like theirs. */
static void expect_directories(const checkpoint_dir *f)
{
    struct stat st;
    expect_names(f, NULL, "config.json model.safetensors t t.json t0 u ");
    expect_names(f, "t", "a b deep ");
    expect_names(f, "u", "a ");
    ck_assert(is_directory(f, "t") && is_directory(f, "u"));
    ck_assert(!is_directory(f, "t0") && !is_directory(f, "t.json"));
    ck_assert(!is_directory(f, "none"));
    ck_assert_int_eq(checkpoint_dir_stat(f, "t", &st), 0);
    ck_assert(S_ISDIR(st.st_mode));
    ck_assert_int_eq(checkpoint_dir_stat(f, "t/a", &st), 0);
    ck_assert(S_ISREG(st.st_mode));
    ck_assert_int_eq(st.st_size, 11);
    ck_assert_int_eq(checkpoint_dir_stat(f, "none", &st), ENOENT);
    char *text = NULL;
    size_t bytes = 0;
    err e = {0};
    expect_ok(checkpoint_dir_read(f, "t/a", 100, &text, &bytes, &e), &e);
    ck_assert_str_eq(text, "as you like");
    free(text);
}

START_TEST(directories_in_it)
{
    static const char *const top[] = {"config.json=config.json",
                                      "LICENSE=t/b",
                                      "LICENSE=t.json",
                                      "LICENSE=t0",
                                      "LICENSE=u/a",
                                      "LICENSE=t/deep/x",
                                      "LICENSE=t/a",
                                      "model.safetensors=model.safetensors"};
    static const char *const below[] = {"config.json=m/config.json",
                                        "LICENSE=m/t/b",
                                        "LICENSE=m/t.json",
                                        "LICENSE=m/t0",
                                        "LICENSE=m/u/a",
                                        "LICENSE=m/t/deep/x",
                                        "LICENSE=m/t/a",
                                        "LICENSE=m.x/no",
                                        "model.safetensors=m/model.safetensors"};
    for (int gzip = 0; gzip < 2; gzip++) {
        pack(gzip, top, COUNT(top));
        checkpoint_dir *f = open_good();
        expect_directories(f);
        checkpoint_dir_close(f);
        pack(gzip, below, COUNT(below));
        f = open_good();
        expect_directories(f);
        checkpoint_dir_close(f);
    }
    static const char *const files[] = {"t/b", "t.json", "t0", "u/a", "t/deep/x", "t/a"};
    for (int i = 0; i < COUNT(files); i++) {
        char path[64];
        snprintf(path, sizeof path, "d/%s", files[i]);
        scratch_text(path, "as you like");
    }
    ck_assert_int_eq(unlink(scratch("d/LICENSE")), 0);
    checkpoint_dir *f = NULL;
    err e = {0};
    expect_ok(checkpoint_dir_open(scratch("d"), NULL, &f, &e), &e);
    expect_directories(f);
    ck_assert_int_eq(symlink("t", scratch("d/link")), 0);
    ck_assert(!is_directory(f, "link"));
    checkpoint_dir_close(f);
}
END_TEST

START_TEST(none_or_several)
{
    static const char *const several[] = {"model.safetensors=one/model.safetensors",
                                          "LICENSE=other",
                                          "model.safetensors=two/model.safetensors.index.json",
                                          "model.safetensors=two/x.safetensors"};
    static const char *const none[] = {"config.json=config.json",
                                       "model.safetensors=a/b/c.safetensors"};
    checkpoint_dir *f = NULL;
    err e = {0};
    pack(false, several, COUNT(several));
    expect_error(checkpoint_dir_open(scratch("a"), NULL, &f, &e), ERR_INPUT, &e,
                 "2 directories with .safetensors files: one; two");
    pack(true, none, COUNT(none));
    expect_error(checkpoint_dir_open(scratch("a"), NULL, &f, &e), ERR_INPUT, &e,
                 "not a checkpoint");
    pack(true, none, 0);
    expect_error(checkpoint_dir_open(scratch("a"), NULL, &f, &e), ERR_INPUT, &e,
                 "not a checkpoint");
    ck_assert_ptr_null(f);
}
END_TEST

START_TEST(files)
{
    static const char *const all[] = {"config.json=m/config.json", "LICENSE=m/LICENSE",
                                      "model.safetensors=m/model.safetensors"};
    for (int gzip = 0; gzip < 2; gzip++) {
        char *data = NULL;
        size_t bytes = 0;
        struct stat st;
        err e = {0};
        pack(gzip, all, COUNT(all));
        checkpoint_dir *const f = open_good();
        expect_ok(checkpoint_dir_read(f, "LICENSE", 100, &data, &bytes, &e), &e);
        ck_assert_uint_eq(bytes, 11);
        ck_assert_str_eq(data, "as you like");
        free(data);
        expect_error(checkpoint_dir_read(f, "LICENSE", 10, &data, &bytes, &e), ERR_INPUT, &e,
                     "a/m/LICENSE: 11 bytes, more than the limit of 10");
        ck_assert_ptr_null(data);
        expect_ok(checkpoint_dir_read(f, "other", 10, &data, &bytes, &e), &e);
        ck_assert_ptr_null(data);
        ck_assert_int_eq(checkpoint_dir_stat(f, "LICENSE", &st), 0);
        ck_assert(S_ISREG(st.st_mode) && st.st_size == 11);
        ck_assert_int_eq(checkpoint_dir_stat(f, "other", &st), ENOENT);
        checkpoint_dir_close(f);
    }
}
END_TEST

/* All bytes of a tensor, read in both ways. */
static void expect_same_tensor(checkpoint *a, checkpoint *b, size_t i)
{
    const tensor *const t = &a->tensors[i];
    const size_t room = (direct_room(t->bytes) | 4095) + 1;
    unsigned char *const one = aligned_alloc(DIRECT_ALIGN, room);
    unsigned char *const two = aligned_alloc(DIRECT_ALIGN, room);
    unsigned char *data = NULL;
    err e = {0};
    ck_assert_uint_eq(t->off, b->tensors[i].off);
    expect_ok(checkpoint_read(a, t, 0, one, t->bytes, &e), &e);
    expect_ok(checkpoint_read(b, &b->tensors[i], 0, two, t->bytes, &e), &e);
    ck_assert_mem_eq(one, two, t->bytes);
    expect_ok(checkpoint_read_room(b, &b->tensors[i], 0, two, t->bytes, NULL, &data, &e), &e);
    ck_assert_mem_eq(one, data, t->bytes);
    checkpoint_prefetch(b, &b->tensors[i]);
    free(one);
    free(two);
}

static void expect_same(checkpoint *a, checkpoint *b)
{
    ck_assert_uint_eq(a->tensor_count, b->tensor_count);
    ck_assert_uint_eq(a->shards[0].bytes, b->shards[0].bytes);
    ck_assert_mem_eq(a->shards[0].header_sha256, b->shards[0].header_sha256, SHA256_BYTES);
    for (size_t i = 0; i < a->tensor_count; i++) {
        expect_same_tensor(a, b, i);
    }
}

START_TEST(a_checkpoint)
{
    static const char *const all[] = {"config.json=m/config.json", "LICENSE=m/LICENSE",
                                      "model.safetensors=m/model.safetensors"};
    checkpoint *a = NULL;
    checkpoint *b = NULL;
    err e = {0};
    pack(_i, all, COUNT(all));
    expect_ok(checkpoint_open(scratch("d"), NULL, &a, &e), &e);
    expect_ok(checkpoint_open(scratch("a"), NULL, &b, &e), &e);
    ck_assert_str_eq(b->dir, scratch("a/m"));
    ck_assert_str_eq(b->shards[0].path, scratch("a/m/model.safetensors"));
    expect_same(a, b);
    expect_ok(checkpoint_unchanged(b, NULL, &e), &e);
    /* What was unpacked is the checkpoint's own; the archive itself may change while it is read. */
    scratch_text("a", "changed");
    if (_i == 0) {
        expect_error(checkpoint_unchanged(b, NULL, &e), ERR_IO, &e, "changed during the run");
    } else {
        expect_ok(checkpoint_unchanged(b, NULL, &e), &e);
        expect_same(a, b);
    }
    checkpoint_close(a);
    checkpoint_close(b);
}
END_TEST

START_TEST(a_missing_shard)
{
    static const char *const all[] = {"config.json=m/config.json",
                                      "index=m/model.safetensors.index.json",
                                      "model.safetensors=m/model.safetensors"};
    checkpoint *cp = NULL;
    err e = {0};
    scratch_text("d/index",
                 "{\"weight_map\":{\"a\":\"model.safetensors\",\"b\":\"model.safetensors\","
                 "\"c\":\"other.safetensors\"}}");
    pack(_i, all, COUNT(all));
    expect_error(checkpoint_open(scratch("a"), NULL, &cp, &e), ERR_INPUT, &e,
                 "shard other.safetensors is missing, with 1 tensors");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("checkpoint_dir");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, top_or_one_directory);
    tcase_add_test(tc, directories_in_it);
    tcase_add_test(tc, none_or_several);
    tcase_add_test(tc, files);
    tcase_add_loop_test(tc, a_checkpoint, 0, 2);
    tcase_add_loop_test(tc, a_missing_shard, 0, 2);
    return run_tests("checkpoint_dir", tc);
}
