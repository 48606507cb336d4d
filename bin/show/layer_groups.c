#include "bin/show/layer_groups.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/digest.h"
#include "format/tensor/tensor_name.h"

enum { TITLE_BYTES = 192, LIST_BYTES = 64 };

/* A row before it is folded: its layer and its content. */
typedef struct placed {
    const char *name;       /* after the layer */
    const layer_item *item; /* whose name begins with the prefix, as in "model.layers" */
    uint32_t prefix_bytes;  /* 0 outside layers */
    int64_t layer;          /* -1: none */
} placed;

/* The rows of one layer. */
typedef struct block {
    const placed *first;
    size_t count;
    unsigned char hash[XXH3_BYTES]; /* of everything that identical layers share */
} block;

struct layer_private {
    placed *placed;
    block *blocks;
};

/* ---- one name -------------------------------------------------- */

/* Divide the name of an item into prefix, layer and rest. Names that are too long for a packed file
 * are shown whole. */
static placed place(const layer_item *item)
{
    const char *const name = item->name;
    const bool is_long = strlen(name) > NAME_MAX_BYTES;
    size_t end = 0;
    placed p = {.name = name, .item = item, .layer = is_long ? -1 : name_layer_at(name, &end)};
    if (p.layer >= 0) {
        const char *const dot = memrchr(name, '.', end); /* between "layers" and the number */
        p.prefix_bytes = (uint32_t)(dot ? (size_t)(dot - name) : end);
        p.name = name[end] ? name + end + 1 : "";
    }
    return p;
}

/* ---- orders ---------------------------------------------------- */

static int order_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int order_prefixes(const placed *a, const placed *b)
{
    const uint32_t shared = a->prefix_bytes < b->prefix_bytes ? a->prefix_bytes : b->prefix_bytes;
    const int order = memcmp(a->item->name, b->item->name, shared);
    return order ? order : order_numbers(a->prefix_bytes, b->prefix_bytes);
}

static int order_places(const placed *a, const placed *b)
{
    const int prefixes = order_prefixes(a, b);
    return prefixes ? prefixes : (a->layer > b->layer) - (a->layer < b->layer);
}

static int by_row(const void *left, const void *right)
{
    const placed *const a = left, *const b = right;
    int order = order_places(a, b);
    order = order ? order : strcmp(a->name, b->name);
    return order ? order : order_numbers(a->item->index, b->item->index);
}

static int by_hash(const void *left, const void *right)
{
    const block *const a = left, *const b = right;
    int order = order_prefixes(a->first, b->first);
    order = order ? order : memcmp(a->hash, b->hash, XXH3_BYTES);
    return order ? order : order_places(a->first, b->first);
}

/* ---- folding --------------------------------------------------- */

static void add(layer_item *to, const layer_item *more)
{
    to->bytes += more->bytes;
    to->tensors += more->tensors;
    to->tiles += more->tiles;
    to->clipped += more->clipped;
    to->sum_sq_source += more->sum_sq_source;
    to->sum_sq_error += more->sum_sq_error;
    to->worst = fmin(to->worst, more->worst); /* of NAN and a number the number */
}

/* Layers with equal digests are identical. The digest is a chain: each link covers one row and the
 * digest of all rows before, so that nothing has to be allocated for a whole layer. */
static void hash_block(block *b)
{
    struct {
        unsigned char before[XXH3_BYTES];
        uint64_t traits[6 + TENSOR_MAX_DIMS];
        char name[NAME_MAX_BYTES + 1];
    } link;
    memset(&link, 0, sizeof link);
    for (size_t i = 0; i < b->count; i++) {
        const layer_item *const sum = b->first[i].item;
        const uint64_t traits[] = {sum->type, sum->from, sum->mark, sum->ndim, sum->tensors};
        memcpy(link.traits, traits, sizeof traits);
        memset(link.traits + 6, 0, sizeof link.traits - sizeof link.traits[0] * 6);
        memcpy(link.traits + 6, sum->shape, sum->ndim * sizeof *sum->shape);
        snprintf(link.name, sizeof link.name, "%s", b->first[i].name);
        digest_xxh3(&link, sizeof link, b->hash);
        memcpy(link.before, b->hash, sizeof link.before);
        memset(link.name, 0, sizeof link.name);
    }
}

static size_t make_blocks(const placed *rows, size_t count, block *blocks)
{
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || order_places(&rows[i - 1], &rows[i]) != 0) {
            blocks[made++] = (block){.first = &rows[i]};
        }
        blocks[made - 1].count++;
    }
    for (size_t i = 0; i < made; i++) {
        hash_block(&blocks[i]);
    }
    qsort(blocks, made, sizeof *blocks, by_hash);
    return made;
}

/* ---- groups ---------------------------------------------------- */

static bool is_same_group(const block *a, const block *b)
{
    return order_prefixes(a->first, b->first) == 0 && memcmp(a->hash, b->hash, XXH3_BYTES) == 0;
}

/* "1-3, 5-8" for the layers of `count` blocks; a list that is too long for a line ends in "...". */
static void list_layers(const block *blocks, size_t count, char *to)
{
    size_t used = 0;
    for (size_t i = 0; i < count;) {
        const int64_t first = blocks[i].first->layer;
        int64_t last = first;
        for (i++; i < count && blocks[i].first->layer == last + 1; i++) {
            last++;
        }
        if (used > LIST_BYTES - 24) {
            snprintf(to + used, LIST_BYTES - used, ", ...");
            return;
        }
        used +=
            (size_t)snprintf(to + used, LIST_BYTES - used, "%s%" PRId64, used ? ", " : "", first);
        if (last > first) {
            used += (size_t)snprintf(to + used, LIST_BYTES - used, "-%" PRId64, last);
        }
    }
}

static char *make_title(const block *blocks, size_t count)
{
    char list[LIST_BYTES], title[NAME_MAX_BYTES + TITLE_BYTES];
    const placed *const p = blocks[0].first;
    const int prefix = (int)p->prefix_bytes;
    list_layers(blocks, count, list);
    if (p->layer < 0) {
        snprintf(title, sizeof title, "outside layers");
    } else if (count == 1) {
        snprintf(title, sizeof title, "%.*s %s", prefix, p->item->name, list);
    } else {
        snprintf(title, sizeof title, "%.*s %s: %zu identical layers", prefix, p->item->name, list,
                 count);
    }
    return strdup(title);
}

layer_row layer_group_row(const layer_group *g, size_t i)
{
    const placed *const first = &g->blocks[0].first[i];
    layer_row row = {first->name, *first->item};
    for (size_t b = 1; b < g->layers; b++) {
        add(&row.sum, g->blocks[b].first[i].item);
    }
    return row;
}

/* The order of the file: tensors outside layers first, then by first layer. */
static int by_first_layer(const void *left, const void *right)
{
    const layer_group *const a = left, *const b = right;
    return order_places(a->blocks[0].first, b->blocks[0].first);
}

static bool make_groups(const block *blocks, size_t count, layer_groups *out)
{
    out->groups = calloc(count + 1, sizeof *out->groups);
    for (size_t i = 0; out->groups && i < count;) {
        layer_group *const g = &out->groups[out->group_count++];
        size_t end = i + 1;
        while (end < count && is_same_group(&blocks[i], &blocks[end])) {
            end++;
        }
        *g = (layer_group){.title = make_title(&blocks[i], end - i),
                           .layers = end - i,
                           .row_count = blocks[i].count,
                           .blocks = &blocks[i]};
        if (!g->title) {
            return false;
        }
        i = end;
    }
    if (out->groups) {
        qsort(out->groups, out->group_count, sizeof *out->groups, by_first_layer);
    }
    return out->groups != NULL;
}

static bool allocate(size_t count, layer_groups *out)
{
    struct layer_private *const p = calloc(1, sizeof *p);
    *out = (layer_groups){.priv = p};
    if (!p) {
        return false;
    }
    p->placed = calloc(count + 1, sizeof *p->placed);
    p->blocks = calloc(count + 1, sizeof *p->blocks);
    return p->placed && p->blocks;
}

err_code layer_fold(const layer_item *items, size_t count, layer_groups *out, err *e)
{
    if (allocate(count, out)) {
        struct layer_private *const p = out->priv;
        for (size_t i = 0; i < count; i++) {
            p->placed[i] = place(&items[i]);
        }
        qsort(p->placed, count, sizeof *p->placed, by_row);
        const size_t blocks = make_blocks(p->placed, count, p->blocks);
        if (make_groups(p->blocks, blocks, out)) {
            return OK;
        }
    }
    layer_free(out);
    return err_set(e, ERR_MEMORY, "no memory for a table of %zu tensors", count);
}

void layer_free(layer_groups *a)
{
    for (size_t i = 0; i < a->group_count; i++) {
        free(a->groups[i].title);
    }
    if (a->priv) {
        free(a->priv->placed);
        free(a->priv->blocks);
    }
    free(a->priv);
    free(a->groups);
    *a = (layer_groups){0};
}
