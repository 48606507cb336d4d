/* Archives: the input is a file. Every member that is found lies inside it and can be read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/archive/archive_index.h"
#include "format/archive/archive_name.h"
#include "format/file/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        __builtin_trap();
    }
}

static void check_member(const archive_index *b, const archive_member *m)
{
    archive_place place;
    err e = {0};
    bool no_memory = false;
    char *const again = archive_clean_name(m->name, &no_memory);
    require(again && strcmp(again, m->name) == 0);
    free(again);
    const err_code code = archive_find(b, m->name, &place, &e);
    require(code == e.code && (code == OK || (code == ERR_INPUT && !place.file)));
    if (code != OK) {
        return;
    }
    int fd = -1;
    struct stat st;
    require(place.file && io_open_read(place.file, &fd, &st, NULL) == OK);
    require(place.base + place.bytes >= place.base &&
            place.base + place.bytes <= (uint64_t)st.st_size);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    archive_index *b = NULL;
    err e = {0};
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0 && io_write_at(fd, "fuzz", 0, data, size, NULL) == OK);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool recognized = false;
    require(archive_probe(path, &recognized, NULL) == OK);
    const err_code code = archive_open(path, NULL, &b, &e);
    require(code == e.code && (code == OK || e.text[0]));
    require(code == OK ? recognized && b : !b);
    for (size_t i = 0; b && i < b->count; i++) {
        require(i == 0 || strcmp(b->members[i - 1].name, b->members[i].name) <= 0);
        check_member(b, &b->members[i]);
    }
    archive_close(b);
    close(fd);
    return 0;
}
