/* Which tensors and embedded files are extracted: globs are matched against their names. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/unpack/unpack.h"
#include "format/base/glob.h"
#include "format/tensor/tensor_name.h"

typedef struct choice {
    unpack_job *job;
    const monitor *monitor;
    bool *used;   /* [name_count] globs that have matched something */
    bool *chosen; /* [places] */
} choice;

static err_code no_memory(const unpack_job *job, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory for the list of its tensors", job->options.path);
}

uint64_t unpack_members(const pack_record *r)
{
    return r->stack ? r->shape[0] : 1;
}

/* *named: does a glob match this name, or the name of its stack? All globs are tried, because each
 * has to match something (check_used). That is names times globs, so every name may be the last. */
static err_code match(const choice *c, const char *name, const char *stack, bool *named, err *e)
{
    const unpack_options *const o = &c->job->options;
    *named = o->name_count == 0;
    TRY(monitor_step(c->monitor, 0, e));
    for (size_t i = 0; i < o->name_count; i++) {
        if (glob_match(o->names[i], name) || (stack && glob_match(o->names[i], stack))) {
            c->used[i] = *named = true;
        }
    }
    return OK;
}

/* ---- tensors --------------------------------------------------- */

static err_code member_name(const pack_record *r, uint64_t i, char name[NAME_MAX_BYTES + 1], err *e)
{
    if (!r->stack) {
        snprintf(name, NAME_MAX_BYTES + 1, "%s", r->name);
    } else if (!name_expand_stack(r->name, i, name)) {
        return err_set(e, ERR_INPUT,
                       "tensor %s: the name of member %" PRIu64 " is longer than %d bytes", r->name,
                       i, NAME_MAX_BYTES);
    }
    return OK;
}

/* The total is bounded by the size of the file: pack_read_evidence has checked that the table lists
 * no more tensors than there are digests in the file. */
static err_code allocate_places(choice *c, err *e)
{
    unpack_job *const job = c->job;
    const pack_table *const t = &job->file->table;
    size_t total = 0;
    job->first_place = calloc(t->count + (size_t)1, sizeof *job->first_place);
    for (uint32_t i = 0; job->first_place && i < t->count; i++) {
        job->first_place[i] = total;
        total += unpack_members(&t->records[i]);
    }
    job->places = calloc(total + 1, sizeof *job->places);
    c->chosen = calloc(total + 1, sizeof *c->chosen);
    return job->first_place && job->places && c->chosen ? OK : no_memory(job, e);
}

/* Codes are useless without their scales, so stored codes bring their scales along. */
static err_code choose_record(choice *c, uint32_t number, err *e)
{
    const unpack_job *const job = c->job;
    const pack_record *const r = &job->file->table.records[number];
    const bool stored = job->options.form == UNPACK_STORED;
    if (r->cls == CLASS_SCALES && !stored) {
        return OK;
    }
    for (uint64_t i = 0; i < unpack_members(r); i++) {
        char name[NAME_MAX_BYTES + 1];
        bool named = false;
        TRY(member_name(r, i, name, e));
        TRY(match(c, name, r->stack ? r->name : NULL, &named, e));
        if (named) {
            c->chosen[job->first_place[number] + i] = true;
            if (r->cls == CLASS_CODES && stored) {
                c->chosen[job->first_place[r->scale_idx] + i] = true;
            }
        }
    }
    return OK;
}

static err_code allocate_tensors(choice *c, err *e)
{
    unpack_job *const job = c->job;
    const pack_table *const t = &job->file->table;
    size_t count = 0;
    size_t name_bytes = 1;
    for (uint32_t k = 0; k < t->count; k++) {
        for (uint64_t i = 0; i < unpack_members(&t->records[k]); i++) {
            char name[NAME_MAX_BYTES + 1];
            TRY(monitor_step(c->monitor, job->first_place[k] + i, e));
            if (c->chosen[job->first_place[k] + i]) {
                TRY(member_name(&t->records[k], i, name, e));
                count++;
                name_bytes += strlen(name) + 1;
            }
        }
    }
    job->tensors = calloc(count + 1, sizeof *job->tensors);
    job->names = malloc(name_bytes);
    return job->tensors && job->names ? OK : no_memory(job, e);
}

static dtype type_of(const unpack_job *job, const pack_record *r)
{
    const bool stored = job->options.form == UNPACK_STORED || r->cls != CLASS_CODES;
    return stored ? r->type : job->options.form == UNPACK_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

/* The size cannot overflow even if elements become four times as wide: shapes have fewer than 2^60
 * elements. */
static unpack_tensor describe(const unpack_job *job, const pack_record *r, uint64_t number,
                              const char *name)
{
    unpack_tensor t = {.name = name,
                       .record = r,
                       .member = number,
                       .type = type_of(job, r),
                       .ndim = r->ndim - (unsigned)r->stack,
                       .bytes = r->len / unpack_members(r)};
    memcpy(t.shape, r->shape + r->stack, t.ndim * sizeof *t.shape);
    if (t.type != r->type) {
        t.bytes *= dtype_bits(t.type) / dtype_bits(r->type); /* from 8 bits to 16 or 32 */
    }
    return t;
}

/* List the chosen tensors with elements of this many bits, in the order of the packed file. */
static err_code list_width(choice *c, unsigned bits, char **name_to, err *e)
{
    unpack_job *const job = c->job;
    const pack_table *const t = &job->file->table;
    for (uint32_t k = 0; k < t->count; k++) {
        const pack_record *const r = &t->records[k];
        const uint64_t members = dtype_bits(type_of(job, r)) == bits ? unpack_members(r) : 0;
        for (uint64_t i = 0; i < members; i++) {
            const size_t place = job->first_place[k] + i;
            char name[NAME_MAX_BYTES + 1];
            job->places[place] = SIZE_MAX;
            TRY(monitor_step(c->monitor, place, e));
            if (c->chosen[place]) {
                TRY(member_name(r, i, name, e));
                const size_t length = strlen(name) + 1;
                job->places[place] = job->tensor_count;
                job->tensors[job->tensor_count++] =
                    describe(job, r, i, memcpy(*name_to, name, length));
                *name_to += length;
            }
        }
    }
    return OK;
}

static err_code choose_tensors(choice *c, err *e)
{
    static const unsigned widths[] = {64, 32, 16, 8, 6, 4};
    TRY(allocate_places(c, e));
    for (uint32_t i = 0; i < c->job->file->table.count; i++) {
        TRY(choose_record(c, i, e));
    }
    TRY(allocate_tensors(c, e));
    char *name_to = c->job->names;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        TRY(list_width(c, widths[i], &name_to, e));
    }
    return OK;
}

/* ---- embedded files -------------------------------------------- */

/* Is this component reserved? It begins a name, or follows the directory in it. */
static bool is_reserved(const char *name, size_t bytes)
{
    static const char tensors[] = UNPACK_TENSORS;
    const bool temporary =
        name[0] == '.' && bytes >= 5 && memcmp(name + bytes - 5, ".part", 5) == 0;
    return temporary || (bytes == sizeof tensors - 1 && memcmp(name, tensors, bytes) == 0);
}

/* Names were checked when the archive was read; this second check keeps a mistake there from writing
 * outside the directory. The other names refused are those of temporary files and of the file of
 * tensors. */
static err_code check_file_name(const unpack_job *job, const char *name, err *e)
{
    const char *const slash = strchr(name, '/');
    if (!member_name_valid(name) || is_reserved(name, strcspn(name, "/")) ||
        (slash && is_reserved(slash + 1, strlen(slash + 1)))) {
        err_set(e, ERR_INPUT, "%s: embedded file %s: the name is reserved", job->options.path,
                name);
        err_hint(e, "-o - writes it to standard output");
        return ERR_INPUT;
    }
    return OK;
}

/* Move the chosen files to the front; of the other files only the names are kept. */
static err_code choose_files(choice *c, err *e)
{
    unpack_job *const job = c->job;
    TRY(pack_read_members(job->file, &job->files, &job->member_count, e));
    for (size_t i = 0; i < job->member_count; i++) {
        const member f = job->files[i];
        bool named = false;
        TRY(match(c, f.name, NULL, &named, e));
        if (named) {
            if (job->options.place == UNPACK_DIRECTORY) {
                TRY(check_file_name(job, f.name, e));
            }
            job->files[i] = job->files[job->file_count];
            job->files[job->file_count++] = f;
        } else {
            free(f.data);
            job->files[i].data = NULL;
        }
    }
    return OK;
}

/* ---- all ------------------------------------------------------- */

static err_code check_used(const choice *c, err *e)
{
    static const char *const kinds[] = {[UNPACK_DIRECTORY] = "tensor or embedded file",
                                        [UNPACK_FILE] = "tensor",
                                        [UNPACK_NOWHERE] = "embedded file"};
    const unpack_options *const o = &c->job->options;
    for (size_t i = 0; i < o->name_count; i++) {
        if (!c->used[i]) {
            err_set(e, ERR_USAGE, "%s: no %s matches '%s'", o->path, kinds[o->place], o->names[i]);
            err_hint(e, "the whole name has to match; * stands for any bytes");
            return ERR_USAGE;
        }
    }
    return OK;
}

static err_code choose(unpack_job *job, const monitor *m, err *e)
{
    choice c = {
        .job = job, .monitor = m, .used = calloc(job->options.name_count + 1, sizeof *c.used)};
    err_code code = OK;
    TRY_OUT(c.used ? OK : no_memory(job, e));
    if (job->options.place != UNPACK_NOWHERE) {
        TRY_OUT(choose_tensors(&c, e));
    }
    if (job->options.place != UNPACK_FILE) {
        TRY_OUT(choose_files(&c, e));
    }
    TRY_OUT(check_used(&c, e));
out:
    free(c.chosen);
    free(c.used);
    return code;
}

err_code unpack_prepare(const unpack_options *options, const monitor *m, unpack_job *job, err *e)
{
    *job = (unpack_job){.options = *options};
    err_code code = OK;
    TRY_OUT(pack_open(options->path, &job->file, e));
    TRY_OUT(pack_read_evidence(job->file, &job->evidence, e));
    TRY_OUT(choose(job, m, e));
out:
    if (code == ERR_DAMAGED) {
        err_hint(e, "octavo verify lists every corrupted place");
    }
    return code;
}

void unpack_close(unpack_job *job)
{
    members_free(job->files, job->member_count);
    free(job->tensors);
    free(job->places);
    free(job->first_place);
    free(job->names);
    pack_evidence_free(&job->evidence);
    pack_close(job->file);
    *job = (unpack_job){0};
}
