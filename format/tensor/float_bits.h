/* Floats and their bits, for headers that the CPU and the GPU share.
 *
 * Such a header consists of inline functions that compile both as C11 and as CUDA C++17: there is
 * one definition of the arithmetic, so that every engine gives the same bits. Compile with
 * -ffp-contract=off, or -fmad=false. */
#ifndef FLOAT_BITS_H
#define FLOAT_BITS_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define SHARED_FN static __host__ __device__ __forceinline__
#else
#define SHARED_FN static inline
#endif

SHARED_FN uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

SHARED_FN float float_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

#endif
