/* The rules for the texts and numbers in FILE, RCPE, STAT and PROV, each broken alone. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/pack/pack_evidence.h"
#include "tests/aid/expect.h"
#include "verify/integrity/section_rules.h"

/* `part` is in the message, or NULL: the text is legal. */
static void judge(uint32_t tag, const void *data, uint64_t bytes, const char *part)
{
    err e = {0};
    /* A copy of just that length: a sanitizer sees what is read after its end. */
    unsigned char *const copy = memcpy(malloc(bytes + 1), data, bytes);
    copy[bytes] = 0xee;
    const err_code code = section_rules_check(tag, copy, bytes, &e);
    free(copy);
    if (part) {
        expect_error(code, ERR_INPUT, &e, part);
    } else {
        expect_ok(code, &e);
    }
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* A provenance: its shards, and what comes after them. */
#define SHARD(name, size, tensors, sha)                                                            \
    "{\"header_sha256\":\"" sha "\",\"name\":\"" name "\",\"size\":" size ",\"tensors\":" tensors  \
    "}"
#define A SHARD("a", "1", "2", HEX)
#define WHOLE                                                                                      \
    "{\"header_sha256\":\"" HEX "\",\"name\":\"b\",\"sha256\":\"" HEX "\",\"size\":1,\"tensors\":2}"
#define SPEC "\"spec\":{\"format\":1,\"quant\":1}"

#define MALFORMED "shard 0 is malformed or out of order"
#define VERSION   "the provenance is not of format 1 and quant 1"

static const struct {
    const char *shards, *rest;
    const char *part;
} provenances[] = {
    {"[]", SPEC, NULL},
    {"[" A "]", SPEC, NULL},
    {"[" A "," WHOLE "]", SPEC, NULL},
    {"[" A "," A "]", SPEC, "shard 1 is malformed or out of order"},
    {"[" WHOLE "," A "]", SPEC, "shard 1 is malformed or out of order"},
    {"{}", SPEC, "has no list of shards"},
    {"[1]", SPEC, MALFORMED},
    {"[{\"header_sha256\":\"" HEX "\",\"size\":1,\"tensors\":2,\"z\":\"a\"}]", SPEC, MALFORMED},
    {"[" SHARD("", "1", "2", HEX) "]", SPEC, MALFORMED},
    {"[" SHARD("a", "0", "0", HEX) "]", SPEC, NULL},
    {"[" SHARD("a", "-1", "2", HEX) "]", SPEC, MALFORMED},
    {"[" SHARD("a", "\"1\"", "2", HEX) "]", SPEC, MALFORMED},
    {"[" SHARD("a", "1", "-1", HEX) "]", SPEC, MALFORMED},
    {"[" SHARD("a", "1", "{}", HEX) "]", SPEC, MALFORMED},
    {"[" SHARD("a", "1", "2", HEX "0") "]", SPEC, MALFORMED},
    {"[" SHARD("a", "1", "2", "0011") "]", SPEC, MALFORMED},
    {"[" SHARD("a", "1", "2", HEX "/") "]", SPEC, MALFORMED},
    {"[{\"header_sha256\":1,\"name\":\"a\",\"size\":1,\"tensors\":2}]", SPEC, MALFORMED},
    {"[{\"header_sha256\":\"" HEX "\",\"name\":\"a\",\"sha256\":1,\"size\":1,\"tensors\":2}]", SPEC,
     MALFORMED},
    {"[{\"header_sha256\":\"" HEX "\",\"name\":\"a\",\"size\":1,\"tensors\":2,\"z\":1}]", SPEC,
     MALFORMED},
    {"[]", SPEC ",\"z\":1", VERSION},
    {"[]", "\"spec\":{\"format\":1,\"quant\":1,\"z\":1}", VERSION},
    {"[]", "\"spec\":{\"format\":2,\"quant\":1}", VERSION},
    {"[]", "\"spec\":{\"format\":1,\"quant\":0}", VERSION},
    {"[]", "\"spec\":{\"format\":\"1\",\"quant\":1}", VERSION},
    {"[]", SPEC " ", "the provenance is not in its canonical form"},
};

START_TEST(provenance_is_judged)
{
    char text[1024];
    const int bytes = snprintf(text, sizeof text, "{\"shards\":%s,%s}", provenances[_i].shards,
                               provenances[_i].rest);
    ck_assert_int_lt(bytes, (int)sizeof text);
    judge(TAG_PROV, text, (uint64_t)bytes, provenances[_i].part);
}
END_TEST

#define CANONICAL "not in its canonical form"
#define RECIPE    "\"octavo_recipe\":1,\"rules\":[],\"scales\":"

static const struct {
    uint32_t tag;
    const char *text;
    const char *part;
} texts[] = {
    {TAG_PROV, "{" SPEC ",\"shards\":[]}", CANONICAL},
    {TAG_PROV, "{\"shards\":[]," SPEC "}\n", CANONICAL},
    {TAG_PROV, "{\"shards\":[]," SPEC "", "the provenance: line 1"},
    {TAG_RCPE, "{" RECIPE "\"f32\"}", NULL},
    {TAG_RCPE, "{" RECIPE "\"f32\"}\n", CANONICAL},
    {TAG_RCPE, "{\"rules\":[],\"octavo_recipe\":1,\"scales\":\"f32\"}", CANONICAL},
    {TAG_RCPE, "{\"dialect\":\"ieee\"," RECIPE "\"f32\"}", CANONICAL},
    {TAG_RCPE, "{\"dialect\":\"compressed-tensors\"," RECIPE "\"f32\"}", NULL},
    {TAG_RCPE, "{\"dialect\":\"compressed-tensors\"," RECIPE "\"ue8m0\"}", "has no ue8m0 scales"},
    {TAG_RCPE, "{", "the recipe: line 1"},
    {TAG_FILE, "", "embedded files: not in the canonical form"},
    {TAG_TENS, "anything", NULL},
};

START_TEST(text_is_judged)
{
    judge(texts[_i].tag, texts[_i].text, strlen(texts[_i].text), texts[_i].part);
    if (texts[_i].tag != TAG_TENS) { /* with the NUL after it */
        judge(texts[_i].tag, texts[_i].text, strlen(texts[_i].text) + 1, "");
    }
}
END_TEST

START_TEST(rows_of_statistics_are_judged)
{
    unsigned char rows[3 * PACK_STAT_BYTES];
    const pack_stat s = {.amax = 1, .scale_min = 1, .scale_max = 1};
    for (int i = 0; i < 3; i++) {
        pack_stat_encode(&s, rows + i * PACK_STAT_BYTES);
    }
    judge(TAG_STAT, rows, sizeof rows, NULL);
    rows[sizeof rows - 1] = 1;
    judge(TAG_STAT, rows, sizeof rows, "row 2: a number is not finite, or reserved bytes");
    judge(TAG_STAT, rows, 0, NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("section_rules");
    tcase_add_loop_test(tc, provenance_is_judged, 0, COUNT(provenances));
    tcase_add_loop_test(tc, text_is_judged, 0, COUNT(texts));
    tcase_add_test(tc, rows_of_statistics_are_judged);
    return run_tests("section_rules", tc);
}
