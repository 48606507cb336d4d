/* What is said of tensor data: by chunk and by tensor, of scales that break their rule, and of a
 * file that has none. */
#include "tests/aid/scan_case.h"

START_TEST(chunks_are_counted)
{
    static const small_tensor big = {"big", DTYPE_U8, 1, {3 * PACK_CHUNK}, false};
    scan_teardown();
    small_pack_build(&(small_model){.tensors = &big, .count = 1, .config = "{}"},
                     &(small_options){0}, &pack);
    flip(record("big")->off);
    flip(record("big")->off + PACK_CHUNK);
    check();
    EXPECT(ERR_DAMAGED, "tensor big");
    expect_what(0, "the digests of 2 chunks do not match");
    flip(record("big")->off);
    check();
    EXPECT(ERR_DAMAGED, "tensor big");
    expect_what(0, "the digest of its chunk does not match");
}
END_TEST

START_TEST(file_without_tensors)
{
    scan_teardown();
    small_pack_build(&(small_model){.config = "{}"}, &(small_options){0}, &pack);
    check();
    ck_assert_uint_eq(report.count, 0);
    ck_assert(report.tensors_checked);
}
END_TEST

/* CHNK is damaged in such a way that it agrees with damaged data: TDIG knows. */
START_TEST(chunk_digest_of_damaged_data)
{
    const pack_record *const r = record(EMBED);
    flip(r->off);
    digest_xxh3(pack.bytes + r->off, r->len,
                pack.bytes + section_off(TAG_CHNK) + XXH3_BYTES * r->chunk_first);
    check();
    EXPECT(ERR_DAMAGED, "tensor " EMBED, "section CHNK");
    expect_what(0, "its digest does not match");
}
END_TEST

/* Under the right digests a finding about the scale; under wrong ones it is a consequence. */
START_TEST(scale_is_no_power_of_two)
{
    scan_teardown();
    small_pack_build(&small_model_default, &(small_options){.ue8m0 = true}, &pack);
    const pack_record *const r = record(DOWN "_scale_inv");
    pack.bytes[r->off + 4 + 1] ^= 1;
    check();
    EXPECT(ERR_DAMAGED, "tensor " DOWN "_scale_inv");
    expect_what(0, "the digest of its chunk does not match");
    small_pack_sign_tensors(&pack, pack.bytes);
    small_pack_sign(&pack, pack.bytes);
    check();
    EXPECT(ERR_INPUT, "tensor " DOWN "_scale_inv");
    expect_what(0, "a scale is not a power of two");
    ck_assert_uint_eq(report.damages[0].off, r->off + 4);
    ck_assert_uint_eq(report.damages[0].bytes, 4);
    integrity_options some = whole;
    some.tensor_glob = EMBED;
    expect_ok(check_with(&some, NULL), NULL);
    ck_assert_uint_eq(report.count, 0);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("scan_data");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, scan_setup, scan_teardown);
    tcase_add_test(t, chunks_are_counted);
    tcase_add_test(t, file_without_tensors);
    tcase_add_test(t, chunk_digest_of_damaged_data);
    tcase_add_test(t, scale_is_no_power_of_two);
    return run_tests("scan_data", t);
}
