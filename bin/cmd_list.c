/* All commands, indexed by command_id. */
#include "bin/cmd.h"

const command *const cmd_list[COMMAND_COUNT] = {
    [COMMAND_CONVERT] = &cmd_convert,   [COMMAND_VERIFY] = &cmd_verify,
    [COMMAND_INSPECT] = &cmd_inspect,   [COMMAND_UNPACK] = &cmd_unpack,
    [COMMAND_DIFF] = &cmd_diff,         [COMMAND_EXPORT] = &cmd_export,
    [COMMAND_TOKENIZE] = &cmd_tokenize, [COMMAND_DEVICES] = &cmd_devices,
    [COMMAND_BENCH] = &cmd_bench,       [COMMAND_HELP] = &cmd_help,
};
