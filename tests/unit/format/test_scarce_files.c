/* Every allocation fails in turn while files are looked for and opened: ERR_MEMORY or the usual
 * end, which never changes what is found. */
#include "tests/aid/scarce.h"

#include <linux/capability.h>
#include <sys/syscall.h>

#include "format/checkpoint/embed.h"
#include "tests/aid/made_dir.h"

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

/* The names, and which are embedded: the same whenever it ends well. */
static err_code find_files(void *ctx, err *e)
{
    char *const usual = ctx;
    char found[1000] = "";
    checkpoint *cp = NULL;
    embed_list list = {0};
    err_code code = OK;
    TRY_OUT(checkpoint_open(scratch_dir, NULL, &cp, e));
    TRY_OUT(embed_choose(cp->folder, NULL, 0, NULL, &list, e));
    for (size_t i = 0; i < list.count; i++) {
        const size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%s%s;", list.files[i].embedded ? "+" : "",
                 list.files[i].name);
    }
    TRY_OUT(!*usual || strcmp(found, usual) == 0 ? OK : err_set(e, ERR_INTERNAL, "%s", found));
    memcpy(usual, found, sizeof found);
out:
    embed_list_free(&list);
    checkpoint_close(cp);
    return code;
}

START_TEST(files_of_a_checkpoint)
{
    char usual[1000] = "";
    make_files_and_links();
    keep_to_permissions();
    expect_scarce(find_files, usual);
    expect(usual, "+LICENSE;");
    expect(usual, ";recipe.yaml;");
    ck_assert_int_eq(chmod(scratch("hidden"), 0700), 0);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("scarce_files");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, files_of_a_checkpoint);
    return run_tests("scarce_files", tc);
}
