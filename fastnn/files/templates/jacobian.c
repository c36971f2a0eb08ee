
void ${name}_jacobian(const $number x[$n_inputs], $number out[$n_outputs], $number jacobian[$n_derivatives])
{
$body
    derivatives($params, a, s, d, jacobian);
}
