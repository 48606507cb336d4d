#include "format/output/output_pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/num.h"
#include "format/file/io.h"
#include "format/file/pipe.h"

struct output_pipe {
    int fd;
    const char *name;
    const monitor *m;
    uint64_t at; /* bytes written */
};

err_code output_pipe_open(int fd, const char *name, const monitor *m, output_pipe **out, err *e)
{
    int own = -1;
    TRY(pipe_open_write(fd, name, &own, e));
    output_pipe *const s = malloc(sizeof *s);
    if (!s) {
        close(own);
        return err_set(e, ERR_MEMORY, "%s: no memory", name);
    }
    *s = (output_pipe){.fd = own, .name = name, .m = m};
    *out = s;
    return OK;
}

/* A gap between tensors is less than 64 KiB. */
static err_code write_zeros(output_pipe *s, uint64_t end, err *e)
{
    static const unsigned char zeros[64 << 10];
    while (s->at < end) {
        const uint64_t n = num_min(sizeof zeros, end - s->at);
        s->at += n;
        TRY(pipe_write(s->fd, s->name, s->m, zeros, n, e));
    }
    return OK;
}

err_code output_pipe_write(output_pipe *s, uint64_t off, const void *data, uint64_t bytes, err *e)
{
    if (off < s->at) {
        return err_set(e, ERR_INTERNAL, "%s: written out of order", s->name);
    }
    TRY(write_zeros(s, off, e));
    s->at += bytes;
    return pipe_write(s->fd, s->name, s->m, data, bytes, e);
}

err_code output_pipe_sync(const output_pipe *s, err *e)
{
    struct stat st;
    TRY(fstat(s->fd, &st) == 0 ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", s->name));
    return !S_ISREG(st.st_mode) || io_sync(s->fd) == 0
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot sync", s->name);
}

err_code output_pipe_close(output_pipe **s, err *e)
{
    const char *const name = (*s)->name;
    const int failed = close((*s)->fd);
    free(*s);
    *s = NULL;
    return failed ? err_set_errno(e, ERR_IO, errno, "%s: cannot write", name) : OK;
}
