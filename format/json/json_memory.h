/* Whether jansson found memory.
 *
 *     const unsigned long before = json_failed_allocations();
 *     ... json_string(...), json_object_set(...) ...
 *     if (json_failed_allocations() != before) ... something may be missing
 *
 * jansson cannot be asked: NULL is also its answer to a string that is not UTF-8. So its allocations
 * are counted here, by thread. */
#ifndef JSON_MEMORY_H
#define JSON_MEMORY_H

/* How many allocations of jansson have failed so far in this thread. */
unsigned long json_failed_allocations(void);

#endif
