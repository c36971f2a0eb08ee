/* What one core can do at most: fused multiply-adds that wait for nothing but the unit, and the length of a cycle. */

#include <time.h>

#if defined(__AVX512F__)
enum { BYTES = 64 };
#elif defined(__AVX__)
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif

enum { SUMS = 12, LANES = BYTES / sizeof(float) }; /* twelve sums hide four or five cycles of latency on two units */

typedef float vector __attribute__((vector_size(BYTES)));

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Float32 operations a second, a multiply-add counted as two. */
double peak(long n)
{
    vector sum[SUMS], factor = {0}, start = {0};
    factor += 0.999f;
    start += 1.0f;
    for (int s = 0; s < SUMS; s++)
        sum[s] = start + (float)s;
    double begun = now();
    for (long i = 0; i < n; i++)
#pragma GCC unroll 12
        for (int s = 0; s < SUMS; s++)
            sum[s] = sum[s] * factor + start;
    double seconds = now() - begun;
    volatile float used = 0;
    for (int s = 0; s < SUMS; s++)
        used += sum[s][0];
    return 2.0 * SUMS * LANES * n / seconds;
}

/* Cycles a second: exclusive or and addition, one cycle each, every one of the result of the one before. */
double clock_rate(long n)
{
    unsigned long x = 1;
    double begun = now();
    for (long i = 0; i < n; i++)
        x = (x ^ (unsigned long)i) + 1;
    double seconds = now() - begun;
    volatile unsigned long used = x;
    (void)used;
    return 2.0 * n / seconds;
}
