/* Every allocation fails in turn while files are looked for and opened: ERR_MEMORY or the usual
 * end, which never changes what is found. */
#include "tests/aid/scarce.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <zlib.h>

#include "format/archive/embed_tar.h"
#include "format/checkpoint/embed.h"
#include "format/store/model_store.h"
#include "tests/aid/made_dir.h"
#include "tests/aid/small_pack.h"

/* Root may look anywhere: this gives that up, in the process of one test only. */
static void keep_to_permissions(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    ck_assert_int_eq(syscall(SYS_capset, &head, none), 0);
}

/* ---- files next to the weights --------------------------------- */

static void make_files_and_links(void)
{
    make_pair();
    scratch_text("LICENSE", "text");
    scratch_text("additional_chat_templates/a.jinja", "text");
    scratch_text("1_Pooling/config.json", "{}");
    scratch_text("hidden/file.py", "text");
    ck_assert_int_eq(symlink("nothing", scratch("notes.txt")), 0);
    ck_assert_int_eq(symlink("hidden/file.py", scratch("recipe.yaml")), 0);
    ck_assert_int_eq(symlink("hidden/file.py", scratch("figures")), 0);
    ck_assert_int_eq(chmod(scratch("hidden"), 0), 0);
}

enum { FOUND_BYTES = 2000 };

static const char *opened; /* the checkpoint */

static void add_name(char *found, const char *mark, const char *name)
{
    const size_t used = strlen(found);
    snprintf(found + used, FOUND_BYTES - used, "%s%s;", mark, name);
}

/* The names of tensors and files, which of these are embedded, and the notes: the same whenever it
 * ends well. */
static err_code find_files(void *ctx, err *e)
{
    char *const usual = ctx;
    char found[FOUND_BYTES] = "";
    checkpoint *cp = NULL;
    embed_list list = {0};
    err_code code = OK;
    notes[0] = '\0';
    TRY_OUT(checkpoint_open(opened, &listener, &cp, e));
    TRY_OUT(embed_choose(cp->folder, NULL, 0, &listener, &list, e));
    for (size_t i = 0; i < cp->tensor_count; i++) {
        add_name(found, "tensor ", cp->tensors[i].name);
    }
    for (size_t i = 0; i < list.count; i++) {
        add_name(found, list.files[i].embedded ? "+" : "", list.files[i].name);
    }
    add_name(found, "", notes);
    TRY_OUT(!*usual || strcmp(found, usual) == 0 ? OK : err_set(e, ERR_INTERNAL, "%s", found));
    memcpy(usual, found, sizeof found);
out:
    embed_list_free(&list);
    checkpoint_close(cp);
    return code;
}

START_TEST(files_of_a_checkpoint)
{
    char usual[FOUND_BYTES] = "";
    make_files_and_links();
    keep_to_permissions();
    opened = scratch_dir;
    expect_scarce(find_files, usual);
    expect(usual, "tensor a;tensor b;tensor c;");
    expect(usual, "+LICENSE;");
    expect(usual, ";recipe.yaml;");
    ck_assert_int_eq(chmod(scratch("hidden"), 0700), 0);
}
END_TEST

START_TEST(a_folder_of_the_hub)
{
    char usual[FOUND_BYTES] = "", path[512];
    scratch_text("hub/refs/main", "abc");
    scratch_text("hub/snapshots/abc/config.json", "{}");
    scratch_safetensors("hub/blobs/one", "{" U8("a", 0, 4, "4") "}", 4, 10);
    ck_assert_int_eq(symlink("../../blobs/one", scratch("hub/snapshots/abc/model.safetensors")), 0);
    snprintf(path, sizeof path, "%s", scratch("hub"));
    opened = path;
    expect_scarce(find_files, usual);
    expect(usual, "tensor a;");
}
END_TEST

/* ---- archives -------------------------------------------------- */

static void make_archive(void)
{
    static char config[] = "{}", header[] = "{" U8("a", 0, 4, "4") "}    ";
    static char names[][40] = {"m/config.json", "m/model.safetensors", "m/LICENSE"};
    char weights[8 + sizeof header - 1 + 4] = {(char)(sizeof header - 1)};
    memcpy(weights + 8, header, sizeof header - 1);
    const member members[] = {{names[0], config, sizeof config - 1},
                              {names[1], weights, sizeof weights},
                              {names[2], config, sizeof config - 1}};
    char *tar = NULL;
    size_t bytes = 0;
    err e = {0};
    expect_ok(archive_pack(members, COUNT(members), &tar, &bytes, &e), &e);
    scratch_write("tar", tar, bytes);
    gzFile zipped = gzopen(scratch("tgz"), "wb");
    ck_assert_int_eq(gzwrite(zipped, tar, (unsigned)bytes), (int)bytes);
    ck_assert_int_eq(gzclose(zipped), Z_OK);
    free(tar);
}

START_TEST(archives)
{
    char usual[FOUND_BYTES] = "", path[512];
    make_archive();
    snprintf(path, sizeof path, "%s", scratch(_i ? "tgz" : "tar"));
    opened = path;
    expect_scarce(find_files, usual);
    expect(usual, "tensor a;");
    expect(usual, "+LICENSE;");
}
END_TEST

/* Of embedded files: packed, unpacked, the same again. */
static err_code pack_again(void *ctx, err *e)
{
    const member *const some = ctx;
    member *again = NULL;
    char *tar = NULL;
    size_t bytes = 0, count = 0;
    err_code code = OK;
    TRY_OUT(archive_pack(some, 2, &tar, &bytes, e));
    TRY_OUT(archive_unpack(tar, bytes, &again, &count, e));
    TRY_OUT(count == 2 && strcmp(again[1].name, some[1].name) == 0
                ? OK
                : err_set(e, ERR_INTERNAL, "other members"));
out:
    members_free(again, count);
    free(tar);
    return code;
}

START_TEST(embedded_files)
{
    static char names[][10] = {"a", "dir/b"}, text[] = "text";
    member some[] = {{names[0], text, 4}, {names[1], text, 2}};
    expect_scarce(pack_again, some);
}
END_TEST

/* The message names the file, which may be closed by then, or nothing. */
static err_code open_store(void *path, err *e)
{
    store *s = NULL;
    const err_code code = store_open(path, NULL, &s, e);
    store_close(s);
    const bool named = strncmp(e->text, path, strlen(path)) == 0;
    return code == ERR_MEMORY && !named && strncmp(e->text, "no memory", 9) != 0 ? ERR_INTERNAL
                                                                                 : code;
}

START_TEST(a_packed_file_as_a_model)
{
    small_pack p;
    char path[512];
    small_pack_build(&small_model_default, &(small_options){0}, &p);
    scratch_write("p", p.bytes, p.length);
    small_pack_free(&p);
    snprintf(path, sizeof path, "%s", scratch("p"));
    expect_scarce(open_store, path);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("scarce_files");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, files_of_a_checkpoint);
    tcase_add_test(tc, a_folder_of_the_hub);
    tcase_add_loop_test(tc, archives, 0, 2);
    tcase_add_test(tc, embedded_files);
    tcase_add_test(tc, a_packed_file_as_a_model);
    return run_tests("scarce_files", tc);
}
