/* What the modules of released models are: the tables of set 2 of the built-in rules
 * (spec/quant.md section 6).
 *
 * The same last name can mean different things: `g_proj` is a full matrix in linear attention and a
 * small gate in softmax attention. So a module is judged by its kind, and its kind is told by the
 * modules beside it, its siblings: those with the same name except for the last component. */
#ifndef MODULE_KINDS_H
#define MODULE_KINDS_H

#include <stdbool.h>
#include <stddef.h>

#include "quant/recipe/recipe.h"

/* A tensor in terms of its module: "model.layers.3.mlp.gate.weight" is the module "gate" of the
 * parent "model.layers.3.mlp", whose last component is "mlp". Nothing here ends with a NUL. */
typedef struct module_name {
    const char *start;   /* of the whole name */
    size_t prefix_bytes; /* of the parent and the '.' after it; 0: there is no parent */
    const char *parent;  /* the parent's last component */
    size_t parent_bytes; /* 0: there is none */
    const char *last;    /* the module's last component */
    size_t last_bytes;
    const tensor_names *in; /* the tensors of the model; NULL: not known */
} module_name;

module_name module_name_of(const recipe_tensor *t);

/* Is the text one of the words of a list such as "w1 w2 w3"? */
bool word_in(const char *list, const char *text, size_t bytes);

/* What the tables say about a module inside a layer: REASON_LINEAR, why it is kept on purpose, or
 * REASON_NOT_LINEAR if they do not know it. */
recipe_reason module_kind_reason(const module_name *m);

/* Is the module a linear layer in any kind of module? */
bool module_kind_is_linear(const module_name *m);

#endif
