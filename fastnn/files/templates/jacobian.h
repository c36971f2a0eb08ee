/* Write the outputs for a row of inputs x, another array, and their derivatives by the inputs:
   jacobian[o * $n_inputs + i] is that of output o by input i. */
void ${name}_jacobian(const $number x[$n_inputs], $number out[$n_outputs], $number jacobian[$n_derivatives]);

