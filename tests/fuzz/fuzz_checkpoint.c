/* Checkpoints of several shards: an index, a NUL, config.json, a NUL, then for each of three shards
 * the text of its header and a NUL; an empty part means that there is no such file. The data of a
 * shard is a hole, as long as the first byte of the input says. An accepted checkpoint has sorted,
 * unique names, and every tensor can be read to its end. */
#include <inttypes.h>

#include "format/base/num.h"
#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/shard_index.h"
#include "tests/fuzz/fuzz_dir.h"

static const char *const shards[] = {"a.safetensors", "b.safetensors", "model.safetensors"};

enum { SHARDS = sizeof shards / sizeof *shards, MOST_HEADER = 1 << 16 };

static void put_shard(const char *name, const char *text, size_t bytes, unsigned data_bytes)
{
    static unsigned char file[8 + MOST_HEADER];
    if (bytes == 0 || bytes > MOST_HEADER) {
        fuzz_dir_drop(name);
        return;
    }
    le64_store(file, bytes);
    memcpy(file + 8, text, bytes);
    fuzz_dir_put(name, file, 8 + bytes, 8 + bytes + data_bytes);
}

static void check_tensors(checkpoint *cp)
{
    size_t in_shards = 0;
    for (size_t i = 0; i < cp->tensor_count; i++) {
        const tensor *const t = &cp->tensors[i];
        unsigned char last = 1;
        err e = {0};
        require(i == 0 || strcmp(cp->tensors[i - 1].name, t->name) < 0);
        require(t->shard < cp->shard_count && checkpoint_find(cp, t->name) == t);
        require(t->off + t->bytes <= cp->shards[t->shard].bytes);
        if (t->bytes > 0) {
            check_code(checkpoint_read(cp, t, t->bytes - 1, &last, 1, &e), &e);
            require(e.code == OK && last == 0);
        }
    }
    for (size_t i = 0; i < cp->shard_count; i++) {
        in_shards += cp->shards[i].tensor_count;
        require(i == 0 || strcmp(cp->shards[i - 1].name, cp->shards[i].name) < 0);
    }
    require(in_shards == cp->tensor_count);
}

static void count_note(void *ctx, const char *text)
{
    require(text[0] && ++*(unsigned *)ctx < 1000);
}

static void open_checkpoint(void)
{
    unsigned notes = 0;
    const monitor m = {.note = count_note, .ctx = &notes};
    checkpoint *cp = NULL;
    err e = {0};
    const err_code code = checkpoint_open(fuzz_dir_path(), &m, &cp, &e);
    check_code(code, &e);
    require((code == OK) == (cp != NULL) && (code == OK || code == ERR_INPUT || code == ERR_IO));
    if (cp) {
        check_tensors(cp);
        require(checkpoint_unchanged(cp, &m, NULL) == OK);
    }
    checkpoint_close(cp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    size_t bytes = 0;
    const unsigned data_bytes = take_byte(&in);
    char *const index = take_text(&in, &bytes);
    fuzz_dir_set(SHARD_INDEX_NAME, index, bytes);
    char *const config = take_text(&in, &bytes);
    fuzz_dir_set("config.json", config, bytes);
    for (int i = 0; i < SHARDS; i++) {
        char *const header = take_text(&in, &bytes);
        put_shard(shards[i], header, bytes, data_bytes);
        free(header);
    }
    open_checkpoint();
    free(config);
    free(index);
    return 0;
}
