/* Integrity of a stream. The table with the offsets of the tensors comes before the tensor data,
 * and the digests to compare with come after it: so chunks are digested as they arrive, and judged
 * at the end.
 *
 * Everything except tensor data is kept in a memory file, at its own offset. When the stream has
 * ended, that file is scanned like any other and gives the same findings; only the step that reads
 * tensor data is already done. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/file/file_kind.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/file/pipe.h"
#include "verify/integrity/scan.h"

enum { PIECE = 1 << 20, TAIL_LEAST = 64 << 20 };

typedef struct stream_check {
    scan scan;
    scan probe; /* of the head alone, before the rest has arrived */
    scan_stream stream;
    data_scan *data;               /* NULL: no table */
    bool is_head_illegal;          /* the superblock is intact, but its head has no legal length */
    unsigned char *piece;          /* [PIECE] */
    unsigned char end[PACK_BLOCK]; /* the last bytes that were read, zeros before them */
} stream_check;

/* Remember the last bytes that were read, so that the end of what is dropped can still be scanned
 * as a trailer. Tensor data is not included: a stream that ends within it has no trailer. */
static void note_end(stream_check *c, const unsigned char *bytes, size_t count)
{
    if (count >= PACK_BLOCK) {
        memcpy(c->end, bytes + count - PACK_BLOCK, PACK_BLOCK);
    } else {
        memmove(c->end, c->end + count, PACK_BLOCK - count);
        memcpy(c->end + PACK_BLOCK - count, bytes, count);
    }
}

/* Read the next piece of the stream, at most `limit` bytes; *got is 0 at its end. */
static err_code read_piece(stream_check *c, uint64_t limit, size_t *got, err *e)
{
    const size_t wanted = num_min(limit, PIECE);
    scan_stream *const stream = &c->stream;
    *got = 0;
    if (stream->ended) {
        return OK;
    }
    TRY(pipe_read(stream->fd, stream->name, stream->monitor, c->piece, wanted, got, e));
    stream->at += *got;
    stream->ended = *got < wanted;
    note_end(c, c->piece, *got);
    return OK;
}

/* Read up to byte `end`, and keep what was read. */
static err_code keep_until(stream_check *c, uint64_t end, err *e)
{
    while (!c->stream.ended && c->stream.at < end) {
        size_t got = 0;
        const uint64_t at = c->stream.at;
        TRY(read_piece(c, end - at, &got, e));
        TRY(io_write_at(c->scan.fd, c->scan.path, at, c->piece, got, e));
    }
    return OK;
}

/* How much of a stream that is not, or no longer, a packed file is read in search of its end. */
static uint64_t search_limit(const stream_check *c)
{
    return num_max(c->scan.options->memory, TAIL_LEAST);
}

/* Read up to byte `end`, and drop what was read. */
static err_code drop_until(stream_check *c, uint64_t end, err *e)
{
    while (!c->stream.ended && c->stream.at < end) {
        size_t got = 0;
        TRY(read_piece(c, end - c->stream.at, &got, e));
    }
    return OK;
}

/* Keep superblock and head. probe.has_superblock: they were kept, and the stream is at data_off
 * unless it ended before. The head's length is bounded before anything that large is kept. */
static err_code keep_head(stream_check *c, err *e)
{
    scan *const p = &c->probe;
    err why = {0};
    TRY(keep_until(c, PACK_BLOCK, e));
    if (c->stream.ended) {
        return OK;
    }
    TRY(io_read_at(p->fd, p->path, 0, p->front, PACK_BLOCK, e));
    if (pack_superblock_decode(p->front, &p->superblock, &why) != OK) {
        return OK;
    }
    if (p->superblock.data_off > GIB + PACK_ALIGN) {
        c->is_head_illegal = true;
        return OK;
    }
    p->has_superblock = true;
    TRY(keep_until(c, p->superblock.data_off, e));
    p->file_bytes = c->stream.at;
    return c->stream.ended ? OK : scan_table(p, e);
}

/* Digest the tensor data according to the table, or drop it if there is no table. */
static err_code read_data(stream_check *c, err *e)
{
    scan *const p = &c->probe;
    if (!p->has_table) {
        return drop_until(c, p->superblock.data_end, e);
    }
    TRY(data_scan_begin(&c->scan, &p->table, p->superblock.digest, &c->stream, &c->data, e));
    return data_scan_read(c->data, e);
}

/* Does a block of this piece, at offset `off` of the stream, end a whole file? Everything after
 * that trailer is only counted. */
static bool find_trailer(const unsigned char *piece, size_t bytes, uint64_t off)
{
    for (size_t at = 0; at + PACK_BLOCK <= bytes; at += PACK_BLOCK) {
        pack_trailer t;
        err ignored = {0};
        if (memcmp(piece + at, pack_trailer_magic, PACK_MAGIC_BYTES) == 0 &&
            pack_trailer_decode(piece + at, &t, &ignored) == OK &&
            t.file_bytes == off + at + PACK_BLOCK) {
            return true;
        }
    }
    return false;
}

/* Keep the tail. Its sections have a few bytes for each chunk of 2 MiB, so a "tail" that goes on
 * beyond the limit is not one, and would only fill the memory. */
static err_code keep_tail(stream_check *c, err *e)
{
    const uint64_t begin = c->probe.superblock.data_end;
    const uint64_t limit = search_limit(c);
    bool found = false;
    TRY(keep_until(c, begin, e));
    while (!found && !c->stream.ended) {
        size_t got = 0;
        const uint64_t at = c->stream.at;
        TRY(read_piece(c, PIECE, &got, e));
        if (at - begin > limit) {
            err_set(e, ERR_DAMAGED, "%s: no trailer within %" PRIu64 " MiB after its data",
                    c->scan.path, limit / MIB);
            err_hint(e, "--memory SIZE searches further");
            return ERR_DAMAGED;
        }
        TRY(io_write_at(c->scan.fd, c->scan.path, at, c->piece, got, e));
        found = find_trailer(c->piece, got, at);
    }
    return OK;
}

/* A stream without a superblock: only a trailer at its end could tell what it was. */
static err_code refuse_unknown(const stream_check *c, err *e)
{
    const unsigned char *const front = c->probe.front;
    const file_kind *const kind = file_kind_find(front, PACK_BLOCK);
    if (memcmp(front, pack_superblock_magic, 4) != 0) {
        return err_set(e, ERR_INPUT, "%s: not a packed file: %s", c->scan.path,
                       kind ? kind->name : "wrong magic");
    }
    err_set(e, ERR_DAMAGED, "%s: the superblock is damaged, and no end within %" PRIu64 " MiB",
            c->scan.path, search_limit(c) / MIB);
    err_hint(e, "in a file, verify would use the copy in the trailer");
    return ERR_DAMAGED;
}

/* Read the rest, which belongs to no packed file. A stream may have no end. */
static err_code drop_rest(stream_check *c, err *e)
{
    const uint64_t limit = search_limit(c);
    const uint64_t at = c->stream.at;
    TRY(drop_until(c, at + limit, e));
    if (c->stream.ended) {
        return OK;
    }
    return c->probe.has_superblock
               ? err_set(e, ERR_DAMAGED, "%s: more than %" PRIu64 " MiB after its trailer",
                         c->scan.path, limit / MIB)
               : refuse_unknown(c, e);
}

/* Read the whole stream, from front to back. */
static err_code read_stream(stream_check *c, err *e)
{
    TRY(keep_head(c, e));
    if (c->is_head_illegal) {
        return OK; /* where would it end? */
    }
    if (c->probe.has_superblock) {
        TRY(read_data(c, e));
        TRY(keep_tail(c, e));
    }
    TRY(drop_rest(c, e));
    const uint64_t last = num_min(c->stream.at, PACK_BLOCK);
    c->scan.file_bytes = c->stream.at;
    return io_write_at(c->scan.fd, c->scan.path, c->stream.at - last, c->end + PACK_BLOCK - last,
                       last, e);
}

/* The superblock alone: its directory breaks the format, so no section is looked at. */
static err_code judge_head(stream_check *c, err *e)
{
    scan *const s = &c->scan;
    s->superblock = c->probe.superblock;
    s->has_superblock = true;
    s->bytes_checked = PACK_BLOCK;
    return scan_sections(s, e);
}

/* Scan what was kept. Without a superblock the head was dropped, and only the ends remain. */
static err_code judge_stream(stream_check *c, err *e)
{
    scan *const s = &c->scan;
    if (c->is_head_illegal) {
        return judge_head(c, e);
    }
    TRY(scan_ends(s, e));
    if (c->probe.has_superblock) {
        TRY(scan_sections(s, e));
    }
    scan_length(s);
    if (c->data && s->has_table && (s->chunk_digests_intact || s->tensor_digests_intact)) {
        TRY(data_scan_judge(c->data, e));
    }
    return OK;
}

static err_code check(stream_check *c, err *e)
{
    c->scan.fd = memfd_create("octavo", MFD_CLOEXEC);
    if (c->scan.fd < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot create a memory file", c->scan.path);
    }
    c->probe.fd = c->scan.fd;
    c->piece = malloc(PIECE);
    if (!c->piece) {
        return err_set(e, ERR_MEMORY, "%s: no memory", c->scan.path);
    }
    TRY(read_stream(c, e));
    return judge_stream(c, e);
}

static void scan_close(scan *s)
{
    damage_list_free(&s->damages);
    pack_table_free(&s->table);
    free(s->chunk_digests);
    free(s->tensor_digests);
    free(s->head);
}

err_code integrity_check_stream(int fd, const char *name, const integrity_options *options,
                                const monitor *m, integrity_report *out, int *ends, err *e)
{
    *out = (integrity_report){0};
    *ends = -1;
    stream_check *const c = calloc(1, sizeof *c);
    if (!c) {
        return err_set(e, ERR_MEMORY, "%s: no memory", name);
    }
    c->scan.path = c->probe.path = name;
    c->scan.options = c->probe.options = options;
    c->scan.monitor = c->probe.monitor = m;
    c->stream = (scan_stream){.fd = fd, .name = name, .monitor = m};
    sequencer_open(&c->stream.turns, m);
    damage_list_init(&c->scan.damages);
    damage_list_init(&c->probe.damages);

    err_code code = check(c, e);
    const err_code listed = damage_list_finish(&c->scan.damages, out, e);
    out->chunks_checked = c->scan.chunks_checked;
    out->bytes_checked = c->scan.bytes_checked;
    out->tensors_checked = c->scan.tensors_checked;
    if (c->scan.has_trailer) {
        memcpy(out->root, c->scan.trailer.root, SHA256_BYTES);
    }
    *ends = c->scan.fd;

    data_scan_free(c->data);
    scan_close(&c->probe);
    scan_close(&c->scan);
    sequencer_close(&c->stream.turns);
    free(c->piece);
    free(c);
    return code == OK ? listed : code;
}
