/* Words of options, from lists of things: X(NAME, "word").
 *
 *     .words = WORDS(DIALECT_LIST)              "ieee|deepgemm|..."
 *
 * A list lies where its things are, and makes their enum, too; so whoever adds a thing adds its
 * word to parser, help, manual and completions. The lists below belong to folders that see bin/cli
 * but that bin/cli must not see. */
#ifndef OPTION_WORDS_H
#define OPTION_WORDS_H

/* The words in the order of the list, a bar between them: a constant. */
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

/* --activations and --mode, as well */
#define ACTIVATION_LIST(X)                                                                         \
    X(F32, "f32")                                                                                  \
    X(FP8, "fp8")                                                                                  \
    X(BOTH, "both")

#define MODE_LIST(X)                                                                               \
    X(PREFILL, "prefill")                                                                          \
    X(DECODE, "decode")                                                                            \
    X(BOTH, "both")

#endif
