/* Did a packed file change while it was read? The last question before success or a verdict.
 *
 *     code = read_all_of_it(p, ...);
 *     return pack_end(p, m, code, e); */
#ifndef PACK_END_H
#define PACK_END_H

#include "format/base/monitor.h"
#include "format/pack/pack_file.h"

/* `code` is the result so far. If the open file is not what it was when it was opened, neither
 * success nor a verdict holds (err_overrule), and the result is ERR_IO. If only its ctime changed,
 * a finding that its bytes are wrong is overruled too; in other cases its ends, its digests and a
 * sample of its chunks are read again, and a note says that they are the same. Returns the final
 * result. */
MUST_CHECK err_code pack_end(const pack_file *p, const monitor *m, err_code code, err *e);

#endif
