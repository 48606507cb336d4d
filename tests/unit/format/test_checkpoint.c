/* Opening and reading checkpoints, files in them that are not what they should be, and files that
 * change. */
#include <check.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/checkpoint/checkpoint.h"
#include "format/file/direct.h"
#include "tests/aid/made_dir.h"

START_TEST(index_and_shards)
{
    make_pair();
    checkpoint *cp = open_good("");
    ck_assert_str_eq(cp->dir, scratch_dir);
    ck_assert_uint_eq(cp->shard_count, 2);
    ck_assert_str_eq(cp->shards[0].name, "s1.safetensors");
    ck_assert_str_eq(cp->shards[1].name, "s2.safetensors");
    ck_assert_uint_eq(cp->shards[1].tensor_count, 2);
    ck_assert_uint_eq(cp->shards[0].header_bytes + 4, cp->shards[0].bytes);
    ck_assert_uint_eq(cp->tensor_count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(cp->tensors[i].name[0], 'a' + (int)i);
        ck_assert_uint_eq(cp->tensors[i].shard, i == 1 ? 0 : 1);
    }
    unsigned char data[3] = {0};
    err e = {0};
    ck_assert_int_eq(checkpoint_read(cp, &cp->tensors[0], 0, data, 3, &e), OK);
    ck_assert_mem_eq(data, "\x16\x17\x18", 3);
    ck_assert_int_eq(checkpoint_read(cp, &cp->tensors[0], 2, data, 1, &e), OK);
    ck_assert_int_eq(data[0], 0x18);
    ck_assert_int_eq(checkpoint_read(cp, &cp->tensors[0], 3, data, 0, &e), OK);
    ck_assert_int_eq(checkpoint_read(cp, &cp->tensors[0], 3, data, 1, &e), ERR_INTERNAL);
    ck_assert_int_eq(checkpoint_read(cp, &cp->tensors[0], UINT64_MAX, data, 2, NULL), ERR_INTERNAL);
    ck_assert_ptr_eq(checkpoint_find(cp, "b"), &cp->tensors[1]);
    ck_assert_ptr_null(checkpoint_find(cp, "bb"));
    ck_assert_ptr_null(checkpoint_find(cp, ""));
    ck_assert_uint_eq(note_count, 0);
    e = (err){0};
    ck_assert_int_eq(checkpoint_unchanged(cp, NULL, &e), OK);
    checkpoint_close(cp);
}
END_TEST

START_TEST(an_empty_checkpoint_is_one)
{
    scratch_safetensors("model.safetensors", "{}", 0, 0);
    checkpoint *cp = open_good("");
    ck_assert_uint_eq(cp->tensor_count, 0);
    ck_assert_ptr_null(checkpoint_find(cp, "a"));
    checkpoint_close(cp);
}
END_TEST

START_TEST(broken_config_is_refused)
{
    static const char *const texts[] = {"", "{", "[]", "{\"a\":1,\"a\":2}", "\"x\"", "{}x"};
    err e;
    make_pair();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        scratch_text("config.json", texts[i]);
        open_bad("", ERR_INPUT, &e);
        expect(e.text, "config.json");
    }
    scratch_text("config.json",
                 "{\"rope_theta\": 1e6, \"x\": null, \"big\": 1000000000000000000000000000000}");
    checkpoint_close(open_good(""));
}
END_TEST

START_TEST(absent_config_is_noted)
{
    make_pair();
    ck_assert_int_eq(unlink(scratch("config.json")), 0);
    checkpoint_close(open_good(""));
    ck_assert_uint_eq(note_count, 1);
    expect(notes, "there is no config.json");
    ck_assert_int_eq(symlink("nowhere", scratch("config.json")), 0);
    err e;
    open_bad("", ERR_IO, &e);
}
END_TEST

START_TEST(broken_shards_are_refused)
{
    err e;
    make_pair();
    scratch_text("s1.safetensors", "");
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "s1.safetensors: not a safetensors file: 0 bytes");
    scratch_safetensors("s1.safetensors", "{" U8("b", 0, 4, "4") "}", 3, 10);
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "s1.safetensors: tensor b: truncated");
    ck_assert_int_eq(unlink(scratch("s1.safetensors")), 0);
    ck_assert_int_eq(mkdir(scratch("s1.safetensors"), 0777), 0);
    open_bad("", ERR_IO, &e);
    expect(e.text, "s1.safetensors");
}
END_TEST

START_TEST(special_files_are_refused)
{
    err e;
    ck_assert_int_eq(mkfifo(scratch("model.safetensors"), 0666), 0);
    open_bad("", ERR_IO, &e);
    expect(e.text, "not a regular file");
    ck_assert_int_eq(symlink("loop", scratch("loop")), 0);
    open_bad("loop", ERR_IO, &e);
}
END_TEST

/* Root can read anything, so it becomes nobody for this, in the process of this test only. */
START_TEST(unreadable_files_are_io_errors)
{
    static const char *const names[] = {"s2.safetensors", "config.json", INDEX, ""};
    const uid_t me = geteuid();
    const uid_t other = me ? me : 65534;
    make_pair();
    ck_assert_int_eq(chmod(scratch_dir, 0755), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        err e;
        ck_assert_int_eq(chmod(scratch(names[i]), 0), 0);
        ck_assert_int_eq(seteuid(other), 0);
        open_bad("", ERR_IO, &e);
        expect(e.text, "Permission denied");
        ck_assert_int_eq(seteuid(me), 0);
        ck_assert_int_eq(chmod(scratch(names[i]), 0755), 0);
    }
}
END_TEST

/* A header of odd length, so that the elements of `b` begin at odd offsets of the file: but not in
 * memory, whichever way they are read. */
START_TEST(rooms_hold_aligned_elements)
{
    enum { BYTES = 200000 };
    scratch_safetensors("model.safetensors",
                        "{ " U8("a", 0, 1, "1") ",\"b\":{\"dtype\":\"F32\",\"shape\":[50000],"
                                                "\"data_offsets\":[1,200001]}}",
                        BYTES + 1, 3);
    checkpoint *cp = open_good("");
    unsigned char *const room = aligned_alloc(DIRECT_ALIGN, direct_room(BYTES) + DIRECT_ALIGN);
    for (uint64_t off = 0; off < 16; off += 4) {
        unsigned char *data = NULL;
        err e = {0};
        const int fd = open(scratch("model.safetensors"), O_RDONLY);
        ck_assert_int_eq(fdatasync(fd), 0);
        ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        close(fd);
        ck_assert_uint_eq((cp->tensors[1].off + off) % 2, 1);
        ck_assert_int_eq(
            checkpoint_read_room(cp, &cp->tensors[1], off, room, BYTES - off, NULL, &data, &e), OK);
        ck_assert_uint_eq((size_t)(data - room) % 4, 0);
        for (size_t i = 0; i < BYTES - off; i++) {
            ck_assert_uint_eq(data[i], (unsigned char)(4 + off + i));
        }
        ck_assert_int_eq(
            checkpoint_read_room(cp, &cp->tensors[1], off, room, BYTES, NULL, &data, &e),
            off ? ERR_INTERNAL : OK);
    }
    free(room);
    checkpoint_close(cp);
}
END_TEST

START_TEST(changes_are_noticed)
{
    make_pair();
    checkpoint *cp = open_good("");
    err e = {0};
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000, .tv_nsec = 7}};
    ck_assert_int_eq(utimensat(AT_FDCWD, scratch("s2.safetensors"), times, 0), 0);
    ck_assert_int_eq(checkpoint_unchanged(cp, NULL, &e), ERR_IO);
    expect(e.text, "s2.safetensors: changed during the run: it has another modification time");
    unsigned char byte = 0;
    e = (err){0};
    ck_assert_int_eq(checkpoint_read(cp, &cp->tensors[0], 0, &byte, 1, &e), ERR_IO);
    e = (err){0};
    ck_assert_int_eq(checkpoint_read(cp, &cp->tensors[1], 0, &byte, 1, &e), OK);
    ck_assert_int_eq(truncate(scratch("s1.safetensors"), 20), 0);
    e = (err){0};
    ck_assert_int_eq(checkpoint_unchanged(cp, NULL, &e), ERR_IO);
    expect(e.text, "s1.safetensors: changed during the run: expected");
    e = (err){0};
    ck_assert_int_eq(checkpoint_read(cp, &cp->tensors[1], 0, &byte, 1, &e), ERR_IO);
    ck_assert_int_eq(unlink(scratch("s1.safetensors")), 0);
    e = (err){0};
    ck_assert_int_eq(checkpoint_unchanged(cp, NULL, &e), ERR_IO);
    expect(e.text, "disappeared during the run");
    checkpoint_close(cp);
}
END_TEST

static bool stop_at_once(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(opening_can_be_interrupted)
{
    make_pair();
    const monitor m = {.cancelled = stop_at_once};
    checkpoint *cp = NULL;
    err e = {0};
    ck_assert_int_eq(checkpoint_open(scratch_dir, &m, &cp, &e), ERR_CANCELLED);
    ck_assert_ptr_null(cp);
    checkpoint_close(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("checkpoint");
    TCase *tc = tcase_create("checkpoint");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, index_and_shards);
    tcase_add_test(tc, an_empty_checkpoint_is_one);
    tcase_add_test(tc, broken_config_is_refused);
    tcase_add_test(tc, absent_config_is_noted);
    tcase_add_test(tc, broken_shards_are_refused);
    tcase_add_test(tc, special_files_are_refused);
    tcase_add_test(tc, unreadable_files_are_io_errors);
    tcase_add_test(tc, rooms_hold_aligned_elements);
    tcase_add_test(tc, changes_are_noticed);
    tcase_add_test(tc, opening_can_be_interrupted);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
