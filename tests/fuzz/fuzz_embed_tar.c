/* Archives of embedded files. The first byte says whether the checksums of headers are put right
 * first, without which hardly any changed byte gets past them. An archive that is accepted has valid
 * names, and packing its members gives the same bytes. */
#include <stdio.h>

#include "format/archive/embed_tar.h"
#include "tests/fuzz/fuzz_aid.h"

enum { BLOCK = 512, MAGIC = 257, SUM = 148, SUM_BYTES = 8 };

static void sign(char *tar, size_t bytes)
{
    for (size_t at = 0; at + BLOCK <= bytes; at += BLOCK) {
        if (memcmp(tar + at + MAGIC, "ustar", 5) != 0) {
            continue;
        }
        unsigned sum = 0;
        memset(tar + at + SUM, ' ', SUM_BYTES);
        for (size_t i = 0; i < BLOCK; i++) {
            sum += (unsigned char)tar[at + i];
        }
        snprintf(tar + at + SUM, SUM_BYTES, "%06o", sum & 0777777);
    }
}

static void check_members(const member *members, size_t count, const char *tar, size_t bytes)
{
    char *again = NULL;
    size_t again_bytes = 0;
    require(count <= ARCHIVE_MAX_MEMBERS);
    for (size_t i = 0; i < count; i++) {
        require(member_name_valid(members[i].name) && members[i].bytes <= bytes);
        require(i == 0 || strcmp(members[i - 1].name, members[i].name) < 0);
    }
    require(archive_pack(members, count, &again, &again_bytes, NULL) == OK);
    require(again_bytes == bytes && memcmp(again, tar, bytes) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    const unsigned flags = take_byte(&in);
    const size_t bytes = (size_t)(in.end - in.next);
    member *members = NULL;
    size_t count = 0;
    err e = {0};
    char *const tar = malloc(bytes + !bytes);
    require(tar != NULL);
    memcpy(tar, in.next, bytes);
    if (flags & 1) {
        sign(tar, bytes);
    }
    const err_code code = archive_unpack(tar, bytes, &members, &count, &e);
    check_code(code, &e);
    require(code == OK || code == ERR_INPUT);
    if (code == OK) {
        check_members(members, count, tar, bytes);
    }
    members_free(members, count);
    free(tar);
    return 0;
}
