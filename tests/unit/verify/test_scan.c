/* What the check reports if several places are damaged, if contents break rules although their
 * digests match, and what its options do. */
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/aid/scan_case.h"

START_TEST(a_whole_file_has_no_damage)
{
    check();
    ck_assert_uint_eq(report.count, 0);
    ck_assert(report.tensors_checked);
    ck_assert_uint_eq(report.chunks_checked, pack.table.chunk_count);
    ck_assert_uint_eq(report.bytes_checked, pack.length);
}
END_TEST

START_TEST(every_place_is_named_at_once)
{
    flip(100);
    flip(section_off(TAG_FILE) + 5);
    flip(section_off(TAG_RCPE) + 3000); /* after the recipe: padding */
    flip(record(EMBED)->off + 9);
    flip(record(DOWN)->off + 480);
    flip(section_off(TAG_SDIG));
    flip(section_off(TAG_PROV) + 7);
    check();
    EXPECT(ERR_DAMAGED, "superblock", "section FILE", "padding", "tensor " EMBED, "tensor " DOWN,
           "section SDIG", "section PROV");
    ck_assert_int_eq(report.damages[4].slice, 1);
    ck_assert_int_eq(report.damages[4].chunk, 1);
}
END_TEST

START_TEST(a_damaged_trailer_leaves_the_head)
{
    flip(pack.length - 2000);
    flip(section_off(TAG_RCPE));
    check();
    EXPECT(ERR_DAMAGED, "section RCPE", "trailer");
    ck_assert(!report.tensors_checked);
}
END_TEST

START_TEST(both_blocks_damaged)
{
    flip(80);
    flip(pack.length - 2000);
    check();
    EXPECT(ERR_DAMAGED, "superblock", "trailer");
    flip(0);
    check();
    EXPECT(ERR_DAMAGED, "superblock", "trailer");
}
END_TEST

START_TEST(a_damaged_table_hides_the_tensors)
{
    flip(section_off(TAG_NIDX));
    flip(record(EMBED)->off);
    flip(section_off(TAG_STAT) + 100);
    check();
    EXPECT(ERR_DAMAGED, "section NIDX", "section STAT");
    ck_assert(!report.tensors_checked);
}
END_TEST

START_TEST(tensor_digests_stand_in_for_chunk_digests)
{
    flip(section_off(TAG_CHNK) + 3);
    check();
    EXPECT(ERR_DAMAGED, "section CHNK");
    ck_assert(report.tensors_checked);
    flip(record(DOWN)->off + 480 * 2);
    check();
    EXPECT(ERR_DAMAGED, "tensor " DOWN, "section CHNK");
    ck_assert_int_eq(report.damages[0].chunk, 2);
    flip(section_off(TAG_TDIG) + 3);
    check();
    EXPECT(ERR_DAMAGED, "section CHNK", "section TDIG");
    ck_assert(!report.tensors_checked);
}
END_TEST

START_TEST(padding_is_reported_from_first_to_last)
{
    const uint64_t at = record(EMBED)->off + record(EMBED)->len;
    pack.bytes[at + 3] = 1;
    pack.bytes[at + 9] = 2;
    pack.bytes[pack.table.data_end - 1] = 3;
    check();
    EXPECT(ERR_DAMAGED, "padding", "padding");
    ck_assert_uint_eq(report.damages[0].off, at + 3);
    ck_assert_uint_eq(report.damages[0].bytes, 7);
    ck_assert_uint_eq(report.damages[1].off, pack.table.data_end - 1);
}
END_TEST

/* ---- rules, with digests that match ---------------------------- */

START_TEST(padding_of_the_head_is_damage_whatever_plan_id_says)
{
    flip(pack.table.data_off - 1);
    small_pack_sign(&pack, pack.bytes);
    check();
    EXPECT(ERR_DAMAGED, "padding");
}
END_TEST

START_TEST(a_wrong_plan_id_alone_is_the_head)
{
    unsigned char *const back = pack.bytes + pack.length - PACK_BLOCK;
    pack.bytes[72] ^= 1;
    back[48] ^= 1;
    digest_xxh3(pack.bytes, 4080, pack.bytes + 4080);
    expect_ok(pack_root(pack.bytes, back, back + 64, NULL), NULL);
    digest_xxh3(back, 4080, back + 4080);
    check();
    EXPECT(ERR_DAMAGED, "head");
}
END_TEST

/* One byte of a section's content is changed, and all digests are made to match. */
static const struct rule_case {
    uint32_t tag;
    uint64_t at;
    unsigned char byte;
    const char *place;
} rule_cases[] = {
    {TAG_FILE, 104, '1', "section FILE"},   /* mode */
    {TAG_FILE, 1023, 1, "section FILE"},    /* after the first member's data */
    {TAG_RCPE, 17, '2', "section RCPE"},    /* version of the recipe */
    {TAG_RCPE, 0, '[', "section RCPE"},     /* not JSON */
    {TAG_PROV, 12, 'x', "section PROV"},    /* not JSON */
    {TAG_PROV, 30, 'A', "section PROV"},    /* upper-case hex or a wrong key */
    {TAG_STAT, 12, 1, "section STAT"},      /* reserved */
    {TAG_STAT, 64 + 56, 1, "section STAT"}, /* reserved */
    {TAG_STAT, 3, 0x7f, "section STAT"},    /* amax is NaN */
    {TAG_TDIG, 5, 0xa5, "section TDIG"},    /* not that of the chunks */
    {TAG_TENS, 6, 99, "section TENS"},      /* dtype */
    {TAG_TENS, 127, 1, "section TENS"},     /* reserved */
    {TAG_NIDX, 0, 0xee, "section TENS"},    /* no such record; the table as a whole is named */
    {TAG_STRS, 0, 0x01, "section TENS"},    /* control byte */
};

START_TEST(a_broken_rule_names_the_section)
{
    const struct rule_case *const c = &rule_cases[_i];
    pack.bytes[section_off(c->tag) + c->at] = c->byte;
    small_pack_sign(&pack, pack.bytes);
    check();
    EXPECT(ERR_INPUT, c->place);
}
END_TEST

/* Replace a text by one of the same length, so that nothing moves. */
static void replace(uint32_t tag, const char *from, const char *to)
{
    const pack_section *const s = small_pack_section(&pack, tag);
    char *const at = memmem(pack.bytes + s->off, s->len, from, strlen(from));
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    small_pack_sign(&pack, pack.bytes);
}

static const struct text_case {
    uint32_t tag;
    const char *from, *to;
    bool legal;
} text_cases[] = {
    {TAG_RCPE, "\"scales\":\"f32\"", "\"scales\":\"f33\"", false},
    {TAG_RCPE, "\"rules\":[]", "\"ruled\":[]", false},
    {TAG_RCPE, "\"rules\":[],\"scales\":\"f32\"", "\"scales\":\"f32\",\"rules\":[]", false},
    {TAG_RCPE, "\"octavo_recipe\":1", "\"octavo_recipe\":2", false},
    {TAG_PROV, "\"tensors\":7", "\"tensors\":8", true},
    {TAG_PROV, "\"tensors\":7", "\"tensorz\":7", false},
    {TAG_PROV, "\"size\":4096", "\"size\":-496", false},
    {TAG_PROV, "\"size\":4096", "\"size\":40.6", false},
    {TAG_PROV, "\"00112233", "\"0011223g", false},
    {TAG_PROV, "\"00112233", "\"00112AB3", false},
    {TAG_PROV, "\"format\":1", "\"format\":2", false},
    {TAG_PROV, "\"quant\":1}", "\"quant\":1 ", false},
    {TAG_PROV, "model.safetensors", "model.safetens\\\"s", true},
    {TAG_PROV, "model.safetensors", "model.safeten\\/rs", false}, /* two spellings of one name */
    {TAG_FILE, "tokenizer.json", "aokenizer.json", false},        /* checksum of the header */
};

START_TEST(a_changed_text_is_judged_by_the_rules)
{
    const struct text_case *const c = &text_cases[_i];
    replace(c->tag, c->from, c->to);
    check();
    char place[16] = "section ";
    pack_tag_name(c->tag, place + strlen(place));
    if (c->legal) {
        ck_assert_uint_eq(report.count, 0);
    } else {
        EXPECT(ERR_INPUT, place);
    }
}
END_TEST

/* Fields of both blocks, whose own digests match: newer or malformed, not damaged. */
START_TEST(a_newer_version_is_not_damage)
{
    unsigned char *const back = pack.bytes + pack.length - PACK_BLOCK;
    pack.bytes[8] = 2;
    back[8] = 2;
    small_pack_sign(&pack, pack.bytes);
    check();
    EXPECT(ERR_INPUT, "superblock", "trailer");
}
END_TEST

START_TEST(an_illegal_directory_is_named)
{
    unsigned char *const back = pack.bytes + pack.length - PACK_BLOCK;
    back[PACK_DIR_OFF + 9 * PACK_ENTRY_BYTES + 16 + 2] ^= 1; /* length of PROV */
    expect_ok(pack_root(pack.bytes, back, back + 64, NULL), NULL);
    digest_xxh3(back, 4080, back + 4080);
    check();
    EXPECT(ERR_INPUT, "trailer");
}
END_TEST

/* ---- options --------------------------------------------------- */

START_TEST(quick_checks_the_structure)
{
    const integrity_options quick = {.quick = true, .threads = 1};
    flip(record(EMBED)->off);
    flip(section_off(TAG_CHNK));
    ck_assert_int_eq(check_with(&quick, NULL), OK);
    ck_assert_uint_eq(report.count, 0);
    ck_assert(!report.tensors_checked);
    flip(section_off(TAG_FILE) + 1);
    flip(section_off(TAG_PROV) + 2000);
    ck_assert_int_eq(check_with(&quick, NULL), OK);
    EXPECT(ERR_DAMAGED, "section FILE", "padding");
}
END_TEST

START_TEST(a_glob_chooses_tensors_and_members_of_stacks)
{
    integrity_options some = whole;
    flip(record(EMBED)->off);
    flip(record(DOWN)->off);
    flip(record(DOWN)->off + 480);
    some.tensor_glob = "*.experts.1.down_proj.weight";
    ck_assert_int_eq(check_with(&some, NULL), OK);
    EXPECT(ERR_DAMAGED, "tensor " DOWN);
    ck_assert_int_eq(report.damages[0].slice, 1);
    ck_assert_uint_eq(report.chunks_checked, 1);
    some.tensor_glob = "*down_proj*";
    ck_assert_int_eq(check_with(&some, NULL), OK);
    EXPECT(ERR_DAMAGED, "tensor " DOWN, "tensor " DOWN);
    some.tensor_glob = "*.empty";
    ck_assert_int_eq(check_with(&some, NULL), OK);
    ck_assert_uint_eq(report.count, 0);
    some.tensor_glob = "*.experts.3.down_proj.weight";
    ck_assert_int_eq(check_with(&some, NULL), ERR_USAGE);
}
END_TEST

START_TEST(what_is_not_a_packed_file_is_refused)
{
    for (uint64_t i = 0; i < pack.length; i++) {
        pack.bytes[i] = (unsigned char)(i * 2654435761U >> 13);
    }
    ck_assert_int_eq(check_with(&whole, NULL), ERR_INPUT);
    pack.length -= 5;
    ck_assert_int_eq(check_with(&whole, NULL), ERR_INPUT);
}
END_TEST

/* A transfer in text mode: every CR LF becomes LF. */
START_TEST(a_mangled_packed_file_is_still_recognized)
{
    uint64_t to = 0;
    for (uint64_t from = 0; from < pack.length; from++) {
        if (pack.bytes[from] != '\r' || pack.bytes[from + 1] != '\n') {
            pack.bytes[to++] = pack.bytes[from];
        }
    }
    pack.length = to;
    check();
    EXPECT(ERR_DAMAGED, "superblock", "file");
}
END_TEST

/* ---- several chunks, threads, memory --------------------------- */

#define BIG "model.big"

static void build_big(void)
{
    static const small_tensor tensors[] = {
        {BIG, DTYPE_U8, 1, {(5 << 20) + 17}, false},
        {"model.layers.0.experts.*.w", DTYPE_U8, 3, {2, 1500, 1500}, false},
        {"model.small", DTYPE_U8, 1, {300}, false},
    };
    const small_model model = {tensors, 3, "{}", 5};
    small_pack_free(&pack);
    small_pack_build(&model, &(small_options){0}, &pack);
}

START_TEST(adjacent_chunks_are_one_finding)
{
    build_big();
    const uint64_t off = record(BIG)->off;
    flip(off + PACK_CHUNK);
    flip(off + 2 * PACK_CHUNK + 9);
    const pack_record *const w = record("model.layers.0.experts.*.w");
    flip(w->off + 1500 * 1500 - 1); /* the last chunk of one slice and the first of the next */
    flip(w->off + 1500 * 1500);
    for (unsigned threads = 1; threads <= 5; threads++) {
        const integrity_options o = {.threads = threads, .memory = (uint64_t)threads * 3 << 20};
        ck_assert_int_eq(check_with(&o, NULL), OK);
        EXPECT(ERR_DAMAGED, "tensor " BIG, "tensor model.layers.0.experts.*.w",
               "tensor model.layers.0.experts.*.w");
        ck_assert_int_eq(report.damages[0].chunk, 1);
        ck_assert_uint_eq(report.damages[0].off, off + PACK_CHUNK);
        ck_assert_uint_eq(report.damages[0].bytes, (3 << 20) + 17);
        ck_assert_int_eq(report.damages[1].slice, 0);
        ck_assert_int_eq(report.damages[1].chunk, 1);
        ck_assert_int_eq(report.damages[2].slice, 1);
        ck_assert_int_eq(report.damages[2].chunk, 2);
        ck_assert_uint_eq(report.bytes_checked, pack.length);
    }
}
END_TEST

START_TEST(a_budget_below_one_chunk_is_refused_with_the_need)
{
    build_big();
    err e = {0};
    const integrity_options o = {.threads = 4, .memory = 2 << 20};
    ck_assert_int_eq(check_with(&o, &e), ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(e.text, "2162688"));
    ck_assert_ptr_nonnull(strstr(e.text, BIG));
}
END_TEST

static bool always(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(the_monitor_can_stop_it)
{
    const monitor m = {.cancelled = always};
    const int fd = small_memfd(pack.bytes, pack.length);
    integrity_report_free(&report);
    ck_assert_int_eq(integrity_check(fd, "small", &whole, &m, &report, NULL), ERR_CANCELLED);
    close(fd);
}
END_TEST

/* A file that somebody changes during the check: after the first look at it, or only its ctime. */
typedef struct meddler {
    int fd;
    bool contents;
    bool done;
} meddler;

static bool meddle(void *ctx)
{
    meddler *const m = ctx;
    if (!m->done) {
        struct timespec pause = {.tv_nsec = 20000000}; /* until the clock of files has gone on */
        nanosleep(&pause, NULL);
        ck_assert_int_eq(m->contents ? (int)pwrite(m->fd, "", 1, 4000) : fchmod(m->fd, 0600),
                         m->contents);
        m->done = true;
    }
    return false;
}

START_TEST(a_file_that_changes_meanwhile)
{
    for (int k = 0; k < 4; k++) {
        const bool contents = k % 2;
        const bool damaged = k / 2;
        err e = {0};
        scan_teardown();
        scan_setup();
        if (damaged) {
            flip(record(EMBED)->off);
        }
        meddler ctx = {small_memfd(pack.bytes, pack.length), contents, false};
        const monitor m = {.cancelled = meddle, .ctx = &ctx};
        const err_code code = integrity_check(ctx.fd, "small", &whole, &m, &report, &e);
        ck_assert(ctx.done);
        if (contents) {
            expect_error(code, ERR_IO, &e, "it has another modification time");
        } else if (damaged) {
            expect_error(code, ERR_IO, &e, "other content with the old modification time");
        } else {
            expect_ok(code, &e);
        }
        close(ctx.fd);
    }
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("scan");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, scan_setup, scan_teardown);
    tcase_add_test(t, a_whole_file_has_no_damage);
    tcase_add_test(t, every_place_is_named_at_once);
    tcase_add_test(t, a_damaged_trailer_leaves_the_head);
    tcase_add_test(t, both_blocks_damaged);
    tcase_add_test(t, a_damaged_table_hides_the_tensors);
    tcase_add_test(t, tensor_digests_stand_in_for_chunk_digests);
    tcase_add_test(t, padding_is_reported_from_first_to_last);
    tcase_add_test(t, padding_of_the_head_is_damage_whatever_plan_id_says);
    tcase_add_test(t, a_wrong_plan_id_alone_is_the_head);
    tcase_add_loop_test(t, a_broken_rule_names_the_section, 0, COUNT(rule_cases));
    tcase_add_loop_test(t, a_changed_text_is_judged_by_the_rules, 0, COUNT(text_cases));
    tcase_add_test(t, a_newer_version_is_not_damage);
    tcase_add_test(t, an_illegal_directory_is_named);
    tcase_add_test(t, quick_checks_the_structure);
    tcase_add_test(t, a_glob_chooses_tensors_and_members_of_stacks);
    tcase_add_test(t, what_is_not_a_packed_file_is_refused);
    tcase_add_test(t, a_mangled_packed_file_is_still_recognized);
    tcase_add_test(t, adjacent_chunks_are_one_finding);
    tcase_add_test(t, a_budget_below_one_chunk_is_refused_with_the_need);
    tcase_add_test(t, the_monitor_can_stop_it);
    tcase_add_test(t, a_file_that_changes_meanwhile);

    return run_tests("scan", t);
}
