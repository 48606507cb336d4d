#include "format/checkpoint/shard_refuse.h"

#include <string.h>

#include "format/base/glob.h"
#include "format/base/text_list.h"
#include "format/checkpoint/shard_index.h"
#include "format/checkpoint/shard_name.h"
#include "format/file/file_kind.h"

#define FETCH_REST   "fetch all files of the checkpoint"
#define FETCH_SHARDS "fetch the other shards and the index"

/* What people have instead of a checkpoint, the most telling first. */
static const struct {
    const char *glob, *what, *hint;
} instead[] = {
    {"*.incomplete", "only an unfinished download", FETCH_REST},
    {"*.part", "only an unfinished download", FETCH_REST},
    {"*.aria2", "only an unfinished download", FETCH_REST},
    {"adapter_model.bin", "an adapter (LoRA), not a model",
     "merge it into its base model first: merge_and_unload in peft does that"},
    {"adapter_config.json", "an adapter (LoRA), not a model",
     "merge it into its base model first: merge_and_unload in peft does that"},
    {"*.gguf", "GGUF, not safetensors", FILE_KIND_GGUF_HINT},
    {"*.bin", "weights pickled by PyTorch, not safetensors", FILE_KIND_PICKLE_HINT},
    {"*.pth", "weights pickled by PyTorch, not safetensors", FILE_KIND_PICKLE_HINT},
    {"*.pt", "weights pickled by PyTorch, not safetensors", FILE_KIND_PICKLE_HINT},
    {"*.ckpt", "weights pickled by PyTorch, not safetensors", FILE_KIND_PICKLE_HINT},
    {"*.distcp", "a distributed checkpoint of PyTorch, not safetensors", FILE_KIND_PICKLE_HINT},
    {"*.msgpack", "weights of Flax, not safetensors", FILE_KIND_PICKLE_HINT},
    {"*.h5", "weights of TensorFlow, not safetensors", FILE_KIND_PICKLE_HINT},
    {"*.onnx", "an ONNX model, not safetensors", "convert the checkpoint that it was made from"},
};

/* The first name, in the order of the table, that tells what the directory is. */
static err_code refuse_instead(const checkpoint_dir *f, const dir_list *names, err *e)
{
    for (size_t k = 0; k < sizeof instead / sizeof *instead; k++) {
        for (size_t i = 0; i < names->count; i++) {
            if (glob_match(instead[k].glob, names->names[i])) {
                err_set(e, ERR_INPUT, "%s: not a checkpoint: %s: %s", f->path, instead[k].what,
                        names->names[i]);
                err_hint(e, "%s", instead[k].hint);
                return ERR_INPUT;
            }
        }
    }
    return OK;
}

/* For a hint: if memory is short, or a directory cannot be read, there is none. */
static bool has_weights(const checkpoint_dir *f, const char *dir)
{
    dir_list below = {0};
    bool is_directory = false;
    bool found = false;
    if (checkpoint_dir_is_directory(f, dir, &is_directory, NULL) == OK && is_directory &&
        checkpoint_dir_list_below(f, dir, &below, NULL) == OK) {
        for (size_t i = 0; i < below.count && !found; i++) {
            found = shard_is_candidate(below.names[i]);
        }
    }
    dir_list_free(&below);
    return found;
}

/* Name the directories in it that may be checkpoints. */
static err_code hint_directories(const checkpoint_dir *f, const dir_list *names, err *e)
{
    text_list found = {0};
    for (size_t i = 0; i < names->count; i++) {
        if (has_weights(f, names->names[i])) {
            text_list_add(&found, "%s/%s", f->path, names->names[i]);
        }
    }
    if (found.total > 0) {
        err_hint(e, "there are some in %s", text_list_end(&found));
    }
    return ERR_INPUT;
}

err_code shard_refuse_none(const checkpoint_dir *f, const dir_list *names, err *e)
{
    TRY(refuse_instead(f, names, e));
    err_set(e, ERR_INPUT, "%s: not a checkpoint: no .safetensors file", f->path);
    return hint_directories(f, names, e);
}

/* ---- several files --------------------------------------------- */

/* Are all candidates numbered shards of one model? *present counts them. */
static bool are_numbered(const dir_list *names, shard_number *first, size_t *present)
{
    const char *stem = NULL;
    *present = 0;
    for (size_t i = 0; i < names->count; i++) {
        const char *const name = names->names[i];
        shard_number n;
        if (!shard_is_candidate(name)) {
            continue;
        }
        if (!shard_number_of(name, &n) ||
            (stem && (n.count != first->count || n.stem_bytes != first->stem_bytes ||
                      memcmp(name, stem, n.stem_bytes) != 0))) {
            return false;
        }
        if (!stem) {
            stem = name;
            *first = n;
        }
        ++*present;
    }
    return stem != NULL;
}

err_code shard_refuse_several(const checkpoint_dir *f, const dir_list *names, err *e)
{
    shard_number n = {0};
    size_t present = 0;
    text_list list = {0};
    for (size_t i = 0; i < names->count; i++) {
        if (shard_is_candidate(names->names[i])) {
            text_list_add(&list, "%s", names->names[i]);
        }
    }
    if (are_numbered(names, &n, &present)) {
        err_set(e, ERR_INPUT, "%s: %zu of %u shards, and no " SHARD_INDEX_NAME ": %s", f->path,
                present, n.count, text_list_end(&list));
        err_hint(e, present < n.count ? FETCH_SHARDS : "fetch the index of these shards");
        return ERR_INPUT;
    }
    err_set(e, ERR_INPUT, "%s: %zu .safetensors files and no %s that says which to use: %s",
            f->path, list.total, SHARD_INDEX_NAME, text_list_end(&list));
    err_hint(e, "if one of them is the whole model, name that file");
    return ERR_INPUT;
}

err_code shard_refuse_both(const checkpoint_dir *f, err *e)
{
    err_set(
        e, ERR_INPUT,
        "%s: two models: model.safetensors, which transformers loads, and the shards of " SHARD_INDEX_NAME
        ", which vLLM and SGLang load",
        f->path);
    err_hint(e, "remove the one that is out of date, or name the file %s/model.safetensors",
             f->path);
    return ERR_INPUT;
}

err_code shard_refuse_part(const char *path, const char *name, bool alone, err *e)
{
    shard_number n;
    if (shard_is_adapter(name)) {
        err_set(e, ERR_INPUT, "%s: an adapter (LoRA), not a model", path);
        err_hint(e, "merge it into its base model first: merge_and_unload in peft does that");
        return ERR_INPUT;
    }
    if (shard_number_of(name, &n)) {
        err_set(e, ERR_INPUT, "%s: shard %u of %u, not a whole model", path, n.number, n.count);
        err_hint(e, alone ? FETCH_SHARDS : "name the directory with all shards and their index");
        return ERR_INPUT;
    }
    return OK;
}
