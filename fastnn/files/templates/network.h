/* $what, $written_by $version.$labels

   $note */

#ifndef ${upper}_H
#define ${upper}_H

#include <stddef.h>$includes

#define ${upper}_N_INPUTS $n_inputs
#define ${upper}_N_OUTPUTS $n_outputs

#ifdef __cplusplus
extern "C" {
#endif

/* Write the outputs for a row of inputs x, another array. Buffers are shared: one call at a time. */
void ${name}_predict(const $row x[$n_inputs], $row out[$n_outputs]);

/* Write the outputs (n, $n_outputs) for n rows of inputs x (n, $n_inputs), row by row. */
void ${name}_predict_batch(size_t n, const $row *x, $row *out);

$declarations#ifdef __cplusplus
}
#endif

#endif
