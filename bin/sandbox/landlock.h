/* Restricts which files this process may open, by Landlock (Linux 5.13 and later).
 *
 *     landlock_rules rules = landlock_new();
 *     landlock_allow(&rules, AT_FDCWD, "model", LANDLOCK_READ);
 *     if (!landlock_enforce(&rules)) ... errno says why the kernel refuses
 *
 * A rule is about a file, or a directory and all beneath it. What was open before stays usable;
 * stat and access are not restricted. Concerns the calling thread and those that it starts later:
 * call it before there are others. There is no way back. */
#ifndef LANDLOCK_RULES_H
#define LANDLOCK_RULES_H

#include <stdbool.h>
#include <stdint.h>

typedef enum landlock_use {
    LANDLOCK_READ,  /* read files, list directories */
    LANDLOCK_WRITE, /* also make, write, rename and remove files and directories */
} landlock_use;

typedef struct landlock_rules {
    int fd;       /* < 0: there is no Landlock, for the reason `why` */
    int why;      /* an errno; with fd >= 0: why a rule is missing, 0: none is */
    uint64_t all; /* every right that this kernel knows */
} landlock_rules;

landlock_rules landlock_new(void);

/* Add a rule for `path`, following links, or with a NULL path for the open descriptor `at`. What
 * does not exist, or may not be opened anyway, needs no rule. The rules remember all other errors.
 */
void landlock_allow(landlock_rules *rules, int at, const char *path, landlock_use use);

/* A step towards a rule failed for the reason `why`. Lack of memory outlasts other reasons; what a
 * link in a file of others can bring about, such as a loop, is none. */
void landlock_lacks(landlock_rules *rules, int why);

/* From now on everything that no rule allows is refused with EACCES: opening other files, executing
 * any, TCP connections (Linux 6.7), signals to other processes (6.12). Frees the rules. False: not
 * restricted, with errno, as when a rule is missing: it would turn into a file that cannot be
 * opened. */
bool landlock_enforce(landlock_rules *rules);

#endif
