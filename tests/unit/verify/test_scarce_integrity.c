/* Every allocation fails in turn while a packed file is checked, intact or damaged: the usual findings, or
 * ERR_MEMORY, and never fewer of them. */
#include "tests/aid/scarce.h"

#include <unistd.h>

#include "format/base/num.h"
#include "tests/aid/small_pack.h"
#include "verify/integrity/integrity.h"

static small_pack small;
static unsigned char *bytes;

static void setup(void)
{
    small_pack_build(&small_model_default, &(small_options){0}, &small);
    bytes = malloc(small.length);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, small.bytes, small.length);
}

static void end(void)
{
    free(bytes);
    small_pack_free(&small);
}

/* ---- damage ---------------------------------------------------- */

/* One byte of each record, and of each section whose tag is not 0. */
static void damage_tensors(void)
{
    for (uint32_t i = 0; i < small.table.count; i++) {
        const pack_record *const r = &small.table.records[i];
        if (r->len > 0) {
            bytes[r->off + r->len / 2] ^= 1;
        }
    }
}

static void damage_section(uint32_t tag)
{
    const pack_section *const s = small_pack_section(&small, tag);
    bytes[s->off + s->len / 2] ^= 1;
}

static void damage_padding(void)
{
    bytes[small.table.data_end - 1] ^= 1;
}

static const struct {
    bool tensors, padding;
    uint32_t tag;
} damages[] = {
    {0},
    {.tensors = true},
    {.padding = true},
    {.tag = TAG_TENS},
    {.tag = TAG_STRS},
    {.tag = TAG_RCPE},
    {.tag = TAG_FILE},
    {.tag = TAG_CHNK},
    {.tag = TAG_STAT},
    {.tag = TAG_PROV},
    {.tensors = true, .padding = true, .tag = TAG_CHNK},
};

static void damage_it(int i)
{
    if (damages[i].tensors) {
        damage_tensors();
    }
    if (damages[i].padding) {
        damage_padding();
    }
    if (damages[i].tag) {
        damage_section(damages[i].tag);
    }
}

/* ---- each allocation ------------------------------------------- */

typedef struct findings {
    bool streamed, known;
    size_t count;
    uint64_t checked;
    char all[20000]; /* places and sentences */
} findings;

static void list(const integrity_report *r, findings *to)
{
    size_t used = 0;
    *to = (findings){.count = r->count, .checked = r->chunks_checked};
    for (size_t i = 0; i < r->count && used < sizeof to->all; i++) {
        used += (size_t)snprintf(to->all + used, sizeof to->all - used, "%s: %s\n",
                                 r->damages[i].place, r->damages[i].what);
    }
}

static err_code compare(findings *usual, const integrity_report *r, err *e)
{
    static findings now;
    const bool streamed = usual->streamed;
    list(r, &now);
    if (!usual->known) {
        *usual = now;
        usual->known = true;
        usual->streamed = streamed;
    }
    return now.count == usual->count && now.checked == usual->checked &&
                   strcmp(now.all, usual->all) == 0
               ? OK
               : err_set(e, ERR_INTERNAL, "%zu findings: %.100s", now.count, now.all);
}

static int subject; /* the file */

static err_code check(void *ctx, err *e)
{
    findings *const usual = ctx;
    const integrity_options o = {.threads = 1, .memory = 64 * MIB};
    integrity_report found = {0};
    int ends = -1;
    (void)lseek(subject, 0, SEEK_SET); /* without Check, which needs memory */
    err_code code = usual->streamed
                        ? integrity_check_stream(subject, "x", &o, NULL, &found, &ends, e)
                        : integrity_check(subject, "x", &o, NULL, &found, e);
    if (code == OK) {
        code = compare(usual, &found, e);
    }
    integrity_report_free(&found);
    if (ends >= 0) {
        close(ends);
    }
    return code;
}

static void sweep(int i, bool streamed)
{
    static findings usual;
    usual = (findings){.streamed = streamed};
    damage_it(i);
    subject = small_memfd(bytes, small.length);
    expect_scarce(check, &usual);
    ck_assert_int_eq(usual.count > 0, i > 0);
    close(subject);
}

START_TEST(files)
{
    sweep(_i, false);
}
END_TEST

START_TEST(streams)
{
    sweep(_i, true);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("scarce_integrity");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, end);
    tcase_add_loop_test(tc, files, 0, COUNT(damages));
    tcase_add_loop_test(tc, streams, 0, COUNT(damages));
    return run_tests("scarce_integrity", tc);
}
