/* The tutorial's network, 3-5-1 on six rows, written as a C programmer would: sizes known, loops plain, the compiler
   free to reorder (-O3 -march=native -ffast-math). The rules are those of fastnn/measuring/tutorial.py: one bias a layer, its
   gradient multiplied by the bias itself, layer 1 trained through the updated layer 2, learning rate 1. */

#include <math.h>

enum { ROWS = 6, INPUTS = 3, HIDDEN = 5 };

static const double X[ROWS][INPUTS] = {{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 1}, {1, 0, 0}, {1, 0, 1}};
static const double Y[ROWS] = {0, 1, 0, 1, 0, 1};

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

void train(double w1[INPUTS][HIDDEN], double *b1, double w2[HIDDEN], double *b2, double *errors, long n)
{
    for (long t = 0; t < n; t++) {
        double a1[ROWS][HIDDEN], d1[ROWS][HIDDEN], d2[ROWS], error = 0, db1 = 0, db2 = 0;

        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < HIDDEN; j++) {
                double z = *b1;
                for (int i = 0; i < INPUTS; i++)
                    z += X[r][i] * w1[i][j];
                a1[r][j] = sigmoid(z);
            }
        for (int r = 0; r < ROWS; r++) {
            double z = *b2;
            for (int j = 0; j < HIDDEN; j++)
                z += a1[r][j] * w2[j];
            double a2 = sigmoid(z), difference = a2 - Y[r];
            error += difference * difference / 2;
            d2[r] = difference * a2 * (1 - a2);
            db2 += d2[r];
        }
        errors[t] = error;

        for (int j = 0; j < HIDDEN; j++) {
            double dw = 0;
            for (int r = 0; r < ROWS; r++)
                dw += a1[r][j] * d2[r];
            w2[j] -= dw;
        }
        *b2 -= db2 * *b2;

        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < HIDDEN; j++) {
                d1[r][j] = d2[r] * w2[j] * a1[r][j] * (1 - a1[r][j]);
                db1 += d1[r][j];
            }
        for (int i = 0; i < INPUTS; i++)
            for (int j = 0; j < HIDDEN; j++) {
                double dw = 0;
                for (int r = 0; r < ROWS; r++)
                    dw += X[r][i] * d1[r][j];
                w1[i][j] -= dw;
            }
        *b1 -= db1 * *b1;
    }
}
