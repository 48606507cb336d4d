/* A small packed file that lies in memory for the whole process, to be changed, signed again, read by
 * what takes a path or a descriptor, and put back: thousands of times a second.
 *
 *     live_pack l;
 *     live_pack_open(&model, &options, &l);
 *     live_pack_write(&l, off, bytes, count);
 *     live_pack_sign(&l, LIVE_TENSORS | LIVE_REST);
 *     ... pack_open(l.path, ...) ...
 *     live_pack_restore(&l);
 *
 * Only what was touched is digested again and put back. Any failure aborts. */
#ifndef LIVE_PACK_H
#define LIVE_PACK_H

#include "tests/aid/small_pack.h"

enum { LIVE_MOST_BYTES = 1 << 18, LIVE_PAGES = LIVE_MOST_BYTES / PACK_BLOCK };

/* What to sign: CHNK and TDIG; all other digests. */
enum { LIVE_TENSORS = 1, LIVE_REST = 2 };

typedef struct live_pack {
    small_pack pack;      /* as it was built; `bytes` do not change */
    unsigned char *bytes; /* the file as it is now, mapped */
    uint64_t length;      /* of the file as it is now */
    int fd;
    char path[32];
    bool touched[LIVE_PAGES];
} live_pack;

void live_pack_open(const small_model *model, const small_options *options, live_pack *out);
void live_pack_write(live_pack *l, uint64_t off, const void *from, uint64_t count);

/* Copy the superblock's directory to the trailer. */
void live_pack_copy_directory(live_pack *l);

void live_pack_sign(live_pack *l, unsigned what);

/* Change the length, at most LIVE_MOST_BYTES; what lay beyond is gone, what is new is zero. Last: the
 * file is not written or signed afterwards. */
void live_pack_cut(live_pack *l, uint64_t length);

bool live_pack_is_changed(const live_pack *l);
void live_pack_restore(live_pack *l);

#endif
