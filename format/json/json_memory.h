/* Whether jansson found memory.
 *
 *     const unsigned long before = json_failed_allocations();
 *     json_t *const root = json_loadb(...);
 *     if (json_failed_allocations() != before) ... memory is short, whatever jansson says
 *
 * jansson cannot be asked: a string that it cannot store is a syntax error to it, and NULL is also
 * its answer to a string that is not UTF-8. So its allocations are counted here, by thread. */
#ifndef JSON_MEMORY_H
#define JSON_MEMORY_H

/* How many allocations of jansson have failed so far in this thread. */
unsigned long json_failed_allocations(void);

#endif
