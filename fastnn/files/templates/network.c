/* $what, $written_by $version.
   Plain C99. Its outputs are those of fastnn to the bit (NaN is NaN) if the compiler keeps to
   IEEE 754 and makes no sum and product one operation (MSVC: cl /O2 /fp:precise /arch:AVX2):

       cc -O2 -ffp-contract=off -march=native -c $name.c

   The flags for this machine give its instruction fma, ten times as fast as the library's; or name
   a processor (-mfma, -mcpu=...).$threads
   $note */
#include "$name.h"
#include <float.h>
#include <math.h>
#include <stdint.h>

#if defined(__FAST_MATH__) || defined(_M_FP_FAST)
#error "$name.c: compile without -ffast-math, which changes the results"
#elif defined(__MINGW32__) && !defined(__FMA__) && !defined(__aarch64__)
#error "$name.c: compile with -mfma, for fma of MinGW's library rounds twice"
#endif
#if $wider
#error "$name.c: the compiler computes in a wider type than is written (on x86: -msse2 -mfpmath=sse)"
#endif
$checks
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#define restrict __restrict
#endif
$buffers
$functions

$arrays
void ${name}_predict(const $row x[$n_inputs], $row out[$n_outputs])
{
$body
}

void ${name}_predict_batch(size_t n, const $row *x, $row *out)
{
    for (size_t row = 0; row < n; row++)
        ${name}_predict(x + row * $n_inputs, out + row * $n_outputs);
}
$more