
/* Whether all numbers are finite: the difference is NaN where one is not. */
static int are_finite(const $number *x, size_t n)
{
    $number rest = 0;
    for (size_t k = 0; k < n; k++)
        rest += x[k] - x[k];
    return rest == 0;
}

enum ${name}_code ${name}_learn(const $number x[$n_inputs], const $number y[$n_outputs], $number *loss)
{
    $number total, flag = 0;
    if (!are_finite(x, $n_inputs))
        return ${upper}_BAD_ROW;
    if (!are_finite(y, $n_outputs))
        return ${upper}_BAD_TARGET;
    for (size_t k = 0; k < $n_outputs; k++)
        if ($is_beyond)
            return ${upper}_BAD_TARGET;
    forward(x, $params, a, s);
    backward(y, $params, a, s, d, terms, &total, shape);
    if (loss != NULL)
        *loss = total;
    if (!are_finite(&total, 1))
        return ${upper}_BAD_LOSS;
    check($params, a, d, &flag);
    if (flag != 0)
        return ${upper}_BAD_GRADIENT;
    update($params, ${name}_state.beta_products, a, d, &flag);
    ${name}_state.n_steps++;
    return flag != 0 ? ${upper}_OVERFLOW : ${upper}_LEARNED;
}
