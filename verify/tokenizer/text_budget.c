#include "verify/tokenizer/text_budget.h"

void text_budget_begin(text_budget *b, size_t bytes, const monitor *m)
{
    *b = (text_budget){.monitor = m, .left = (uint64_t)bytes * TEXT_GROWTH + TEXT_SPARE};
}

err_code text_budget_check(text_budget *b, size_t bytes, err *e)
{
    TRY(monitor_step(b->monitor, b->steps++, e));
    return bytes <= b->left ? OK
                            : err_set(e, ERR_INPUT,
                                      "the steps of the tokenizer make this text more than %d "
                                      "times longer",
                                      TEXT_GROWTH);
}

err_code text_budget_spend(text_budget *b, size_t bytes, err *e)
{
    TRY(text_budget_check(b, bytes, e));
    b->left -= bytes;
    return OK;
}
