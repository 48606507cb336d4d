/* A main function for fuzz targets without libFuzzer.
 *
 *     fuzz_NAME FILE...
 *
 * Runs the target on the empty input, on each file, and on damaged copies of each file, together
 * RUNS times. A run depends only on the files and SEED (environment, default 1); the seed is printed
 * on standard error, and so is the name of each file before it is used. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 2000, MAX_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* xorshift64*: small, and the same on every machine. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

static size_t below(uint64_t *state, size_t limit)
{
    return (size_t)(next_random(state) % limit);
}

/* Run on an exact copy on the heap, so that the address sanitizer notices a read after its end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *const copy = malloc(size + !size);
    if (!copy) {
        fprintf(stderr, "driver: no memory\n");
        exit(1);
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* One to four kinds of damage: a flipped bit, another byte, a range moved, the end cut off. */
static size_t damage(uint8_t *data, size_t size, uint64_t *state)
{
    for (size_t left = 1 + below(state, 4); left && size; left--) {
        const size_t at = below(state, size);
        switch (below(state, 4)) {
        case 0:
            data[at] ^= (uint8_t)(1U << below(state, 8));
            break;
        case 1:
            data[at] = (uint8_t)next_random(state);
            break;
        case 2:
            memmove(data + at, data + below(state, at + 1), size - at);
            break;
        default:
            size = at;
        }
    }
    return size;
}

static void run_file(const char *path, int copies, uint64_t *state)
{
    static uint8_t data[MAX_BYTES];
    static uint8_t copy[MAX_BYTES];
    fprintf(stderr, "%s\n", path);
    FILE *const f = fopen(path, "rb");
    const size_t size = f ? fread(data, 1, sizeof data, f) : 0;
    if (!f || ferror(f) || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    run(data, size);
    for (int i = 0; i < copies; i++) {
        memcpy(copy, data, size);
        run(copy, damage(copy, size, state));
    }
}

int main(int argc, char **argv)
{
    const char *const text = getenv("SEED");
    uint64_t state = text ? strtoull(text, NULL, 0) : 1;
    fprintf(stderr, "SEED=%llu\n", (unsigned long long)state);
    state += !state; /* 0 would stay 0 */
    run((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        run_file(argv[i], RUNS / argc, &state);
    }
    return 0;
}
