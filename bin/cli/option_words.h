/* The words that an option accepts, made from lists X(NAME, "word").
 *
 *     .words = WORDS(DIALECT_LIST)              "ieee|deepgemm|..."
 *
 * A list is in the header of the things that it names, and their enum is made from it as well, so a
 * new entry adds its word to parser, help, manual pages and completions. The lists below are here
 * because they belong to folders that bin/cli must not include. */
#ifndef OPTION_WORDS_H
#define OPTION_WORDS_H

/* The words in the order of the list, separated by bars: a string constant. */
#define WORDS(LIST)                (&LIST(WORD_AFTER_BAR)[1])
#define WORD_AFTER_BAR(name, word) "|" word

/* --device: bin/compute/compute.h */
#define COMPUTE_LIST(X)                                                                            \
    X(AUTO, "auto")                                                                                \
    X(CPU, "cpu")                                                                                  \
    X(CUDA, "cuda")

/* --only: bin/verify/verify_request.h */
#define CHECK_LIST(X)                                                                              \
    X(STRUCTURE, "structure")                                                                      \
    X(DIGESTS, "digests")                                                                          \
    X(WEIGHTS, "weights")                                                                          \
    X(FORWARD, "forward")

/* --activations and --mode: bin/verify/verify_request.h */
#define ACTIVATION_LIST(X)                                                                         \
    X(F32, "f32")                                                                                  \
    X(FP8, "fp8")                                                                                  \
    X(BOTH, "both")

#define MODE_LIST(X)                                                                               \
    X(PREFILL, "prefill")                                                                          \
    X(DECODE, "decode")                                                                            \
    X(BOTH, "both")

#endif
